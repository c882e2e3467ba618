"""The method: embeddings move, generator and classifier stay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dragoman.expert import Expert
from dragoman.training.method import Batch, Losses, Method, Phase
from dragoman_tuning import terms
from dragoman_tuning.classifier import Classifier
from dragoman_tuning.objective import Objective
from dragoman_tuning.points import decode_points, embeddings_of

__all__ = ["EmbeddingTuning", "Embeddings", "Latents"]


class Embeddings(nn.Module):
    """Embeddings of ``C`` classes from ``S`` starts, or points in general, kept in a range.

    Args:
        starts: ``[C, S, d]``.
        low: smallest coordinate, or one for each, ``[d]``.
        high: largest.
    """

    low: Tensor
    high: Tensor

    def __init__(self, starts: Tensor, low: float | Tensor, high: float | Tensor) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(low), persistent=False)
        self.register_buffer("high", torch.as_tensor(high), persistent=False)
        self.value = nn.Parameter(starts.detach().clone())
        self.inside()

    def inside(self) -> Tensor:
        """The embeddings, run after run ``[C * S, d]``, after moving them back into the range.

        A clamp inside of the graph would leave a coordinate that has left the range without a gradient to return.
        """
        with torch.no_grad():
            self.value.clamp_(self.low, self.high)
        return self.value.flatten(0, 1)


class Latents:
    """Batches of latents, and of real images where there are any.

    Args:
        target: the generator.
        real: real images of each class ``[N, C, H, W]``.
    """

    def __init__(self, target: Expert, real: Sequence[Tensor] = ()) -> None:
        self.target, self.real = target, real

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """``z`` ``[size, Z]``, and ``real``, images ``[size, classes, C, H, W]`` drawn with replacement."""
        batch: Batch = {"z": self.target.draw("z", size, generator=generator).cpu()}
        if self.real:
            drawn = [pool[torch.randint(len(pool), (size,), generator=generator)] for pool in self.real]
            batch["real"] = torch.stack(drawn, dim=1)
        return batch


class EmbeddingTuning(Method):
    """Gradient descent on class embeddings through a frozen generator and a frozen classifier.

    All runs see the same latents, and no term of one depends on another, so that tuning many together gives what
    tuning each alone would.

    Args:
        embeddings: what moves.
        target: the generator, with ports ``class_embedding`` and ``z``.
        critic: the classifier that says whether an image shows its class.
        labels: the critic's number of each class ``[C]``.
        table: trained embeddings ``[K, d]``, for the density.
        objective: the weights.
    """

    labels: Tensor
    table: Tensor

    def __init__(
        self,
        embeddings: Embeddings,
        target: Expert,
        critic: Classifier,
        labels: Sequence[int],
        table: Tensor,
        objective: Objective,
    ) -> None:
        super().__init__()
        self.embeddings, self.target, self.network = embeddings, target, critic.network
        self.critic, self.objective = critic, objective
        starts = embeddings.value.shape[1]
        self.register_buffer("labels", torch.tensor(labels).repeat_interleave(starts))
        self.register_buffer("table", table)

    def phases(self) -> Sequence[Phase]:
        """One, on the embeddings."""
        # Losses are means over the runs; Adam's steps do not depend on that factor.
        objective = self.objective
        weights = {"diversity": -objective.diversity}
        weights |= {name: getattr(objective, name) for name in ("cross_entropy", "real", "pixels", "density", "decay")}
        return (
            Phase(
                "embeddings",
                [self.embeddings.value],
                objective.learning_rate,
                weights=weights,
                schedule=objective.schedule,
            ),
        )

    def trained(self) -> nn.Module:
        """The embeddings."""
        return self.embeddings

    def forward(self, phase: str, batch: Batch, generator: torch.Generator) -> Losses:
        """The terms with a weight, each a mean over the runs, per latent ``[B]``."""
        z, real = batch["z"], batch.get("real")
        assert isinstance(z, Tensor)
        assert real is None or isinstance(real, Tensor)
        starts = self.embeddings.value.shape[1]
        own = None if real is None else real.transpose(0, 1).repeat_interleave(starts, dim=0)
        made = self.terms(self.embeddings.inside(), self.labels, z, own)
        return {name: value.mean(dim=0) for name, value in made.items()}

    def terms(self, embeddings: Tensor, labels: Tensor, z: Tensor, real: Tensor | None) -> dict[str, Tensor]:
        """The terms with a weight, for each run and latent ``[R, B]``.

        Args:
            embeddings: points, see :mod:`dragoman_tuning.points`, ``[R, d]`` or ``[R, d + 2 Z]``.
            labels: the critic's class number of each run, int64 ``[R]``.
            z: ``[B, Z]``.
            real: real images of the class of each run ``[R, N, C, H, W]``.
        """
        size, wanted = (len(embeddings), len(z)), self.objective
        images = self.render(embeddings, z)
        vectors = embeddings_of(embeddings, self.table.shape[1])
        seen = self.critic.see(images)
        made: dict[str, Tensor] = {}
        if wanted.cross_entropy:
            loss = F.cross_entropy(seen.logits, labels.repeat_interleave(len(z)), reduction="none")
            made["cross_entropy"] = loss.unflatten(0, size)
        if wanted.diversity:
            spaces = {"features": seen.features, "probabilities": seen.logits.softmax(dim=1), "pixels": images}
            made["diversity"] = terms.diversity(spaces[wanted.space].flatten(1).unflatten(0, size), z)
        if wanted.real and real is not None:
            made["real"] = terms.energy_distance(seen.features.unflatten(0, size), self._features(real))
        if wanted.pixels and real is not None:
            made["pixels"] = terms.energy_distance(images.flatten(1).unflatten(0, size), real.flatten(2))
        if wanted.density:
            made["density"] = -terms.log_density(vectors, self.table)[:, None].expand(size)
        if wanted.decay:
            made["decay"] = 0.5 * vectors.square().sum(dim=1, keepdim=True).expand(size)
        return made

    def _features(self, real: Tensor) -> Tensor:
        with torch.no_grad():
            features: Tensor = self.critic.see(real.flatten(0, 1)).features.unflatten(0, real.shape[:2])
        return features

    def render(self, embeddings: Tensor, z: Tensor) -> Tensor:
        """Images of every embedding or point on every latent, run after run ``[R * B, C, H, W]``."""
        return decode_points(self.target, embeddings, z, self.table.shape[1])

    @torch.no_grad()
    def values(self, embeddings: Tensor, label: int, z: Tensor, real: Tensor | None) -> Tensor:
        """The weighted objective of candidates for one class.

        Args:
            embeddings: points, rendered one at a time, so that any number fits into memory.
            label: the critic's number of the class.
            z: ``[B, Z]``.
            real: real images of the class ``[N, C, H, W]``.

        Returns:
            ``[R]``.
        """
        weights = self.phases()[0].weights
        own = None if real is None else real[None]
        labels = torch.tensor([label], device=embeddings.device)
        rows = [self.terms(row[None], labels, z, own) for row in embeddings]
        return torch.stack(
            [sum((weights[name] * term.mean() for name, term in made.items()), z.new_zeros(())) for made in rows]
        )
