"""Networks on vectors that know a time and a condition."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["CausalTransformer", "ModulatedMLP", "time_features"]

#: Sines and cosines that describe a time.
TIME_FEATURES = 64
#: Ratio of the slowest to the fastest of their frequencies.
SLOWEST = 10000.0


def time_features(t: Tensor, size: int = TIME_FEATURES) -> Tensor:
    """Times ``[B]`` in [0, 1] as sines and cosines ``[B, size]`` of geometrically spaced frequencies."""
    exponent = torch.arange(size // 2, device=t.device, dtype=torch.float32) / (size // 2)
    angle = 1000 * t.float().unsqueeze(1) * torch.exp(-math.log(SLOWEST) * exponent)
    return torch.cat([angle.sin(), angle.cos()], dim=1).to(t)


class ModulatedMLP(nn.Module):
    """Residual blocks ``x + g * f(norm(x) * (1 + a) + b)``, with a, b and g computed from time and condition.

    The modulations begin at zero, so that the network does too (Peebles and Xie 2023, arXiv:2212.09748).

    Args:
        size: number D of coordinates, in and out.
        condition: size E of the condition.
        width: width of the blocks.
        depth: number of blocks.
    """

    def __init__(self, size: int, condition: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, width)
        self.describe = nn.Sequential(nn.Linear(condition + TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.modulations = nn.ModuleList(_zeros(nn.Linear(width, 3 * width)) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(depth))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)) for _ in range(depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), _zeros(nn.Linear(width, size)))

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """``[B, D]`` at times ``[B]`` under ``[B, E]`` to ``[B, D]``."""
        described = torch.nn.functional.silu(self.describe(torch.cat([condition, time_features(t)], dim=1)))
        x = self.enter(x)
        for norm, block, modulation in zip(self.norms, self.blocks, self.modulations, strict=True):
            scale, shift, gate = modulation(described).chunk(3, dim=1)
            x = x + gate * block(norm(x) * (1 + scale) + shift)
        result: Tensor = self.leave(x)
        return result


class CausalTransformer(nn.Module):
    """A transformer over condition, time, noisy vector and a query, each seeing what stands before it.

    What stands at the query is the estimate of the clean vector (Ramesh et al. 2022, arXiv:2204.06125, section 2.2).

    Args:
        size: number D of coordinates, in and out.
        condition: size E of the condition.
        width: width of the transformer.
        depth: number of layers.
        heads: attention heads; they divide the width.
        context: tokens that the condition becomes.
    """

    def __init__(self, size: int, condition: int, width: int, depth: int, heads: int, context: int) -> None:
        super().__init__()
        self.width, self.context = width, context
        self.condition = nn.Linear(condition, context * width)
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.noisy = nn.Linear(size, width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn(1, context + 3, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), _zeros(nn.Linear(width, size)))

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """``[B, D]`` at times ``[B]`` under ``[B, E]`` to ``[B, D]``."""
        result: Tensor = self.leave(self.tokens(x, t, condition)[:, -1])
        return result

    def tokens(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """The last layer, ``[B, context + 3, width]``: condition, time, noisy vector, query."""
        context = self.condition(condition).view(-1, self.context, self.width)
        time, noisy = self.time(time_features(t)).unsqueeze(1), self.noisy(x).unsqueeze(1)
        tokens = torch.cat([context, time, noisy, self.query.expand(len(x), -1, -1)], dim=1) + self.positions
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1], device=x.device, dtype=tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, src_mask=mask, is_causal=True)
        return tokens


def _zeros(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
