"""What experts that read their checkpoints by transformers have in common; transformers is imported on use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

from dragoman.errors import PackageError

__all__ = ["architecture", "check_complete", "check_tokenizer", "quiet"]

# Keys of config.json that make transformers load something else than the weights beside it.
_NO_ARCHITECTURE = frozenset({"attn_implementation", "auto_map", "quantization_config", "transformers_weights"})


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint's configuration without the keys that name other files, kernels or code to load."""
    return {key: value for key, value in config.items() if key not in _NO_ARCHITECTURE and not key.startswith("_")}


def check_complete(folder: Path, missing: Iterable[str]) -> None:
    """Refuse weights that lack tensors.

    Args:
        folder: where the weights are.
        missing: names of the tensors that they lack.

    Raises:
        PackageError: there is one.
    """
    if names := sorted(missing):
        raise PackageError(f"The weights in {folder} lack {len(names)} tensors, the first being {names[0]}.")


def check_tokenizer(folder: Path, tokenizer: Any, embeddings: int, network: str) -> None:
    """Refuse a tokenizer with more tokens than its network has embeddings.

    Args:
        folder: where its files are.
        tokenizer: of transformers.
        embeddings: how many the network has.
        network: what the network is called in the sentence, such as ``"encoder"``.

    Raises:
        PackageError: it has more.
    """
    if len(tokenizer) > embeddings:
        counts = f"{len(tokenizer)} tokens, but the {network} has {embeddings} embeddings"
        raise PackageError(f"The tokenizer in {folder} does not belong to its weights: it has {counts}.")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and load reports; errors are raised as exceptions anyway."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
