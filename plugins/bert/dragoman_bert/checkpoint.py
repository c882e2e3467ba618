"""Checkpoints of BERT-family encoders: reading one from a local folder, or saying in one sentence why not.

Nothing is fetched and no code of a checkpoint runs: files are local, remote code is never trusted, pickled weights are
read with ``weights_only``, and configuration keys that name other files or kernels to load are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dragoman.errors import PackageError
from dragoman.pretrained import model_config, read_network, read_tokenizer
from dragoman.weights import read_json
from dragoman_bert.library import AutoModel, AutoTokenizer, PreTrainedModel

__all__ = ["FAMILIES", "KIND", "hidden_sizes", "load_network", "load_tokenizer", "token_limit"]

#: What a folder is said not to be, if it is not.
KIND = "BERT-family checkpoint"

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
    network = read_network(AutoModel, folder, model_config(config), optional="pooler")
    if hasattr(network, "pooler"):
        network.pooler = None
    assert isinstance(network, PreTrainedModel)
    return network


def load_tokenizer(folder: Path, network: PreTrainedModel) -> Any:
    """The tokenizer that belongs to an encoder.

    Raises:
        PackageError: its files are missing or damaged, or it has more tokens than the encoder has embeddings.
    """
    embeddings = network.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    return read_tokenizer(AutoTokenizer, folder, embeddings.num_embeddings, "encoder")


def token_limit(folder: Path, network: PreTrainedModel, tokenizer: Any) -> int:
    """Longest input in tokens, special ones included.

    The smallest of what the tokenizer says, what ``sentence_bert_config.json`` says (sentence-transformers trains on
    shorter texts than the encoder could read), and the positions that the encoder has.
    """
    limits = [int(tokenizer.model_max_length), _positions(network)]
    sentence_config = folder / "sentence_bert_config.json"
    if sentence_config.is_file():
        stated = read_json(sentence_config, KIND).get("max_seq_length")
        limits += [stated] if isinstance(stated, int) and stated > 0 else []
    return min(limits)


def _size(config: Mapping[str, Any], *names: str) -> int:
    value = next((config[name] for name in names if name in config), None)
    if not isinstance(value, int) or value < 1:
        raise PackageError(f"The checkpoint's config.json gives no usable {names[0]}: {value!r}.")
    return value


def _positions(network: PreTrainedModel) -> int:
    table = getattr(network.get_submodule("embeddings"), "position_embeddings", None)
    if not isinstance(table, nn.Embedding):
        return int(network.config.max_position_embeddings)
    # RoBERTa and its heirs number positions from padding_idx + 1.
    return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
