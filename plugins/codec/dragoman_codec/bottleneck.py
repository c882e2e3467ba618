"""The factorised prior of the side information: one learned density for each channel."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from dragoman_codec.bound import lower_bound

__all__ = ["EntropyBottleneck"]

_WIDTHS = (1, 3, 3, 3, 3, 1)
#: Values spread so much at first, about.
_INITIAL_SCALE = 2.0
#: Integers that are searched for mass, on both sides of the median.
_REACH = 512
_TAIL = 1e-7
#: Of the logits over a unit interval: where they do not rise, a mass is 0, and has no logarithm.
_LEAST_STEP = 1e-12
_PRECISION = 16
#: Of CompressAI, for a buffer that nothing here reads.
_THEIR_TAIL = 1e-9


class EntropyBottleneck(nn.Module):
    """Monotone networks as cumulative distributions (Balle et al. 2018, arXiv:1802.01436, appendix 6.1).

    Parameters and buffers are called as in CompressAI 1.2.

    Args:
        channels: of the side information.

    Attributes:
        quantiles: ``[C, 1, 3]``, of which the medians in the middle are the centres of the integer grid.
    """

    _offset: Tensor
    _quantized_cdf: Tensor
    _cdf_length: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        scale = _INITIAL_SCALE ** (1 / (len(_WIDTHS) - 1))
        for layer, (inside, outside) in enumerate(pairwise(_WIDTHS)):
            matrix = torch.full((channels, outside, inside), math.log(math.expm1(1 / scale / outside)))
            self.register_parameter(f"_matrix{layer}", nn.Parameter(matrix))
            self.register_parameter(f"_bias{layer}", nn.Parameter(torch.rand(channels, outside, 1) - 0.5))
            if layer < len(_WIDTHS) - 2:
                self.register_parameter(f"_factor{layer}", nn.Parameter(torch.zeros(channels, outside, 1)))
        self.quantiles = nn.Parameter(torch.tensor([-_INITIAL_SCALE, 0.0, _INITIAL_SCALE]).repeat(channels, 1, 1))
        logit = math.log(2 / _THEIR_TAIL - 1)
        self.register_buffer("target", torch.tensor([-logit, 0.0, logit]))
        for name in ("_offset", "_quantized_cdf", "_cdf_length"):
            self.register_buffer(name, torch.empty(0, dtype=torch.int32))

    @property
    def medians(self) -> Tensor:
        """``[C]``; constants, since nothing trains them."""
        return self.quantiles[:, 0, 1].detach()

    def forward(self, values: Tensor) -> Tensor:
        """Bits of each value, ``[B, C, H, W]``: minus log2 of the mass of the unit interval around it, at most 16."""
        rows = values.transpose(0, 1)
        logarithm = self._log_mass(rows.flatten(1).unsqueeze(1)).view(rows.shape)
        return -lower_bound(logarithm / math.log(2), -_PRECISION).transpose(0, 1)

    def round(self, values: Tensor) -> Tensor:
        """The nearest points of the channels' grids."""
        medians = self.medians.view(1, -1, 1, 1)
        return (values - medians).round() + medians

    @torch.no_grad()
    def update(self) -> None:
        """Write the integer tables that bitstreams are coded with. They are saved, so that all machines have the same.

        A channel's table covers the integers outside of which there is less than 1e-7 of its mass.
        """
        grid = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64, device=self.quantiles.device)
        points = grid.view(1, 1, -1) + self.medians.double().view(-1, 1, 1)
        mass = self._log_mass(points)[:, 0].exp().cpu()
        tables = [_table(row) for row in mass]
        longest = max(len(cdf) for _, cdf in tables)
        padded = torch.zeros(len(tables), longest, dtype=torch.int32)
        for row, (_, cdf) in enumerate(tables):
            padded[row, : len(cdf)] = cdf
        place = self.quantiles.device
        self._offset = torch.tensor([offset for offset, _ in tables], dtype=torch.int32, device=place)
        self._cdf_length = torch.tensor([len(cdf) for _, cdf in tables], dtype=torch.int32, device=place)
        self._quantized_cdf = padded.to(place)

    def tables(self) -> list[tuple[int, Tensor]]:
        """For each channel its smallest symbol, and integer frequencies of the symbols from there, float64."""
        cdfs, lengths = self._quantized_cdf.cpu().double(), self._cdf_length.tolist()
        # The last interval is CompressAI's escape symbol, which these bitstreams do without.
        rows = [cdf[: length - 1].diff() for cdf, length in zip(cdfs, lengths, strict=True)]
        return list(zip(self._offset.tolist(), rows, strict=True))

    def _log_mass(self, points: Tensor) -> Tensor:
        lower, upper = self._logits(points - 0.5), self._logits(points + 0.5)
        # s(u) - s(l) = s(u) s(-l) (1 - exp(l - u)) keeps its digits, and its gradient, in both tails.
        apart = (lower - upper).clamp(max=-_LEAST_STEP)
        return functional.logsigmoid(upper) + functional.logsigmoid(-lower) + torch.log(-torch.expm1(apart))

    def _logits(self, points: Tensor) -> Tensor:
        """Of the cumulative distribution at ``[C, 1, N]``."""
        for layer in range(len(_WIDTHS) - 1):
            matrix, bias = (getattr(self, f"_{kind}{layer}").to(points.dtype) for kind in ("matrix", "bias"))
            points = functional.softplus(matrix) @ points + bias
            if layer < len(_WIDTHS) - 2:
                points = points + getattr(self, f"_factor{layer}").to(points.dtype).tanh() * points.tanh()
        return points


def _table(mass: Tensor) -> tuple[int, Tensor]:
    """The first symbol, and cumulative frequencies of the symbols and of one escape."""
    below, above = mass.cumsum(0), mass.flip(0).cumsum(0).flip(0)
    inside = ((below > _TAIL) & (above > _TAIL)).nonzero().flatten()
    first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (_REACH, _REACH)
    frequencies = _frequencies(mass[first : last + 1])
    total = torch.cat([torch.zeros(1, dtype=torch.int64), frequencies.cumsum(0)])
    return first - _REACH, torch.cat([total, torch.tensor([2**_PRECISION])]).int()


def _frequencies(mass: Tensor) -> Tensor:
    """At least 1 for each symbol, and 1 left for the escape."""
    spare = 2**_PRECISION - 1 - len(mass)
    shares = mass / mass.sum() * spare if mass.sum() > 0 else torch.zeros_like(mass)
    frequencies = shares.floor().long() + 1
    frequencies[int(mass.argmax())] += 2**_PRECISION - 1 - int(frequencies.sum())
    return frequencies
