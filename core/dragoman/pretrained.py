"""What experts that read their checkpoints by transformers have in common; transformers is imported on use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

from dragoman.errors import PackageError
from dragoman.weights import check_finite, failures_named, has_safetensors

__all__ = ["model_config", "quiet", "read_network", "read_tokenizer"]

# Keys of config.json that transformers gets by itself, or that make it load something else than the weights beside it.
_NOT_PASSED = frozenset(
    {"attn_implementation", "auto_map", "model_type", "quantization_config", "transformers_weights"}
)


def model_config(config: Mapping[str, Any]) -> Any:
    """The configuration of transformers for the content of a ``config.json``.

    Keys that name other files, kernels or code to load are dropped, those of towers (``text_config``) as well.

    Raises:
        PackageError: it has values that make no network of its ``model_type``.
    """
    from transformers import AutoConfig

    family = config["model_type"]
    try:
        with quiet():
            return AutoConfig.for_model(family, **_architecture(config))
    except Exception as error:  # whatever a value of the wrong kind causes
        reason = " ".join(str(error).split())[:200]
        raise PackageError(f"The checkpoint's config.json describes no {family}: {reason}.") from error


def _architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _architecture(value) if key.endswith("_config") and isinstance(value, dict) else value
        for key, value in config.items()
        if key not in _NOT_PASSED and not key.startswith("_")
    }


def read_network(kind: Any, folder: Path, config: Any, *, optional: str | None = None, **options: Any) -> Any:
    """A network of transformers with its stored weights, complete and finite.

    Files are local, pickled weights are read as tensors alone, and no code of a checkpoint runs.

    Args:
        kind: a class of transformers that has ``from_pretrained``.
        folder: where the weights are.
        config: the network's configuration, of transformers.
        optional: the submodule whose tensors may be missing, if there is one.
        **options: more of ``from_pretrained``.

    Raises:
        PackageError: weights are missing, damaged, not finite, or do not fit the configuration.
    """
    import torch

    safetensors = has_safetensors(folder)
    # What is missing is drawn at random before that is noticed; the global generator must not.
    with failures_named("weights", folder), quiet(), torch.random.fork_rng(devices=[]):
        network, report = kind.from_pretrained(
            folder,
            config=config,
            use_safetensors=safetensors,
            weights_only=True,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
            **options,
        )
    lacking = sorted(key for key in report["missing_keys"] if not optional or not key.startswith(f"{optional}."))
    if lacking:
        raise PackageError(f"The weights in {folder} lack {len(lacking)} tensors, the first being {lacking[0]}.")
    check_finite(folder, network.state_dict())
    return network


def read_tokenizer(kind: Any, folder: Path, embeddings: int, network: str) -> Any:
    """The tokenizer beside a network of transformers.

    Args:
        kind: the class of transformers that reads it, such as ``AutoTokenizer``.
        folder: where its files are.
        embeddings: how many tokens the network knows.
        network: what the network is called in a sentence, such as ``"encoder"``.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the network knows.
    """
    with failures_named("tokenizer", folder), quiet():
        tokenizer = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Without vocabulary files transformers silently builds a tokenizer that knows its special tokens only.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise PackageError(f"{folder} holds no tokenizer vocabulary (tokenizer.json or the family's own files).")
    if len(tokenizer) > embeddings:
        counts = f"{len(tokenizer)} tokens, but the {network} has {embeddings} embeddings"
        raise PackageError(f"The tokenizer in {folder} does not belong to its weights: it has {counts}.")
    return tokenizer


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
