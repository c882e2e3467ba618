"""Train a translator on pairs: minimise its own losses, and optionally what a critic says of the rendered samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint
from dragoman.representation import Representation, Tokens
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman.translator import Translator

__all__ = ["Paired"]


class Paired(Method):
    """The losses of :meth:`dragoman.Translator.losses` over pairs of target and condition.

    With a critic, part of each batch is also sampled, rendered by the frozen target expert and judged against its
    condition; the gradient flows back through critic and expert to the translator. The likelihood keeps the
    variety, the critic the consistency.

    Args:
        translator: what is trained.
        target: the endpoint that renders; needed with a critic only.
        critic: judges renderings, frozen.
        critic_weight: factor of each of the critic's losses.
        critic_samples: how many samples of each batch are rendered and judged.
        condition_noise: standard deviation of Gaussian noise added to vector conditions in training.
        learning_rate: peak of Adam's learning rate.
        warmup: steps of linear warm-up before the cosine.
        clip: largest gradient norm.
    """

    def __init__(
        self,
        translator: Translator,
        *,
        target: Endpoint | None = None,
        critic: Critic | None = None,
        critic_weight: float = 1.0,
        critic_samples: int = 64,
        condition_noise: float = 0.0,
        learning_rate: float = 1e-3,
        warmup: int = 50,
        clip: float = 5.0,
    ) -> None:
        super().__init__()
        self.translator = translator
        self.renderer = target.expert if target else None
        self.render_port = target.port.name if target else ""
        self.critic = critic.requires_grad_(False) if critic else None
        self.critic_weight, self.critic_samples = critic_weight, critic_samples
        self.condition_noise = condition_noise
        self.learning_rate, self.warmup, self.clip = learning_rate, warmup, clip

    def phases(self) -> Sequence[Phase]:
        """One phase that moves the whole translator."""
        return (
            Phase(
                "translator",
                list(self.translator.parameters()),
                learning_rate=self.learning_rate,
                warmup=self.warmup,
                clip=self.clip,
            ),
        )

    def trained(self) -> nn.Module:
        """The translator."""
        return self.translator

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """The translator's losses, and ``critic.*`` where a critic takes part."""
        target, condition = batch["target"], batch["condition"]
        assert isinstance(target, Tensor)
        noisy = self._disturb(condition, generator)
        losses = self.translator.losses(target, noisy, generator=generator)
        if self.critic is not None:
            losses |= self._judged(condition, noisy, generator)
        return losses

    def _judged(self, condition: Representation, noisy: Representation, generator: torch.Generator) -> Losses:
        assert self.critic is not None
        assert self.renderer is not None
        asked, given = _head(condition, self.critic_samples), _head(noisy, self.critic_samples)
        images = self.renderer.decode(self.translator.sample(given, generator=generator), self.render_port)
        judged = self.critic.losses(images, asked)
        return {f"critic.{name}": self.critic_weight * value for name, value in judged.items()}

    def _disturb(self, condition: Representation, generator: torch.Generator) -> Representation:
        if not self.condition_noise or not isinstance(condition, Tensor):
            return condition
        noise = torch.randn(condition.shape, generator=generator).to(condition)
        return condition + self.condition_noise * noise


def _head(batch: Representation, rows: int) -> Representation:
    return Tokens(batch.values[:rows], batch.mask[:rows]) if isinstance(batch, Tokens) else batch[:rows]
