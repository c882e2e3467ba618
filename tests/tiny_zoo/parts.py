"""The classes behind the cards. Every one is deterministic and small enough to be compared bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dragoman import Critic, Expert, Port, Tokens, Translator
from dragoman.representation import Representation, randn_rows


class TinyExpert(Expert):
    """An expert with one matrix."""

    def __init__(self, config: Mapping[str, Any], weight: Tensor) -> None:
        super().__init__(config)
        self.weight = nn.Parameter(weight)

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        return cls(json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")["weight"])

    def save_pretrained(self, folder: str | Path) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "config.json").write_text(json.dumps(self.config))
        save_file({"weight": self.weight.detach().contiguous()}, Path(folder) / "model.safetensors")


class TinyText(TinyExpert):
    """Texts to the mean of the vectors of their bytes; the port ``tokens`` gives them one by one."""

    reads = "text"

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        size = config["hidden"]
        return {
            "pooled": Port("pooled", "vector", (size,), gives=True),
            "tokens": Port("tokens", "tokens", ("T", size), gives=True),
        }

    def encode(self, inputs: Any, port: str, *, generator: torch.Generator | None = None) -> Representation:
        rows = [self.weight[torch.tensor(list(text.encode()))] for text in inputs]
        if port == "pooled":
            return torch.stack([row.mean(0) for row in rows])
        mask = nn.utils.rnn.pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True).bool()
        return Tokens(nn.utils.rnn.pad_sequence(rows, batch_first=True), mask)


class TinyImage(TinyExpert):
    """Vectors to images of 8 by 8 pixels."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        return {"z": Port("z", "vector", (config["latent"],), takes=True)}

    def decode(self, representation: Representation, port: str, **knobs: Any) -> Tensor:
        assert isinstance(representation, Tensor)
        return (representation @ self.weight).view(-1, 3, 8, 8).sigmoid()


class TinyGaussian(Translator):
    """A Gaussian whose mean is linear in the condition."""

    def __init__(self, condition: int, target: int, depth: int = 1) -> None:
        super().__init__({"condition": condition, "target": target, "depth": depth})
        self.layers = nn.Sequential()
        for number in range(depth):
            self.layers.append(nn.Linear(target if number else condition, target))

    @classmethod
    def build(cls, source: Port, target: Port, **options: Any) -> Self:
        return cls(source.shape[-1], target.shape[-1], **options)  # type: ignore[arg-type]

    def sample(
        self,
        condition: Representation,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        **knobs: Any,
    ) -> Tensor:
        vectors = condition.values.mean(1) if isinstance(condition, Tokens) else condition
        assert isinstance(vectors, Tensor)
        mean: Tensor = self.layers(vectors)
        return mean + temperature * randn_rows(len(mean), mean.shape[1], generator)


class TinyBrightness(Critic):
    """A critic without weights."""

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        return {"dark": 1 - outputs.flatten(1).mean(1)}


class TinyJudge(Critic, TinyExpert):
    """A critic with weights of its own."""

    @classmethod
    def describe(cls, config: Mapping[str, Any]) -> dict[str, Port]:
        return {}

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        return {"ugly": outputs.flatten(1) @ self.weight}


def write_checkpoints(folder: Path, seed: int = 0) -> None:
    """Checkpoints ``text``, ``image`` and ``judge`` with random weights."""
    generator = torch.Generator().manual_seed(seed)
    TinyText({"hidden": 6}, torch.randn(256, 6, generator=generator)).save_pretrained(folder / "text")
    TinyImage({"latent": 5}, torch.randn(5, 192, generator=generator)).save_pretrained(folder / "image")
    TinyJudge({}, torch.randn(192, generator=generator)).save_pretrained(folder / "judge")
