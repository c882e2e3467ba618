"""Flow matching as a translator: a velocity field that carries noise to vectors along nearly straight paths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.knobs import Knob
from dragoman.representation import Representation
from dragoman_diffusion.blocks import ModulatedMLP
from dragoman_diffusion.ode import METHODS, integrate, nodes
from dragoman_diffusion.options import check_choice, check_range
from dragoman_diffusion.vectors import VectorTranslator

__all__ = ["FlowMatching"]

#: Steps of the integrals that invert the flow; sampling is content with fewer.
INVERSION_STEPS = 64


class FlowMatching(VectorTranslator):
    """Conditional flow matching (Lipman et al. 2023, arXiv:2210.02747; straight paths of Liu et al., arXiv:2209.03003).

    On the path ``x_t = (1 - t) e + t x`` from noise to a target, the network learns the mean velocity ``x - e``.
    Sampling integrates that velocity from 0 to 1. The map from noise to targets is invertible, so likelihoods and
    edits exist as for a cINN, but to the precision of an integral.

    Args:
        target: size D of the target.
        condition: kind and size of the condition, as :func:`~dragoman_cinn.embedder.describe_condition` says it.
        unit: whether targets lie on the unit sphere; samples are put onto it.
        atoms: ``start``, ``count`` and ``size`` of the target's discrete coordinates, if any.
        width: width of the network.
        depth: number of its residual blocks.
        embedding: size of the embedded condition.
        embedder_width: width of the condition embedder.
        embedder_layers: hidden layers of the condition embedder.
        dropout: share of conditions that are dropped in training, for guidance.
        atom_temperature: temperature of the atoms' distribution when sampling, times the one that is asked for.
        seed: seed of the first weights.
    """

    name = "flow-matching"
    loss = "velocity"
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "large": {"width": 1024, "depth": 6}}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "width": (1, math.inf),
        "depth": (1, math.inf),
        "embedding": (1, math.inf),
        "embedder_width": (1, math.inf),
        "embedder_layers": (0, math.inf),
        "dropout": (0, 0.99),
        "atom_temperature": (0, math.inf),
        "seed": (0, 2**31 - 1),
    }
    choices: ClassVar[tuple[Knob, ...]] = (
        Knob("num_inference_steps", 8, 1, kind="whole", summary="evaluations along the path"),
        Knob("method", "midpoint", kind="choice", choices=tuple(METHODS), summary="how the path is integrated"),
        Knob("guidance_scale", 1.0, 0, summary="weight of the condition, 1 for no guidance"),
    )

    def __init__(
        self,
        *,
        target: int,
        condition: Mapping[str, Any],
        unit: bool = False,
        atoms: Mapping[str, int] | None = None,
        width: int = 256,
        depth: int = 4,
        embedding: int = 128,
        embedder_width: int = 256,
        embedder_layers: int = 2,
        dropout: float = 0.1,
        atom_temperature: float = 0.5,
        seed: int = 0,
    ) -> None:
        super().__init__(
            {
                "target": target,
                "condition": dict(condition),
                "unit": unit,
                "atoms": None if atoms is None else dict(atoms),
                "width": width,
                "depth": depth,
                "embedding": embedding,
                "embedder_width": embedder_width,
                "embedder_layers": embedder_layers,
                "dropout": dropout,
                "atom_temperature": atom_temperature,
                "seed": seed,
            }
        )

    def log_prob(self, target: Tensor, condition: Representation, *, steps: int = INVERSION_STEPS) -> Tensor:
        """``log p(target | condition)`` in nats, ``[B]``, in the target's own units, with all constants.

        The change of variables of a continuous flow: the divergence of the velocity, computed exactly from its D x D
        Jacobian and summed over the steps of the integral (Chen et al. 2018, arXiv:1806.07366). It costs D times as
        much as :meth:`sample`.

        Args:
            target: ``[B, D]``.
            condition: the conditions of the same samples.
            steps: midpoint steps.

        Raises:
            InputError: targets lie on a sphere, where there is no density over all of space.
        """
        if self.config["unit"]:
            raise InputError(
                "Vectors of unit norm have no density; log_prob needs a target port that is not normalised."
            )
        continuous, index = self._split(target)
        embedded = self._embed(condition)
        log_p = torch.zeros(len(target), device=embedded.device)
        if self.atoms is not None and index is not None:
            log_p = self.atoms.log_probability(embedded).gather(1, index.unsqueeze(1)).squeeze(1)
        if not continuous.shape[1]:
            return log_p
        informed = self._inform(embedded, index)
        *visited, (noise, _) = nodes(
            self._guided(embedded, index, 1), self.standardizer(continuous), steps, "midpoint", backwards=True
        )
        divergence = sum(self._divergence(x, t, informed) for x, t in visited) / steps
        log_normal = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(dim=1)
        return log_p + log_normal - divergence + self.standardizer.log_det()

    def residual(self, rep: Tensor, condition: Representation, *, steps: int = INVERSION_STEPS) -> Tensor:
        """What the condition does not say about a representation: the noise that it would be sampled from.

        Args:
            rep: ``[B, D]``.
            condition: the conditions that go with it.
            steps: midpoint steps; the error of there and back falls with their square.

        Returns:
            ``[B, D]``; with atoms of size d ``[B, D - d + 2]``, the last two columns being the atom's index and
            whether the condition explains the atom (1 or 0).
        """
        continuous, index = self._split(rep)
        embedded = self._embed(condition)
        x = self.standardizer(continuous)
        v = integrate(self._guided(embedded, index, 1), x, steps, "midpoint", backwards=True) if x.shape[1] else x
        if self.atoms is None or index is None:
            return v
        return torch.cat([v, torch.stack([index, self.atoms.explains(embedded, index)], dim=1).to(v)], dim=1)

    def restore(self, residual: Tensor, condition: Representation, *, steps: int = INVERSION_STEPS) -> Tensor:
        """The representation with that residual under a condition: the inverse of :meth:`residual`, ``[B, D]``.

        Under another condition than its own an atom may be exchanged (see :meth:`transfer`).
        """
        embedded = self._embed(condition)
        v, index = residual.to(embedded), None
        if self.atoms is not None:
            v, atom, explained = v[:, :-2], v[:, -2].long(), v[:, -1].bool()
            index = self.atoms.exchange(embedded, atom, explained)
        if v.shape[1]:
            v = integrate(self._guided(embedded, index, 1), v, steps, "midpoint")
        return self._join(v, index)

    def transfer(self, rep: Tensor, from_condition: Representation, to_condition: Representation) -> Tensor:
        """Keep the residual, exchange the condition, ``[B, D]``.

        An atom is exchanged for the most likely one of ``to_condition`` if ``from_condition`` explains it and
        ``to_condition`` does not; otherwise it is kept.
        """
        return self.restore(self.residual(rep, from_condition), to_condition)

    def _make_network(self, size: int) -> nn.Module:
        return ModulatedMLP(size, self.config["embedding"], self.config["width"], self.config["depth"])

    def _loss(self, clean: Tensor, informed: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        place = generator.device if generator is not None else None
        noise = torch.randn(clean.shape, generator=generator, device=place).to(clean)
        t = torch.rand(len(clean), generator=generator, device=place).to(clean)
        velocity = self.network(torch.lerp(noise, clean, t.unsqueeze(1)), t, informed)
        return {self.loss: (velocity.float() - (clean - noise)).square().mean(dim=1)}

    def _draw(
        self,
        noise: Tensor,
        embedded: Tensor,
        index: Tensor | None,
        condition: Representation,
        chosen: Mapping[str, Any],
    ) -> Tensor:
        steps, method = chosen["num_inference_steps"], chosen["method"]
        check_range("num_inference_steps", steps, 1, whole=True)
        check_choice("method", method, METHODS)
        field = self._guided(embedded, index, chosen["guidance_scale"])
        return integrate(field, noise[:, 0], steps, method)

    def _divergence(self, x: Tensor, time: float, informed: Tensor) -> Tensor:
        """Trace of the velocity's Jacobian, ``[B]``."""
        t = x.new_full((1,), time)

        def velocity(row: Tensor, condition: Tensor) -> Tensor:
            result: Tensor = self.network(row.unsqueeze(0), t, condition.unsqueeze(0)).squeeze(0)
            return result

        jacobian = torch.func.vmap(torch.func.jacrev(velocity))(x, informed)
        return torch.einsum("bii->b", jacobian)
