"""What a run depends on, beside the method and the data."""

from __future__ import annotations

from dataclasses import dataclass

from dragoman.errors import InputError

__all__ = ["Settings"]

#: The smallest value of each whole number.
_LEAST = {"steps": 1, "batch_size": 1, "seed": 0, "log_every": 1, "checkpoint_every": 1}
_PRECISIONS = ("no", "bf16", "auto")


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside the method and the data.

    Args:
        steps: how many steps.
        batch_size: samples per step, over all processes.
        seed: where all randomness comes from.
        ema_decay: decay of the moving average; 0 keeps the last weights.
        precision: ``"no"`` for float32, ``"bf16"`` for autocast to bfloat16, ``"auto"`` for the latter where the device
            multiplies bfloat16 in hardware.
        log_every: steps between lines of the log.
        checkpoint_every: steps between checkpoints.

    Raises:
        InputError: a value is of another type, or out of range.
    """

    steps: int
    batch_size: int = 256
    seed: int = 0
    ema_decay: float = 0.999
    precision: str = "no"
    log_every: int = 50
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(f"training: {name} must be a whole number of at least {least}, not {value!r}.")
        if not isinstance(self.ema_decay, int | float) or not 0 <= self.ema_decay < 1:
            raise InputError(f"training: ema_decay must be in [0, 1), not {self.ema_decay!r}.")
        if self.precision not in _PRECISIONS:
            raise InputError(f"training: precision must be one of {', '.join(_PRECISIONS)}, not {self.precision!r}.")
