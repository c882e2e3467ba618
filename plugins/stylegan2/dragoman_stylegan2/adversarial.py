"""Adversarial training of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, in the form of arXiv:2006.06676)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.errors import InputError
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_stylegan2.critics import FurtherDiscriminator
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.generator import Generator, random_noise
from dragoman_stylegan2.penalties import path_lengths, squared_gradient

__all__ = ["AdversarialStyleGAN2", "Augment"]

#: Changes images in [-1, 1], differentiably, with randomness from a generator on the CPU.
Augment: TypeAlias = Callable[[Tensor, torch.Generator], Tensor]

_BETAS = (0.0, 0.99)
#: How fast the running means follow: of path lengths per penalty, of styles per step.
_PATH_LENGTH_RATE = 0.01
_STYLE_DECAY = 0.998
#: Bound of half-precision gradients, whose overflow is not the network's fault.
_LARGEST_GRADIENT = 1e5


class Trained(nn.Module):
    """Everything that changes from step to step.

    Attributes:
        path_length: running mean of path lengths, a scalar.
        images: images seen so far, a whole number.
    """

    path_length: Tensor
    images: Tensor

    def __init__(self, generator: Generator, discriminator: Discriminator, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.generator, self.discriminator, self.heads = generator, discriminator, nn.ModuleList(heads)
        self.register_buffer("path_length", torch.zeros(()))
        self.register_buffer("images", torch.zeros((), dtype=torch.long))


class AdversarialStyleGAN2(Method):
    """The non-saturating logistic game with R1 and path-length penalties, each every few steps, and style mixing.

    The penalties share the optimiser of their network, whose learning rate and averages are those of
    ``every / (every + 1)`` of a step, since there are so many more steps. The trainer's moving average forgets the
    first weights by itself: its half-life is at most 8 % of the images seen.

    A batch has ``image``, float ``[B, C, H, W]`` in [0, 1], and ``label``, int64 ``[B]``, where there are classes.

    Args:
        generator: the generator. Like the discriminator it may be one of an expert, to be trained on: pass a copy.
        discriminator: the discriminator.
        critics: further discriminators, see :class:`~dragoman_stylegan2.critics.FurtherDiscriminator`.
        learning_rate: of both networks.
        head_rate: learning rate of the further discriminators' heads.
        r1_gamma: weight of the R1 penalty; half of it multiplies the squared gradient.
        r1_every: steps between R1 penalties.
        path_length: weight of the path-length penalty, 0 for none.
        path_length_every: steps between path-length penalties.
        style_mixing: share of images whose later layers have another style.
        augment: applied to all images that the discriminator sees.
        schedule: ``"constant"`` or ``"cosine"``.

    Raises:
        InputError: generator and discriminator do not fit each other.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        critics: Sequence[FurtherDiscriminator] = (),
        *,
        learning_rate: float = 0.002,
        head_rate: float = 0.002,
        r1_gamma: float = 10.0,
        r1_every: int = 16,
        path_length: float = 2.0,
        path_length_every: int = 4,
        style_mixing: float = 0.9,
        augment: Augment | None = None,
        schedule: str = "constant",
    ) -> None:
        super().__init__()
        _check_fit(generator, discriminator)
        self.networks = Trained(generator, discriminator, [critic.heads for critic in critics]).requires_grad_(True)
        # Faster on a CPU than converting at each layer.
        self.networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator, self.discriminator = generator, discriminator
        self.critics = nn.ModuleList(critics)
        self.learning_rate, self.head_rate, self.schedule = learning_rate, head_rate, schedule
        self.r1_gamma, self.r1_every = r1_gamma, r1_every
        self.path_length, self.path_length_every = path_length, path_length_every
        self.style_mixing, self.augment = style_mixing, augment
        for parameter in self.networks.parameters():
            parameter.register_hook(_bounded)

    def phases(self) -> Sequence[Phase]:
        """Generator, its penalty where wanted, discriminator, its penalty where wanted, heads of critics if any."""
        every = self.path_length_every if self.path_length else 0
        phases = self._pair("generator", self.generator, "path_length", self.path_length, every)
        every = self.r1_every if self.r1_gamma else 0
        phases += self._pair("discriminator", self.discriminator, "r1", self.r1_gamma / 2, every)
        if heads := list(self.networks.heads.parameters()):
            phases.append(Phase("critics", heads, self.head_rate, betas=_BETAS, schedule=self.schedule))
        return phases

    def trained(self) -> nn.Module:
        """Both networks, the critics' heads, and what is counted."""
        return self.networks

    def averaged(self) -> nn.Module:
        """The generator."""
        return self.generator

    def metrics(self) -> dict[str, float]:
        """Images seen, and the mean path length."""
        return {"images": int(self.networks.images), "mean_path_length": float(self.networks.path_length)}

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """``g_fake`` and those of the critics; ``path_length``; ``d_fake`` and ``d_real``; ``r1``; those of heads."""
        image = batch["image"]
        assert isinstance(image, Tensor)
        labels = self._labels(batch)
        if phase == "generator":
            return self._generator_losses(len(image), labels, generator)
        if phase == "path_length":
            return {"path_length": self._path_length_penalty(len(image), labels, generator)}
        if phase == "r1":
            return {"r1": squared_gradient(lambda x: self._judge(x, labels, generator), image * 2 - 1)}
        with torch.no_grad():
            fake = self._fake(self._styles(len(image), labels, generator), generator)
        if phase == "discriminator":
            # Two passes: a minibatch statistic over both would tell them apart.
            d_fake, d_real = (self._judge(images, labels, generator) for images in (fake, image * 2 - 1))
            return {"d_fake": F.softplus(d_fake), "d_real": F.softplus(-d_real)}
        shown = (fake + 1) / 2
        return _joined(critic.losses_of_heads(image, shown, labels, generator=generator) for critic in self._critics)

    @property
    def _critics(self) -> list[FurtherDiscriminator]:
        return [critic for critic in self.critics if isinstance(critic, FurtherDiscriminator)]

    def _pair(self, name: str, network: nn.Module, penalty: str, weight: float, every: int) -> list[Phase]:
        """A network's phase, and its penalty where ``every`` is not 0."""
        moves = list(network.parameters())
        share = every / (every + 1) if every else 1.0
        rate, betas = self.learning_rate * share, (_BETAS[0] ** share, _BETAS[1] ** share)
        phases = [Phase(name, moves, rate, betas=betas, schedule=self.schedule)]
        if every:
            weights = {penalty: weight * every}
            phases.append(Phase(penalty, moves, rate, betas, 0.0, weights, self.schedule, every=every, shares=name))
        return phases

    def _generator_losses(self, count: int, labels: Tensor | None, generator: torch.Generator) -> Losses:
        styles = self._styles(count, labels, generator)
        self.generator.mapping.track(styles[:, 0], _STYLE_DECAY)
        fake = self._fake(styles, generator)
        own = {"g_fake": F.softplus(-self._judge(fake, labels, generator))}
        seen, shown = int(self.networks.images), (fake + 1) / 2
        self.networks.images += count * _processes()
        further = [
            critic.losses_of_generator(shown, labels, images=seen, generator=generator) for critic in self._critics
        ]
        return _joined([own, *further])

    def _path_length_penalty(self, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        styles = self._styles(count, labels, generator)
        images = self._fake(styles, generator)
        noise = torch.randn(images.shape, generator=_beside(generator, images.device), device=images.device)
        lengths = path_lengths(images, styles, noise)
        mean = self.networks.path_length
        mean.lerp_(lengths.detach().mean().to(mean), _PATH_LENGTH_RATE)
        # A copy: the next penalty changes the mean in place.
        return (lengths - mean.clone()).square()

    def _styles(self, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """Styles ``[count, num_ws, w]``, some of which change at a random layer."""
        config = self.generator.config
        first = self.generator.styles(self._z(count, generator), labels)
        if not self.style_mixing:
            return first
        second = self.generator.styles(self._z(count, generator), labels)
        mixed = torch.rand(count, generator=generator) < self.style_mixing
        cut = torch.randint(1, config.num_ws, (count,), generator=generator)
        later = (torch.arange(config.num_ws) >= cut[:, None]) & mixed[:, None]
        return torch.where(later.to(first.device)[:, :, None], second, first)

    def _z(self, count: int, generator: torch.Generator) -> Tensor:
        z = torch.randn(count, self.generator.config.z_dim, generator=generator)
        return z.to(self.generator.mapping.w_avg)

    def _fake(self, styles: Tensor, generator: torch.Generator) -> Tensor:
        noise = random_noise(self.generator.synthesis, len(styles), _beside(generator, styles.device))
        images: Tensor = self.generator.synthesis(styles, noise)
        return images

    def _judge(self, images: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        logits: Tensor = self.discriminator(self.augment(images, generator) if self.augment else images, labels)
        return logits

    def _labels(self, batch: Batch) -> Tensor | None:
        if not self.generator.config.num_classes:
            return None
        labels = batch.get("label")
        if not isinstance(labels, Tensor):
            raise InputError("A class-conditional StyleGAN2 is trained on images with labels; the data have none.")
        return labels


def _check_fit(generator: Generator, discriminator: Discriminator) -> None:
    for name in ("resolution", "image_channels", "num_classes"):
        made, judged = getattr(generator.config, name), getattr(discriminator.config, name)
        if made != judged:
            raise InputError(f"The generator has {name} {made}, but the discriminator {judged}; they have to be equal.")


def _joined(parts: Iterable[Losses]) -> Losses:
    """Losses of all critics.

    Raises:
        InputError: two have losses of the same name.
    """
    joined: Losses = {}
    for part in parts:
        if twice := joined.keys() & part.keys():
            raise InputError(f"Two critics have a loss {min(twice)!r}; give each critic a name of its own.")
        joined |= part
    return joined


def _beside(generator: torch.Generator, device: torch.device) -> torch.Generator:
    """A generator on the device that follows from the one on the CPU: large noise is made where it is used."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)


def _processes() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


def _bounded(gradient: Tensor | None) -> Tensor | None:
    # Only on CUDA are there half-precision layers; elsewhere a gradient that is not finite should stop the run.
    if gradient is None or not gradient.is_cuda:
        return gradient
    return gradient.nan_to_num(0.0, _LARGEST_GRADIENT, -_LARGEST_GRADIENT)
