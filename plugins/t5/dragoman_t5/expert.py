"""The expert: texts to the last hidden states of a T5 encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import torch
from accelerate import cpu_offload
from torch import Tensor

from dragoman.access import AccessOptions, using
from dragoman.errors import InputError
from dragoman.expert import Expert, Origin
from dragoman.ports import Port
from dragoman.pretrained import quiet
from dragoman.representation import Representation, Tokens
from dragoman.stores import locate
from dragoman.texts import encode_texts, pad
from dragoman.weights import read_json
from dragoman_t5.checkpoint import load_network, load_tokenizer, width_of
from dragoman_t5.library import PreTrainedModel

__all__ = ["T5"]

#: Modules that stay in float32 where the rest is float16, whose range their products leave.
KEPT = ".wo"


class T5(Expert):
    """The encoder of T5 (Raffel et al. 2020, arXiv:1910.10683), which reads texts of any length.

    Ports, both float32 whatever the type of the weights:

    - ``tokens``: all last hidden states, after the final normalisation, the end token's included;
    - ``pooled``: their mean.

    In float16 the second projection of each feed-forward layer stays in float32, as in transformers: its results leave
    the range of float16 in the large models. bfloat16 needs no such care.

    Args:
        config: content of the checkpoint's ``config.json``.
        network: the encoder.
        tokenizer: splits texts into tokens.
        max_tokens: longest text in tokens, the end token included; longer ones are cut, with a
            :class:`~dragoman.texts.TruncationWarning`.
    """

    reads: ClassVar[str] = "text"
    #: Texts that go through the encoder at once; no influence on the result.
    batch_size: ClassVar[int] = 32
    #: Positions that the checkpoints were trained with, where the tokenizer names no limit.
    trained_tokens: ClassVar[int] = 512

    def __init__(
        self, config: Mapping[str, Any], network: PreTrainedModel, tokenizer: Any, max_tokens: int | None = None
    ) -> None:
        super().__init__(config)
        self.network, self.tokenizer = network, tokenizer
        limit = int(tokenizer.model_max_length)
        self.max_tokens = max_tokens or (limit if limit < 10**9 else self.trained_tokens)
        self._place: torch.device | None = None

    @classmethod
    def from_pretrained(
        cls,
        address: str | Path,
        *,
        revision: str | None = None,
        subfolder: str = "",
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        offload: bool = False,
        **access: Unpack[AccessOptions],
    ) -> Self:
        """Load a checkpoint; see :meth:`dragoman.Expert.from_pretrained`.

        Args:
            address: folder or ``ns/name[@revision]``.
            revision: branch, tag or commit.
            subfolder: folder inside the repository.
            dtype: type of the weights; they are converted while they are read, so that no copy in their stored type
                has to fit into memory.
            device: where the encoder computes.
            offload: see :meth:`offload`.
            **access: as of :meth:`dragoman.Expert.from_pretrained`.

        Raises:
            PackageError: the files are missing, damaged, or of another architecture.
        """
        with using(**access):
            location = locate(address, revision)
        folder = location.folder / subfolder
        expert = cls._read(folder, dtype)
        expert.origin = Origin(location.address, location.revision, folder, subfolder)
        expert.freeze()
        return expert.offload(device or "cpu") if offload else expert.place(None, device)

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint in the layout of transformers; see :meth:`from_pretrained`.

        Raises:
            PackageError: files are missing, damaged, or of another architecture.
        """
        return cls._read(folder, None)

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The ports ``tokens`` and ``pooled``.

        Raises:
            PackageError: the configuration is of another architecture, or lacks the width.
        """
        width = width_of(config)

        def port(name: str, modality: str, shape: tuple[int | str, ...], summary: str) -> Port:
            return Port(name, modality, shape, normalisation="not normalised", gives=True, summary=summary)

        tokens = port("tokens", "tokens", ("tokens", width), "all tokens")
        return {"tokens": tokens, "pooled": port("pooled", "vector", (width,), "masked token mean")}

    @classmethod
    def _read(cls, folder: Path, dtype: torch.dtype | None) -> Self:
        config = read_json(folder / cls.config_name, "T5 checkpoint")
        network = load_network(folder, config, dtype)
        return cls(config, network, load_tokenizer(folder, network))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and tokenizer; :meth:`from_pretrained` and transformers read them back."""
        target = Path(folder)
        with quiet():
            self.network.save_pretrained(target)
            self.tokenizer.save_pretrained(target)

    def place(self, dtype: torch.dtype | None, device: str | torch.device | None) -> Self:
        """Move to a type and device, where given; what float16 cannot hold stays in float32.

        Raises:
            InputError: the weights are offloaded.
        """
        if self._place is not None and (dtype is not None or device is not None):
            raise InputError("An offloaded encoder stays where it is; load it again for another type or device.")
        super().place(dtype, device)
        if dtype == torch.float16:
            for name, module in self.network.named_modules():
                if name.endswith(KEPT):
                    module.float()
        return self

    def offload(self, device: str | torch.device) -> Self:
        """Keep the weights in the CPU's memory and let each layer visit ``device`` when it computes.

        For encoders that do not fit a device: of T5-XXL's 9 GB in half precision the largest layer alone is there.
        """
        self._place = torch.device(device)
        cpu_offload(self.network, execution_device=self._place)
        return self

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        """Texts to the representation at a port.

        Args:
            inputs: list of str, possibly empty. Equal texts are encoded once.
            port: name of a port.
            generator: not used; an encoder's answer is no draw.

        Returns:
            Float32 on the device that computes, in the order of the texts: ``[B, D]``, or
            :class:`~dragoman.representation.Tokens` padded to the longest of all texts.

        Raises:
            PortError: there is no such port.
            InputError: the inputs are no list of texts.
        """
        self.port(port)

        def encode(rows: list[list[int]]) -> Representation:
            return self._encode_rows(rows, port)

        return encode_texts(inputs, self.tokenizer, self.max_tokens, encode, batch_size=self.batch_size, stacklevel=2)

    def _encode_rows(self, rows: list[list[int]], port: str) -> Representation:
        device = self._place or self.network.device
        if not rows:
            nothing = torch.empty(0, 0, width_of(self.config), device=device)
            mask = torch.empty(0, 0, dtype=torch.bool, device=device)
            return Tokens(nothing, mask) if port == "tokens" else nothing[:, 0:1].reshape(0, nothing.shape[2])
        ids, mask = pad(rows, int(self.tokenizer.pad_token_id or 0), device)
        output = self.network(input_ids=ids, attention_mask=mask.long())
        states: Tensor = torch.where(mask[..., None], output.last_hidden_state.float(), 0.0)
        return Tokens(states, mask) if port == "tokens" else states.sum(dim=1) / mask.sum(dim=1, keepdim=True)
