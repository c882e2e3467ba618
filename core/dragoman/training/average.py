"""Exponential moving average of a module's weights (Polyak averaging)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MovingAverage"]


class MovingAverage:
    """``shadow <- decay * shadow + (1 - decay) * weights`` after each step; buffers are copied.

    Early on the decay is ``(1 + t) / (10 + t)``, so that the first weights are soon forgotten.

    Args:
        module: the module that is trained.
        decay: the decay once the average has warmed up; 0 makes the shadow a copy.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}
        # A parameter that two layers share has two names in the state.
        self._averaged = {name for name, _ in module.named_parameters(remove_duplicate=False)}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        for name, value in module.state_dict().items():
            if name in self._averaged:
                self.shadow[name].lerp_(value, 1 - decay)
            else:
                self.shadow[name].copy_(value)

    def state_dict(self) -> dict[str, Tensor | int]:
        """What :meth:`load_state_dict` takes."""
        return {**self.shadow, "": self.updates}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Continue from a saved average."""
        self.updates = int(state[""])
        for name, value in self.shadow.items():
            saved = state[name]
            assert isinstance(saved, Tensor)
            value.copy_(saved)

    def copy_to(self, module: nn.Module) -> None:
        """Put the averaged weights into a module."""
        module.load_state_dict(self.shadow)
