"""Several classifiers as one: what fools one of them seldom fools them all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dragoman.errors import InputError
from dragoman_tuning.classifier import Classifier, Seen

__all__ = ["Ensemble"]


class Ensemble(Classifier):
    """Mean log-probabilities of several classifiers; names of the classes and features are those of the first.

    Args:
        members: two or more, with the same classes in the same order. One whose classes have no names is taken to count
            them as the first does.

    Raises:
        InputError: they are fewer, or their classes differ.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        if len(members) < 2:
            raise InputError("An ensemble has two or more classifiers.")
        first, *others = members
        super().__init__(",".join(member.name for member in members), first.expert)
        for other in others:
            _check_same(first, other)
        self._members = list(members)

    @property
    def members(self) -> list[Classifier]:
        """The classifiers."""
        return self._members

    @classmethod
    def load(cls, text: str, device: torch.device | str | None = None) -> Classifier:
        """Load ``NAME[=ADDRESS][,NAME[=ADDRESS]...]``; one alone is no ensemble."""
        members = [Classifier.load(part, device) for part in text.split(",") if part.strip()]
        return members[0] if len(members) == 1 else cls(members)

    def see(self, images: Tensor) -> Seen:
        """Features of the first, and mean log-probabilities, with gradients to the images."""
        seen = [member.see(images) for member in self.members]
        logits = torch.stack([each.logits.log_softmax(dim=1) for each in seen]).mean(dim=0)
        return Seen(seen[0].features, logits)


def _check_same(first: Classifier, other: Classifier) -> None:
    ours, theirs = ([name.casefold() for name in each.labels] for each in (first, other))
    nameless = theirs == [str(number) for number in range(len(theirs))]
    if len(ours) != len(theirs) or not (nameless or ours == theirs):
        raise InputError(
            f"{first.name!r} and {other.name!r} know different classes; only such with the same go together."
        )
