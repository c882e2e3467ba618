"""The diffusion prior as a translator: a causal transformer that predicts clean vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.errors import InputError
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman.representation import Representation
from dragoman_diffusion.blocks import CausalTransformer
from dragoman_diffusion.options import check_range
from dragoman_diffusion.sampling import SAMPLERS, denoise
from dragoman_diffusion.schedule import GRID, Schedule
from dragoman_diffusion.vectors import Field, VectorTranslator

__all__ = ["DiffusionPrior", "MatchHead"]

#: Size of the space in which conditions and vectors are compared.
MATCH_SIZE = 64
#: Cosine, as published, over continuous time.
SCHEDULE = Schedule("cosine")


class MatchHead(nn.Module):
    """How well vectors fit conditions: cosine of two projections, trained to find the partner within a batch (CLIP).

    Args:
        condition: size E of the condition.
        size: number D of coordinates.
    """

    def __init__(self, condition: int, size: int) -> None:
        super().__init__()
        self.condition = nn.Linear(condition, MATCH_SIZE)
        self.vector = nn.Sequential(nn.Linear(size, 4 * MATCH_SIZE), nn.SiLU(), nn.Linear(4 * MATCH_SIZE, MATCH_SIZE))
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def forward(self, condition: Tensor, x: Tensor) -> Tensor:
        """Cosines ``[B]`` of conditions ``[B, E]`` with vectors ``[B, D]``."""
        return functional.cosine_similarity(self.condition(condition), self.vector(x), dim=1)

    def loss(self, condition: Tensor, x: Tensor) -> Tensor:
        """Cross-entropy in nats of finding each vector's condition in the batch, ``[B]`` (van den Oord et al. 2018)."""
        one = functional.normalize(self.condition(condition), dim=1)
        other = functional.normalize(self.vector(x), dim=1)
        logits = self.log_scale.exp().clamp(max=100) * other @ one.T
        return functional.cross_entropy(logits.float(), torch.arange(len(x), device=x.device), reduction="none")


