"""Adversarial training of the plain family: projection discriminator, two phases and a lazy third."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.errors import InputError
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_biggan.plain import Discriminator, Generator

__all__ = ["ConditionalGAN"]


def _hinge(logits: Tensor) -> Tensor:
    return F.relu(1 + logits)


def _softplus_of_negative(logits: Tensor) -> Tensor:
    return F.softplus(-logits)


#: The discriminator's loss for a logit that should be low, and the generator's for one that should be high.
_LOSSES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "hinge": (_hinge, torch.neg),
    "logistic": (F.softplus, _softplus_of_negative),
}


class ConditionalGAN(Method):
    """BigGAN's game on labelled images, with two safeguards for long training of small networks.

    *Mismatch* (Reed et al. 2016): real images under a wrong label count as fake, which keeps the discriminator's eye
    on the class. *R1* (Mescheder et al. 2018): the squared gradient at real images, every ``r1_every`` steps, keeps
    the discriminator from winning outright. Both at 0, and ``loss="hinge"``, is the published objective.

    A batch has ``image``, float ``[B, C, H, W]`` in [0, 1], and ``label``, int64 ``[B]``.

    Args:
        generator: the generator.
        discriminator: the discriminator.
        loss: ``"hinge"`` or ``"logistic"`` (non-saturating).
        generator_rate: peak learning rate of the generator.
        discriminator_rate: peak learning rate of the discriminator.
        mismatch: weight of the mismatched pairs.
        r1: weight of the gradient penalty, per step.
        r1_every: steps between penalties.
        schedule: ``"constant"`` or ``"cosine"``.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        *,
        loss: str = "hinge",
        generator_rate: float = 4e-4,
        discriminator_rate: float = 5e-4,
        mismatch: float = 0.5,
        r1: float = 0.0,
        r1_every: int = 8,
        schedule: str = "constant",
    ) -> None:
        super().__init__()
        if loss not in _LOSSES:
            raise InputError(f"Unknown adversarial loss {loss!r}; write {' or '.join(_LOSSES)}.")
        self.against, self.loss_of_generator = _LOSSES[loss]
        self.networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        # As their maps are; several times faster on a CPU than converting at each layer.
        self.networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator, self.discriminator = generator, discriminator
        self.rates = (generator_rate, discriminator_rate)
        self.mismatch, self.r1, self.r1_every, self.schedule = mismatch, r1, r1_every, schedule

    def phases(self) -> Sequence[Phase]:
        """Discriminator, the penalty on it where wanted, generator."""
        moves = list(self.discriminator.parameters())
        common: dict[str, Any] = {"betas": (0.0, 0.99), "warmup": 100, "schedule": self.schedule}
        phases = [Phase("discriminator", moves, self.rates[1], **common)]
        if self.r1:
            weights = {"r1": self.r1 * self.r1_every}
            options = common | {"weights": weights, "every": self.r1_every, "shares": "discriminator"}
            phases.append(Phase("r1", moves, self.rates[1], **options))
        return [*phases, Phase("generator", list(self.generator.parameters()), self.rates[0], **common)]

    def trained(self) -> nn.Module:
        """Both networks."""
        return self.networks

    def averaged(self) -> nn.Module:
        """The generator."""
        return self.generator

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``d_real``, ``d_fake`` and ``d_mismatch``; ``r1``; or ``g_fake``."""
        image, label = batch["image"], batch["label"]
        assert isinstance(image, Tensor)
        assert isinstance(label, Tensor)
        if phase == "generator":
            fake, fake_label = self._fake(len(label), label.device, generator)
            return {"g_fake": self.loss_of_generator(self.discriminator(fake, fake_label).float())}
        real = image * 2 - 1
        if phase == "r1":
            return {"r1": self._gradient_penalty(real, label)}
        return self._discriminator_losses(real, label, generator)

    def _discriminator_losses(self, real: Tensor, label: Tensor, generator: torch.Generator) -> Losses:
        with torch.no_grad():
            fake, fake_label = self._fake(len(label), label.device, generator)
        images, labels = [real, fake], [label, fake_label]
        if self.mismatch:
            classes = self.generator.config.num_classes
            shift = torch.randint(1, classes, (len(label),), generator=generator).to(label.device)
            images, labels = [*images, real], [*labels, (label + shift) % classes]
        logits = self.discriminator(torch.cat(images), torch.cat(labels)).float().split(len(label))
        losses = {"d_real": self.against(-logits[0]), "d_fake": self.against(logits[1])}
        return losses | ({"d_mismatch": self.mismatch * self.against(logits[2])} if self.mismatch else {})

    def _gradient_penalty(self, real: Tensor, label: Tensor) -> Tensor:
        real = real.detach().requires_grad_(True)
        logits = self.discriminator(real, label).float().sum()
        (gradient,) = torch.autograd.grad(logits, real, create_graph=True)
        return 0.5 * gradient.square().sum(dim=(1, 2, 3))

    def _fake(self, count: int, device: torch.device, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        config = self.generator.config
        z = torch.randn(count, config.z_dim, generator=generator).to(device)
        label = torch.randint(config.num_classes, (count,), generator=generator).to(device)
        return self.generator(z, self.generator.shared(label)), label
