"""What the checks are written with: sentences instead of bare assertions, and comparisons of representations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from dragoman.ports import Port
    from dragoman.representation import Representation

__all__ = [
    "check_losses",
    "check_representation",
    "equal",
    "equal_states",
    "global_generator_untouched",
    "require",
    "require_equal",
    "rows_of",
]

#: Largest difference, absolute and relative, that another order of summation may make in float32.
TOLERANCE = 1e-4


def require(condition: object, sentence: str) -> None:
    """Fail with a sentence unless the condition holds."""
    if not condition:
        raise AssertionError(sentence)


def rows_of(batch: Representation) -> list[Any]:
    """The samples of a batch one by one, token sequences without their padding."""
    from dragoman.representation import Tokens

    if isinstance(batch, Tokens):
        return [values[mask] for values, mask in zip(batch.values, batch.mask, strict=True)]
    return list(batch)


def require_equal(found: Representation, expected: Representation, what: str, *, tolerance: float = 0.0) -> None:
    """Fail with ``what`` unless the batches have the same samples; with a tolerance of 0, bit for bit."""
    ours, theirs = rows_of(found), rows_of(expected)
    require(len(ours) == len(theirs), f"{what}: {len(ours)} samples are not {len(theirs)}")
    for row, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        require(_same(one, other, tolerance), f"{what}: sample {row} differs{_by(one, other)}")


def equal(one: Representation, other: Representation) -> bool:
    """Whether two batches have the same samples, bit for bit."""
    ours, theirs = rows_of(one), rows_of(other)
    return len(ours) == len(theirs) and all(_same(a, b, 0.0) for a, b in zip(ours, theirs, strict=True))


def check_representation(batch: Representation, port: Port, count: int, what: str) -> None:
    """Fail unless a batch is what a port says: modality, number of samples, shape, type, and finite."""
    from dragoman.representation import Tokens, length, mismatch

    wrong = mismatch(batch, port)
    require(not wrong, f"{what} {wrong}")
    require(length(batch) == count, f"{what} has {length(batch)} samples for {count} inputs")
    if isinstance(batch, list):
        return
    values: Any = batch.values if isinstance(batch, Tokens) else batch
    require(values.isfinite().all(), f"{what} has values that are not finite")
    if isinstance(batch, Tokens):
        require(str(batch.mask.dtype) == "torch.bool", f"the mask of {what} is {batch.mask.dtype}, not bool")
        require((batch.values[~batch.mask] == 0).all(), f"{what} is not zero outside of its mask")


def check_losses(losses: object, count: int, what: str) -> dict[str, Tensor]:
    """Fail unless these are named, finite losses with one floating-point value per sample."""
    from torch import Tensor

    require(isinstance(losses, dict) and losses, f"{what} gives no losses by name but {losses!r}")
    assert isinstance(losses, dict)
    for name, value in losses.items():
        require(isinstance(name, str) and isinstance(value, Tensor), f"{what}: the loss {name!r} is no tensor")
        shape = tuple(value.shape)
        require(shape == (count,), f"{what}: the loss {name!r} has shape {shape}, not one value for each of {count}")
        require(value.is_floating_point() and value.isfinite().all(), f"{what}: the loss {name!r} is not finite")
    return losses


def equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> str:
    """Name of the first tensor that two states do not share bit for bit, or ``""``."""
    if set(one) != set(other):
        return min(set(one) ^ set(other))
    return next((name for name, value in one.items() if not _same(value, other[name], 0.0)), "")


@contextmanager
def global_generator_untouched(what: str) -> Iterator[None]:
    """Fail if the block draws from torch's global generator."""
    import torch

    before = torch.get_rng_state()
    yield
    unchanged = torch.equal(before, torch.get_rng_state())
    require(unchanged, f"{what} draws from torch's global generator; draw from the one that is passed")


def _same(one: Any, other: Any, tolerance: float) -> bool:
    import torch

    if not isinstance(one, torch.Tensor):
        return bool(one == other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if tolerance and one.is_floating_point():
        return torch.allclose(one, other, atol=tolerance, rtol=tolerance)
    return torch.equal(one, other)


def _by(one: Any, other: Any) -> str:
    import torch

    if isinstance(one, torch.Tensor) and one.shape == other.shape and one.is_floating_point():
        return f" by up to {float((one - other).abs().max()):.1e}"
    return ""
