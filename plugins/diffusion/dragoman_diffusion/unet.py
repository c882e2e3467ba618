"""diffusers' U-Net in the shapes that text-to-image diffusion takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from dragoman.errors import InputError
from dragoman.representation import Tokens
from dragoman_diffusion.library import UNet2DConditionModel

__all__ = ["ATTENTIONS", "UNet", "count_parameters"]

#: Cross-attention blocks after the self-attention, or text keys and values beside the image's own.
ATTENTIONS = ("cross", "concat")
#: Mean of the squares of two independent unit-variance maps that are added: skips are divided by its root.
SKIP_SCALE = 2**0.5


class _Blocks(NamedTuple):
    """diffusers' names of blocks, for levels that do not attend and that do."""

    down: tuple[str, str]
    up: tuple[str, str]
    middle: str


_CROSS = _Blocks(
    ("DownBlock2D", "CrossAttnDownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D"), "UNetMidBlock2DCrossAttn"
)
_CONCAT = _Blocks(
    ("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
    ("ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"),
    "UNetMidBlock2DSimpleCrossAttn",
)


class UNet(nn.Module):
    """A U-Net that knows a time, tokens and a vector.

    Args:
        channels: of the image in and out, as ``(in, out)``.
        widths: channels of each level; each level halves the sides.
        layers: residual blocks of each level.
        attends: for each level, whether it attends to the tokens (and to itself).
        head: channels of an attention head.
        patch: side of the squares of pixels that become one position.
        attention: a key of :data:`ATTENTIONS`.
        tokens: size of a token.
        vector: size of the vector that is added to the time embedding.
        scaled_skips: whether residual sums are divided by the root of 2, as in the Efficient U-Net.
    """

    def __init__(
        self,
        *,
        channels: tuple[int, int],
        widths: Sequence[int],
        layers: Sequence[int],
        attends: Sequence[bool],
        head: int,
        patch: int = 1,
        attention: str,
        tokens: int,
        vector: int,
        scaled_skips: bool = False,
    ) -> None:
        super().__init__()
        _check(widths, layers, attends, head)
        self.patch = patch
        self.concatenates = attention == "concat"
        blocks = _CONCAT if self.concatenates else _CROSS
        scale: dict[str, Any] = {"resnet_out_scale_factor": SKIP_SCALE} if scaled_skips else {}
        self.network = UNet2DConditionModel(
            in_channels=channels[0] * patch**2,
            out_channels=channels[1] * patch**2,
            block_out_channels=tuple(widths),
            layers_per_block=tuple(layers),
            down_block_types=tuple(blocks.down[attend] for attend in attends),
            up_block_types=tuple(blocks.up[attend] for attend in reversed(attends)),
            mid_block_type=blocks.middle if attends[-1] else None,
            # diffusers calls the number of heads "attention_head_dim", except where it is the size of a head.
            attention_head_dim=head if self.concatenates else tuple(max(1, width // head) for width in widths),
            cross_attention_dim=tokens,
            norm_num_groups=_groups(widths),
            resnet_time_scale_shift="scale_shift" if self.concatenates else "default",
            class_embed_type="projection",
            projection_class_embeddings_input_dim=vector,
            **scale,
        )

    def forward(self, x: Tensor, t: Tensor, tokens: Tokens, vector: Tensor) -> Tensor:
        """Images ``[B, C, H, W]`` at times ``[B]`` in [0, 1] to ``[B, C', H, W]``."""
        x = nn.functional.pixel_unshuffle(x, self.patch)
        tokens = self._padded(tokens, x.shape[-2] * x.shape[-1])
        predicted: Tensor = self.network(
            x,
            1000 * t,
            encoder_hidden_states=tokens.values,
            encoder_attention_mask=tokens.mask,
            class_labels=vector,
            return_dict=False,
        )[0]
        return nn.functional.pixel_shuffle(predicted, self.patch)

    def _padded(self, tokens: Tokens, pixels: int) -> Tokens:
        # Where there are as many tokens as a level has pixels, diffusers takes the mask of the tokens for one of both.
        if self.concatenates and tokens.mask.shape[1] in {pixels >> 2 * level for level in range(12)}:
            pad = nn.functional.pad
            return Tokens(pad(tokens.values, (0, 0, 0, 1)), pad(tokens.mask, (0, 1)))
        return tokens


def _groups(widths: Sequence[int]) -> int:
    """The largest number of groups, at most 32, that divides all widths and leaves four channels to a group.

    With a group for each channel nothing of a map's mean is left, such as how bright a picture is.
    """
    most = max(1, min(32, min(widths) // 4))
    return next(groups for groups in range(most, 0, -1) if all(width % groups == 0 for width in widths))


def _check(widths: Sequence[int], layers: Sequence[int], attends: Sequence[bool], head: int) -> None:
    if not len(widths) == len(layers) == len(attends) or not widths:
        raise InputError(
            f"widths, layers and attends say one thing each per level, but are {len(widths)}, {len(layers)} and "
            f"{len(attends)} long."
        )
    odd = [width for width, attend in zip(widths, attends, strict=True) if attend and width % min(head, width)]
    if odd:
        raise InputError(f"head must divide the widths of the levels that attend; {head} does not divide {odd[0]}.")


def count_parameters(module: nn.Module) -> int:
    """How many weights a module has; works on the meta device."""
    return sum(parameter.numel() for parameter in module.parameters())
