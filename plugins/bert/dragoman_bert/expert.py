"""The expert: texts to the hidden states of a BERT-family encoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn

from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.pretrained import quiet
from dragoman.representation import Representation, Tokens
from dragoman.texts import TruncationWarning, check_texts, encode_texts, pad
from dragoman.weights import read_json
from dragoman_bert.checkpoint import KIND, hidden_sizes, load_network, load_tokenizer, token_limit
from dragoman_bert.library import PreTrainedModel

__all__ = ["Bert", "TruncationWarning"]

Module = TypeVar("Module", bound=nn.Module)

#: Families whose layers are ``encoder.layer``, with nothing behind the last one: a hidden layer needs no later ones.
_PLAIN_STACKS = frozenset({"bert", "camembert", "electra", "roberta", "xlm-roberta"})


class Bert(Expert):
    """A bidirectional text encoder of the BERT family (Devlin et al. 2019, arXiv:1810.04805).

    Ports, all float32 whatever the type of the weights:

    - ``pooled``: mean of the last hidden states over the tokens of a text, special ones included, not normalised
      (Reimers and Gurevych 2019, arXiv:1908.10084, the strategy "MEAN");
    - ``cls``: last hidden state of the first token;
    - ``tokens``: all last hidden states;
    - ``hidden.K``: all hidden states after layer ``K``; ``hidden.0`` is what the embeddings give to the first layer.

    Attributes:
        network: the encoder.
        tokenizer: splits texts into tokens.
        max_tokens: longest text in tokens, special ones included; longer ones are cut, with a
            :class:`~dragoman.texts.TruncationWarning`.
    """

    reads: ClassVar[str] = "text"
    #: Texts that go through the encoder at once; no influence on the result.
    batch_size: ClassVar[int] = 64

    def __init__(self, config: Mapping[str, Any], network: PreTrainedModel, tokenizer: Any, max_tokens: int) -> None:
        super().__init__(config)
        self.network, self.tokenizer, self.max_tokens = network, tokenizer, max_tokens

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint in the layout of transformers or sentence-transformers; see :meth:`from_pretrained`.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config = read_json(folder / cls.config_name, KIND)
        hidden_sizes(config)
        network = load_network(folder, config)
        tokenizer = load_tokenizer(folder, network)
        return cls(config, network, tokenizer, token_limit(folder, network, tokenizer))

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint: ``pooled``, ``cls``, ``tokens`` and ``hidden.0`` to ``hidden.<layers>``.

        Raises:
            PackageError: the configuration is of another architecture, or lacks a size.
        """
        width, layers = hidden_sizes(config)

        def port(name: str, summary: str, *shape: int | str) -> Port:
            modality = "tokens" if len(shape) == 2 else "vector"
            return Port(name, modality, shape, normalisation="not normalised", gives=True, summary=summary)

        ports = [
            port("pooled", "masked token mean", width),
            port("cls", "first token", width),
            port("tokens", "all tokens", "tokens", width),
            port("hidden.0", "embeddings of all tokens", "tokens", width),
        ]
        ports += [port(f"hidden.{k}", f"all tokens after layer {k}", "tokens", width) for k in range(1, layers + 1)]
        return {port.name: port for port in ports}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, tokenizer and token limit; :meth:`from_pretrained` and transformers read them back."""
        from json import dumps

        target = Path(folder)
        with quiet():
            self.network.save_pretrained(target)
            self.tokenizer.save_pretrained(target)
        limit = dumps({"max_seq_length": self.max_tokens, "do_lower_case": False})
        (target / "sentence_bert_config.json").write_text(limit, encoding="utf-8")

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Texts to the representation at a port.

        Args:
            inputs: list of str, possibly empty. Equal texts are encoded once.
            port: name of a port.
            generator: not used; an encoder's answer is no draw.

        Returns:
            Float32 on the expert's device, in the order of the texts: ``[B, D]``, or
            :class:`~dragoman.representation.Tokens` padded to the longest of all texts.

        Raises:
            PortError: there is no such port.
            InputError: the inputs are no list of texts.
        """
        self.port(port)
        texts = check_texts(inputs)
        if not texts:
            return self._nothing(port)

        def encode(rows: list[list[int]]) -> Representation:
            return self._encode_batch(rows, port)

        return encode_texts(texts, self.tokenizer, self.max_tokens, encode, batch_size=self.batch_size, stacklevel=2)

    def _encode_batch(self, rows: list[list[int]], port: str) -> Representation:
        ids, mask = pad(rows, self._padding, self.network.device)
        layer = int(port.removeprefix("hidden.")) if port.startswith("hidden.") else None
        states = self._states(ids, mask.long(), layer).float()
        if port == "cls":
            return states[:, 0]
        states = torch.where(mask[..., None], states, 0.0)
        return _mean(states, mask) if port == "pooled" else Tokens(states, mask)

    def _states(self, ids: Tensor, mask: Tensor, layer: int | None) -> Tensor:
        network = self.network
        if layer and self.config["model_type"] in _PLAIN_STACKS:
            network, layer = _first_layers(network, layer), None
        output = network(input_ids=ids, attention_mask=mask, output_hidden_states=layer is not None)
        states: Tensor = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return states

    def _nothing(self, port: str) -> Representation:
        width, _ = hidden_sizes(self.config)
        device = self.network.device
        if self.ports[port].modality == "vector":
            return torch.empty(0, width, device=device)
        return Tokens(torch.empty(0, 0, width, device=device), torch.empty(0, 0, dtype=torch.bool, device=device))

    @property
    def _padding(self) -> int:
        # Padding is masked, so any id would do, except where the family numbers positions by it (RoBERTa).
        known = self.tokenizer.pad_token_id, self.network.config.pad_token_id
        return next((number for number in known if number is not None), 0)


def _first_layers(network: PreTrainedModel, count: int) -> PreTrainedModel:
    """The same network, weights shared, that stops after ``count`` layers."""
    short, encoder = _shallow(network), _shallow(network.get_submodule("encoder"))
    layers = encoder.get_submodule("layer")
    assert isinstance(layers, nn.ModuleList)
    encoder.layer = layers[:count]
    short.encoder = encoder
    return short


def _shallow(module: Module) -> Module:
    """A module with the same parts, of which each can be exchanged in one of the two."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    return states.sum(dim=1) / mask.sum(dim=1, keepdim=True)
