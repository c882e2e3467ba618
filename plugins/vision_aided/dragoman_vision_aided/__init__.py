"""Critics made of frozen vision experts, a bank that ranks them, and the training of StyleGAN2 with them."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.cards import CriticCard
from dragoman.hookspecs import hookimpl

__all__ = ["VISION_AIDED", "register_critics"]

#: A head on the features of any expert; its weights come from a run of ``dragoman train gan``.
VISION_AIDED = CriticCard(
    name="vision-aided",
    target="dragoman_vision_aided.critic:VisionAided",
    summary="Real or generated, by a small head on any vision expert's features (Kumari et al. 2022, arXiv:2112.09130)",
    losses=("g_vision-aided",),
)


@hookimpl
def register_critics(register: Callable[[CriticCard], None]) -> None:
    """Offer the critic."""
    register(VISION_AIDED)
