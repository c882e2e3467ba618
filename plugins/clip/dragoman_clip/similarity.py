"""The critic: whether images show what their texts say, by CLIP."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor
from torch.nn import functional

from dragoman.critic import Critic
from dragoman.errors import InputError
from dragoman.ports import describe_shape
from dragoman.representation import Representation
from dragoman_clip.expert import Clip

__all__ = ["ClipSimilarity"]


class ClipSimilarity(Critic, Clip):
    """Cosine of the embeddings of each image and its text (CLIPScore: Hessel et al. 2021, arXiv:2104.08718).

    It is loaded as :class:`~dragoman_clip.expert.Clip` is, or made from one that is loaded, whose weights it shares.
    """

    @classmethod
    def of(cls, clip: Clip) -> Self:
        """A critic that looks with a loaded expert."""
        critic = cls(clip.config, clip.network, clip.tokenizer, clip.preprocessor)
        critic.origin = clip.origin
        return critic.freeze()

    def losses(self, outputs: Tensor, condition: Representation, **context: Any) -> dict[str, Tensor]:
        """``similarity``: one minus the cosine, ``[B]``, in [0, 2].

        Args:
            outputs: images, float ``[B, 1 or 3, H, W]`` in [0, 1].
            condition: their texts (list of str), or embeddings of the port ``text`` or ``image`` of this checkpoint,
                ``[B, D]``.
            **context: not used.

        Raises:
            InputError: the condition is neither, or not one for each image.
        """
        wanted = self._embeddings(condition)
        if len(wanted) != len(outputs):
            raise InputError(f"clip-similarity has {len(outputs)} images to compare with {len(wanted)} conditions.")
        found = self.encode(outputs, "image")
        assert isinstance(found, Tensor)
        return {"similarity": 1 - (found * wanted).sum(dim=1)}

    def score(self, outputs: Tensor, condition: Representation) -> Tensor:
        """The cosine of each image and its text, ``[B]``, in [-1, 1]."""
        return 1 - self.losses(outputs, condition)["similarity"]

    def _embeddings(self, condition: Representation) -> Tensor:
        if isinstance(condition, list):
            condition = self.encode(condition, "text")
        shape = self.ports["text"].shape
        if not isinstance(condition, Tensor) or condition.shape[1:] != shape:
            what = describe_shape(tuple(condition.shape[1:])) if isinstance(condition, Tensor) else "tokens"
            raise InputError(
                f"clip-similarity compares with texts or with CLIP's embeddings {describe_shape(shape)}, not {what};"
                " let clip:text be the source, or pass the prompts."
            )
        return functional.normalize(condition.detach().float(), dim=1)