class DiffusionPrior(VectorTranslator):
    """Diffusion of vectors by a causal transformer (Ramesh et al. 2022, arXiv:2204.06125, section 2.2).

    It predicts the clean vector with a plain squared error, since that did better than predicting the noise; the
    network adds to what is best for standard normal vectors, ``alpha z`` (Karras et al. 2022, arXiv:2206.00364).
    Vectors are standardised: for a noise of unit variance, coordinates of a vector of unit norm are far too small. Of
    two samples the one that fits the condition better is kept: by the dot product where both ports are of one size and
    of unit norm, as CLIP's are; otherwise by a small head that is trained along.

    Args:
        target: size D of the target.
        condition: kind and size of the condition, as :func:`~dragoman_cinn.embedder.describe_condition` says it.
        unit: whether targets lie on the unit sphere; samples are put onto it.
        shared: whether target and condition lie on the same sphere.
        atoms: ``start``, ``count`` and ``size`` of the target's discrete coordinates, if any.
        width: width of the transformer.
        depth: number of its layers.
        heads: attention heads; they divide the width.
        context: tokens that the condition becomes.
        embedding: size of the embedded condition.
        embedder_width: width of the condition embedder.
        embedder_layers: hidden layers of the condition embedder.
        dropout: share of conditions that are dropped in training, for guidance.
        atom_temperature: temperature of the atoms' distribution when sampling, times the one that is asked for.
        seed: seed of the first weights.
    """

    name = "diffusion-prior"
    loss = "clean"
    #: ``paper``: the published width, layers and heads.
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {"width": 2048, "depth": 24, "heads": 32, "context": 77, "embedding": 2048, "embedder_width": 2048},
    }
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "width": (1, math.inf),
        "depth": (1, math.inf),
        "heads": (1, math.inf),
        "context": (1, math.inf),
        "embedding": (1, math.inf),
        "embedder_width": (1, math.inf),
        "embedder_layers": (0, math.inf),
        "dropout": (0, 0.99),
        "atom_temperature": (0, math.inf),
        "seed": (0, 2**31 - 1),
    }
    choices: ClassVar[tuple[Knob, ...]] = (
        Knob("num_inference_steps", 16, 1, GRID, kind="whole", summary="evaluations of the network"),
        Knob("sampler", "dpm++", kind="choice", choices=tuple(SAMPLERS), summary="how noise is removed"),
        Knob("guidance_scale", 1.0, 0, summary="weight of the condition, 1 for no guidance"),
        Knob("draws", 2, 1, kind="whole", summary="vectors drawn for each one that is kept"),
    )

    def __init__(
        self,
        *,
        target: int,
        condition: Mapping[str, Any],
        unit: bool = False,
        shared: bool = False,
        atoms: Mapping[str, int] | None = None,
        width: int = 128,
        depth: int = 3,
        heads: int = 4,
        context: int = 4,
        embedding: int = 128,
        embedder_width: int = 256,
        embedder_layers: int = 2,
        dropout: float = 0.1,
        atom_temperature: float = 0.5,
        seed: int = 0,
    ) -> None:
        if width % heads:
            raise InputError(f"heads must divide width; {heads} does not divide {width}.")
        super().__init__(
            {
                "target": target,
                "condition": dict(condition),
                "unit": unit,
                "shared": shared,
                "atoms": None if atoms is None else dict(atoms),
                "width": width,
                "depth": depth,
                "heads": heads,
                "context": context,
                "embedding": embedding,
                "embedder_width": embedder_width,
                "embedder_layers": embedder_layers,
                "dropout": dropout,
                "atom_temperature": atom_temperature,
                "seed": seed,
            }
        )

    @classmethod
    def _ports(cls, source: Port, target: Port) -> dict[str, Any]:
        ports = super()._ports(source, target)
        return {
            **ports,
            "shared": ports["unit"] and source.normalisation == "unit norm" and source.shape == target.shape,
        }

    def _make(self) -> None:
        super()._make()
        size = self.standardizer.mean.numel()
        learned = size and not self.config["shared"]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.config["seed"] + 1)
            self.match = MatchHead(self.config["embedding"], size) if learned else None

    def _make_network(self, size: int) -> nn.Module:
        config = self.config
        return CausalTransformer(
            size, config["embedding"], config["width"], config["depth"], config["heads"], config["context"]
        )

    def _loss(self, clean: Tensor, informed: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        t = SCHEDULE.draw(len(clean), generator).to(clean)
        place = generator.device if generator is not None else None
        noise = torch.randn(clean.shape, generator=generator, device=place).to(clean)
        alpha, sigma = (value.unsqueeze(1) for value in SCHEDULE.alpha_sigma(t))
        noisy = alpha * clean + sigma * noise
        estimate = _with_skip(noisy, t, self.network(noisy, t, informed))
        losses = {self.loss: (estimate.float() - clean).square().mean(dim=1)}
        if self.match is not None:
            losses["match"] = self.match.loss(informed.detach(), clean)
        return losses

    def _guided(self, embedded: Tensor, index: Tensor | None, scale: float) -> Field:
        field = super()._guided(embedded, index, scale)
        return lambda x, t: _with_skip(x, t, field(x, t))

    def _copies(self, chosen: Mapping[str, Any]) -> int:
        check_range("draws", chosen["draws"], 1, whole=True)
        return int(chosen["draws"])

    def _draw(
        self,
        noise: Tensor,
        embedded: Tensor,
        index: Tensor | None,
        condition: Representation,
        chosen: Mapping[str, Any],
    ) -> Tensor:
        copies = noise.shape[1]
        repeated = embedded.repeat_interleave(copies, dim=0)
        atom = None if index is None else index.repeat_interleave(copies)
        field = self._guided(repeated, atom, chosen["guidance_scale"])
        steps, sampler = chosen["num_inference_steps"], chosen["sampler"]
        drawn = denoise(field, noise.flatten(0, 1), SCHEDULE, sampler, steps)
        if copies == 1:
            return drawn
        best = self._fit(self._inform(repeated, atom), condition, drawn).view(-1, copies).argmax(dim=1)
        return drawn.view(-1, copies, drawn.shape[1])[torch.arange(len(best), device=best.device), best]

    def _fit(self, informed: Tensor, condition: Representation, drawn: Tensor) -> Tensor:
        """How well standardised samples fit their conditions, as numbers to compare within one condition."""
        if self.match is not None:
            fit: Tensor = self.match(informed, drawn)
            return fit
        assert isinstance(condition, Tensor)
        vectors = self._join(drawn, None)
        return (vectors * condition.to(vectors).repeat_interleave(len(vectors) // len(condition), dim=0)).sum(dim=1)


def _with_skip(noisy: Tensor, t: Tensor, added: Tensor) -> Tensor:
    """The clean vector: what would be best for standard normal vectors, and what the network adds to it."""
    alpha, sigma = (value.unsqueeze(1) for value in SCHEDULE.alpha_sigma(t))
    return alpha * noisy + sigma * added
