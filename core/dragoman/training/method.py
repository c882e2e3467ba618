"""Methods: how something is learned. A method names its phases, and gives named per-sample losses for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from dragoman.representation import Representation

__all__ = ["Batch", "BatchSource", "Losses", "Method", "Phase"]

#: One batch by column: ``{"target": [B, D], "condition": [B, C], ...}``.
Batch: TypeAlias = dict[str, Representation]
#: Losses by name, one value per sample: ``{"nll": [B]}``.
Losses: TypeAlias = dict[str, Tensor]


class BatchSource(Protocol):
    """Where batches come from: a cache of pairs, a data set, or experts that make pairs as they are needed."""

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """A batch that depends on the generator alone, so that any step of a run can be repeated."""
        ...


@dataclass
class Phase:
    """One optimisation inside a step: the parameters that move, and how.

    A translator has one phase; a GAN has two, on other parameters and other losses. Losses are averaged over the
    batch, weighted and summed.

    Args:
        name: passed to :meth:`Method.forward`.
        parameters: what this phase moves; everything else gets no gradient while it runs.
        learning_rate: peak learning rate of Adam.
        betas: Adam's running averages.
        weight_decay: decoupled weight decay (AdamW); 0 is Adam.
        weights: factor of each loss, 1 where absent.
        schedule: ``"constant"`` or ``"cosine"`` (to zero at the last step), after the warm-up.
        warmup: steps of linear warm-up.
        clip: largest gradient norm, or ``None``.
        every: run at each ``every``-th step (lazy regularisation).
        shares: name of an earlier phase over the same parameters whose optimiser this one uses, or ``""``.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)
    schedule: str = "cosine"
    warmup: int = 0
    clip: float | None = None
    every: int = 1
    shares: str = ""


class Method(nn.Module):
    """What the trainer runs. Modules assigned as attributes move to the device; frozen ones stay frozen.

    Subclasses implement :meth:`phases`, :meth:`trained` and :meth:`forward`. What changes from step to step is in
    the state of :meth:`trained`, or it would be lost when a run is resumed.
    """

    def phases(self) -> Sequence[Phase]:
        """The phases of one step, in order."""
        raise NotImplementedError

    def trained(self) -> nn.Module:
        """The module that holds everything that moves: what checkpoints contain."""
        raise NotImplementedError

    def averaged(self) -> nn.Module:
        """The part of :meth:`trained` of which the trainer keeps an exponential moving average; the result."""
        return self.trained()

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """Named losses of a phase, one value per sample of the batch.

        Args:
            phase: name of the phase.
            batch: from the batch source, on the run's device.
            generator: the source of randomness, on the CPU; the same at the same step of every run. Layers that know
                torch's global generator only, such as dropout, find that seeded by the step as well.
        """
        raise NotImplementedError

    def metrics(self) -> dict[str, Any]:
        """Values for the log, beside the losses."""
        return {}
