"""How close a generator comes to real images, in the features of an expert that is no critic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError
from dragoman.metrics import Gaussian, features, frechet_distance
from dragoman.training.seeding import generator_for
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.generator import Generator
from dragoman_vision_aided.bank import Member
from dragoman_vision_aided.ranking import draw_images

__all__ = ["Evaluator", "expert_of"]


class Evaluator:
    """Fréchet distance of a generator's samples to real images.

    Args:
        spec: ``NAME[=ADDRESS][:PORT]`` of the expert whose features are compared.
        real: images uint8 ``[N, C, H, W]``.
        samples: generated images, and at most as many real ones.
        seed: of the samples and of the choice of real images.
        bank: experts that judge in training.
        device: where features are computed.

    Raises:
        InputError: the expert is in the bank, or there are too few images.
    """

    def __init__(
        self,
        spec: str,
        real: Tensor,
        samples: int,
        seed: int,
        bank: list[Member],
        device: str | torch.device | None = None,
    ) -> None:
        self.endpoint = Endpoint.load(EndpointSpec.parse(spec), giving=True, device=device)
        _check_apart(self.endpoint, spec, bank)
        self.samples, self.seed = samples, seed
        rows = torch.randperm(len(real), generator=generator_for(seed, "real"))[:samples]
        self.real = Gaussian.of(self._features(real[rows]))

    @property
    def label(self) -> str:
        """The expert and the port, ``NAME:PORT``."""
        return f"{self.endpoint.name}:{self.endpoint.port.name}"

    def distance(self, expert: StyleGAN2) -> float:
        """Of the generator's samples; the same latents each time."""
        return frechet_distance(self.real, self._features(draw_images(expert, self.samples, self.seed)))

    def _features(self, images: Tensor) -> Tensor:
        parts = [
            features(self.endpoint.expert, part.float() / 255, self.endpoint.port.name) for part in images.split(1024)
        ]
        return torch.cat(parts)


def expert_of(
    generator: Generator, weights: Mapping[str, Tensor], discriminator: Discriminator | None = None
) -> StyleGAN2:
    """An expert with a generator of that configuration and these weights.

    Args:
        generator: a generator, which stays as it is.
        weights: its state, such as the averaged one.
        discriminator: becomes part of the expert where it is given.
    """
    expert = StyleGAN2.from_networks(generator, discriminator)
    expert.generator.load_state_dict(dict(weights))
    return expert


def _check_apart(endpoint: Endpoint, spec: str, bank: list[Member]) -> None:
    weights = Member(endpoint.name, spec, endpoint.expert, (endpoint.port.name,)).digest
    for member in bank:
        if member.digest == weights:
            raise InputError(f"{spec} is {member.name!r} of the bank; a critic cannot judge what it helped to train.")
