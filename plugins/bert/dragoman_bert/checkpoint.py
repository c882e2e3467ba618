"""Checkpoints of BERT-family encoders: reading one from a local folder, or saying in one sentence why not.

Nothing is fetched and no code of a checkpoint runs: files are local, remote code is never trusted, pickled weights are
read with ``weights_only``, and configuration keys that name other files or kernels to load are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging

from dragoman.errors import PackageError
from dragoman_bert.library import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel

__all__ = ["FAMILIES", "hidden_sizes", "load_network", "load_tokenizer", "quiet", "read_json", "token_limit"]

#: Values of ``model_type`` whose hidden states do not depend on how far a batch is padded. Encoders that mix
#: neighbouring positions without looking at the mask (ConvBERT, Nyströmformer) are left out for that reason.
FAMILIES = frozenset(
    {
        "albert",
        "bert",
        "camembert",
        "data2vec-text",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "megatron-bert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
    }
)

# Keys of config.json that make transformers load something else than the weights beside it.
_NO_ARCHITECTURE = frozenset({"attn_implementation", "auto_map", "quantization_config", "transformers_weights"})


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        PackageError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PackageError(f"{path.parent} is no BERT-family checkpoint: it holds no {path.name}.") from error
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read: {_one_line(error)}.") from error
    if not isinstance(content, dict):
        raise PackageError(f"{path} holds no JSON object.")
    return content


def hidden_sizes(config: Mapping[str, Any]) -> tuple[int, int]:
    """Width of the hidden states and number of layers, from a checkpoint's configuration.

    Raises:
        PackageError: the architecture is another one, or a size is missing.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise PackageError(f"The checkpoint is of architecture {family!r}, which is no BERT-family encoder ({known}).")
    return _size(config, "hidden_size", "dim"), _size(config, "num_hidden_layers", "n_layers")


def load_network(folder: Path, config: Mapping[str, Any]) -> PreTrainedModel:
    """The encoder with its stored weights, complete and finite, without the pooler that only pretraining uses.

    Raises:
        PackageError: weights are missing, damaged, not finite, or do not fit the configuration.
    """
    options = {k: v for k, v in config.items() if k not in _NO_ARCHITECTURE and not k.startswith("_")}
    safetensors = _has_safetensors(folder)
    # An absent pooler is drawn at random before it is dropped; the global generator must not notice.
    with _failures_named("weights", folder), quiet(), torch.random.fork_rng(devices=[]):
        network, report = AutoModel.from_pretrained(
            folder,
            config=AutoConfig.for_model(options.pop("model_type"), **options),
            use_safetensors=safetensors,
            weights_only=True,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    _check_complete(folder, network, report["missing_keys"])
    if hasattr(network, "pooler"):
        network.pooler = None
    assert isinstance(network, PreTrainedModel)
    return network


def load_tokenizer(folder: Path, network: PreTrainedModel) -> Any:
    """The tokenizer that belongs to an encoder.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the encoder has embeddings.
    """
    with _failures_named("tokenizer", folder), quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Without vocabulary files transformers silently builds a tokenizer that knows its special tokens only.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise PackageError(f"{folder} holds no tokenizer vocabulary (tokenizer.json or the family's own files).")
    embeddings = network.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    if len(tokenizer) > embeddings.num_embeddings:
        counts = f"{len(tokenizer)} tokens, but the encoder has {embeddings.num_embeddings} embeddings"
        raise PackageError(f"The tokenizer in {folder} does not belong to its weights: it has {counts}.")
    return tokenizer


def token_limit(folder: Path, network: PreTrainedModel, tokenizer: Any) -> int:
    """Longest input in tokens, special ones included.

    The smallest of what the tokenizer says, what ``sentence_bert_config.json`` says (sentence-transformers trains on
    shorter texts than the encoder could read), and the positions that the encoder has.
    """
    limits = [int(tokenizer.model_max_length), _positions(network)]
    sentence_config = folder / "sentence_bert_config.json"
    if sentence_config.is_file():
        stated = read_json(sentence_config).get("max_seq_length")
        limits += [stated] if isinstance(stated, int) and stated > 0 else []
    return min(limits)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' progress bars and load reports; errors are raised as exceptions anyway."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _size(config: Mapping[str, Any], *names: str) -> int:
    value = next((config[name] for name in names if name in config), None)
    if not isinstance(value, int) or value < 1:
        raise PackageError(f"The checkpoint's config.json gives no usable {names[0]}: {value!r}.")
    return value


def _has_safetensors(folder: Path) -> bool:
    def any_of(stem: str) -> bool:
        return (folder / stem).is_file() or (folder / f"{stem}.index.json").is_file()

    if any_of("model.safetensors"):
        return True
    if any_of("pytorch_model.bin"):
        return False
    raise PackageError(f"{folder} holds no weights: neither model.safetensors nor pytorch_model.bin.")


def _check_complete(folder: Path, network: nn.Module, missing_keys: Any) -> None:
    missing = sorted(key for key in missing_keys if not key.startswith("pooler."))
    if missing:
        raise PackageError(f"The weights in {folder} lack {len(missing)} tensors, the first being {missing[0]}.")
    for name, value in network.state_dict().items():
        if not name.startswith("pooler.") and not torch.isfinite(value).all():
            raise PackageError(f"The weights in {folder} are damaged: {name} holds values that are not finite.")


def _positions(network: PreTrainedModel) -> int:
    table = getattr(network.get_submodule("embeddings"), "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return int(network.config.max_position_embeddings)
    # RoBERTa and its heirs number positions from padding_idx + 1.
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)


@contextmanager
def _failures_named(what: str, folder: Path) -> Iterator[None]:
    # Which exception a damaged file causes depends on the family and the file, so all of them are caught here.
    try:
        yield
    except Exception as error:
        raise PackageError(f"The {what} in {folder} cannot be loaded: {_one_line(error)}.") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 200 else text[:200] + "...").rstrip(".!")
