"""The source of a fusion whose translator knows names: it hands texts on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from dragoman.expert import Expert
from dragoman.ports import Port
from dragoman.texts import check_texts

__all__ = ["ClassNames"]


class ClassNames(Expert):
    """An expert without weights: the representation of a text, at the port ``name``, is the text."""

    reads: ClassVar[str] = "text"

    def __init__(self) -> None:
        super().__init__({})

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        """The port ``name``."""
        return {"name": Port("name", "text", gives=True, summary="the text itself")}

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> list[str]:
        """The texts.

        Raises:
            PortError: the port is not ``name``.
            InputError: the inputs are no list of texts.
        """
        self.port(port)
        return check_texts(inputs)
