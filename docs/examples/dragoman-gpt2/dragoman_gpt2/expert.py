"""The network; imported when it is used, never when the zoo is listed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import AutoTokenizer, GPT2Config, GPT2Model

from dragoman import Expert, Port, Tokens
from dragoman.errors import PackageError
from dragoman.representation import Representation
from dragoman.texts import encode_texts, pad
from dragoman.weights import failures_named, has_safetensors, read_json


class GPT2(Expert):
    """A language model as an encoder: the hidden states after its last layer, float32.

    Args:
        config: content of the checkpoint's ``config.json``.
        network: the model without its output layer.
        tokenizer: splits texts into tokens.
    """

    reads: ClassVar[str] = "text"

    def __init__(self, config: Mapping[str, Any], network: GPT2Model, tokenizer: Any) -> None:
        super().__init__(config)
        self.network, self.tokenizer = network, tokenizer

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports of a checkpoint, from its configuration alone.

        Raises:
            PackageError: the configuration is of another architecture.
        """
        if config.get("model_type") != "gpt2":
            raise PackageError(f"The checkpoint is of architecture {config.get('model_type')!r}, not 'gpt2'.")
        width = GPT2Config(**config).n_embd
        shapes = {"pooled": ("vector", (width,)), "last": ("vector", (width,)), "tokens": ("tokens", ("tokens", width))}
        return {
            name: Port(name, modality, shape, normalisation="not normalised", gives=True)
            for name, (modality, shape) in shapes.items()
        }

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint in the layout of transformers.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        config = read_json(folder / cls.config_name, "GPT-2 checkpoint")
        cls.describe(config)
        safe = has_safetensors(folder)
        with failures_named("weights", folder):
            options: dict[str, Any] = {"use_safetensors": safe, "weights_only": True, "output_loading_info": True}
            loaded: Any = GPT2Model.from_pretrained(folder, local_files_only=True, **options)
        network, report = loaded
        if report["missing_keys"]:
            raise PackageError(f"The weights in {folder} lack {min(report['missing_keys'])}.")
        with failures_named("tokenizer", folder):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls(config, network, tokenizer)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and tokenizer; :meth:`from_pretrained` and transformers read them back."""
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Texts to float32 ``[B, D]``, or to :class:`~dragoman.representation.Tokens`.

        Raises:
            PortError: there is no such port.
            InputError: the inputs are no list of texts.
        """
        self.port(port)
        limit = min(self.network.config.n_positions, int(self.tokenizer.model_max_length))
        return encode_texts(inputs, self.tokenizer, limit, lambda rows: self._encode(rows, port), batch_size=64)

    def _encode(self, rows: list[list[int]], port: str) -> Representation:
        if not rows:
            nothing = torch.empty(0, 0, self.network.config.n_embd, device=self.network.device)
            return Tokens(nothing, nothing[..., 0].bool()) if port == "tokens" else nothing[:, 0:1].sum(dim=1)
        # Each token sees those before it, so padding at the end changes nothing.
        ids, mask = pad(rows, 0, self.network.device)
        states: Tensor = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
        states = torch.where(mask[..., None], states, 0.0)
        lengths = mask.sum(dim=1, keepdim=True)
        if port == "pooled":
            return states.sum(dim=1) / lengths
        return Tokens(states, mask) if port == "tokens" else states.take_along_dim(lengths[..., None] - 1, 1)[:, 0]
