"""Train a translator on pairs: minimise its own losses, and optionally what a critic says of the rendered samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint
from dragoman.errors import InputError
from dragoman.representation import Representation, Tokens, disturb, length
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman.translator import Translator

__all__ = ["Paired"]

TRANSLATOR, CRITIC = "translator", "critic"


class Paired(Method):
    """The losses of :meth:`dragoman.Translator.losses` over pairs of target and condition.

    Where pairs come with draws that the captioner declined, :meth:`dragoman.Translator.declined_losses` joins them.

    With a critic, a second phase samples for the conditions of a batch now and then, renders the samples by the frozen
    target expert and has them judged against their conditions; the gradient flows back through critic and expert to
    the translator. The likelihood keeps the variety, the critic the consistency.

    Args:
        translator: what is trained.
        target: the endpoint that renders; needed with a critic only.
        critic: judges renderings, frozen.
        critic_weight: factor of each of the critic's losses.
        critic_samples: how many samples are rendered and judged at a time.
        critic_every: steps between two judgements, each of which costs as much as several steps without.
        condition_noise: standard deviation of Gaussian noise added to conditions in training: to vectors, and to every
            token. It keeps a translator from learning the wording of its captions by heart.
        token_dropout: share of the tokens of a condition that are hidden in training, to the same end; at least one
            remains. Without effect on vectors.
        learning_rate: peak of Adam's learning rate.
        warmup: steps of linear warm-up before the cosine.
        clip: largest gradient norm.

    Raises:
        InputError: a critic without a target that renders for it, or without samples to judge.
    """

    def __init__(
        self,
        translator: Translator,
        *,
        target: Endpoint | None = None,
        critic: Critic | None = None,
        critic_weight: float = 1.0,
        critic_samples: int = 64,
        critic_every: int = 4,
        condition_noise: float = 0.0,
        token_dropout: float = 0.0,
        learning_rate: float = 1e-3,
        warmup: int = 50,
        clip: float = 5.0,
    ) -> None:
        super().__init__()
        if critic and (target is None or critic_samples < 1):
            raise InputError("A critic in training needs a target that renders, and at least 1 of critic_samples.")
        self.translator = translator
        self.renderer = target.expert if target else None
        self.render_port = target.port.name if target else ""
        self.critic = critic.requires_grad_(False).eval() if critic else None
        self.critic_weight, self.critic_samples, self.critic_every = critic_weight, critic_samples, critic_every
        if not 0 <= token_dropout < 1:
            raise InputError(f"token_dropout must be in [0, 1), not {token_dropout!r}.")
        self.condition_noise, self.token_dropout = condition_noise, token_dropout
        self.learning_rate, self.warmup, self.clip = learning_rate, warmup, clip

    def phases(self) -> Sequence[Phase]:
        """One phase that moves the whole translator, and with a critic a second, less frequent one."""
        translator = Phase(
            TRANSLATOR,
            list(self.translator.parameters()),
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            clip=self.clip,
        )
        if self.critic is None:
            return (translator,)
        return (translator, replace(translator, name=CRITIC, every=self.critic_every, shares=TRANSLATOR))

    def trained(self) -> nn.Module:
        """The translator."""
        return self.translator

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """The translator's losses, or ``critic.*`` in the critic's phase."""
        target, condition = batch["target"], batch["condition"]
        if phase == CRITIC:
            judged = self._judged(_head(condition, self.critic_samples), generator)
            return {name: _spread(value, length(condition)) for name, value in judged.items()}
        assert isinstance(target, Tensor)
        losses = self.translator.losses(target, self._disturb(condition, generator), generator=generator)
        declined = batch.get("declined")
        return losses | self.translator.declined_losses(target, declined) if isinstance(declined, Tensor) else losses

    def _judged(self, condition: Representation, generator: torch.Generator) -> Losses:
        assert self.critic is not None
        assert self.renderer is not None
        latent = self.translator.sample(self._disturb(condition, generator), generator=generator)
        judged = self.critic.losses(self.renderer.decode(latent, self.render_port), condition)
        return {f"critic.{name}": self.critic_weight * value for name, value in judged.items()}

    def _disturb(self, condition: Representation, generator: torch.Generator) -> Representation:
        if isinstance(condition, Tokens):
            condition = Tokens(condition.values, _thinned(condition.mask, self.token_dropout, generator))
        return disturb(condition, self.condition_noise, generator)


def _thinned(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A mask ``[B, T]`` without a share of its tokens; one that would become empty stays as it is."""
    if not share:
        return mask
    thinner = mask & (torch.rand(mask.shape, generator=generator) >= share).to(mask.device)
    return torch.where(thinner.any(dim=1, keepdim=True), thinner, mask)


def _spread(value: Tensor, size: int) -> Tensor:
    """Losses of the first samples to losses of all, with the same mean: the others were not judged and count 0."""
    return functional.pad(value * (size / len(value)), (0, size - len(value)))


def _head(batch: Representation, rows: int) -> Representation:
    return Tokens(batch.values[:rows], batch.mask[:rows]) if isinstance(batch, Tokens) else batch[:rows]
