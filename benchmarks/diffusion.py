"""One training step of `diffusion` against the plain loop of diffusers' examples, on the same U-Net; CPU seconds.

The plain loop: the same ``UNet2DConditionModel`` with a linear projection of the tokens, ``DDPMScheduler`` for noise
and velocity, mean squared error, AdamW, ``EMAModel``. Ours: the method ``paired`` in the trainer, with all that it
adds (continuous times, min-SNR weights, dropped and disturbed conditions, attention-pooled text, named losses, checks
that everything is finite, the average, the log). Steps alternate, and each ratio is of two neighbours.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.ports import Port
from dragoman.representation import Tokens
from dragoman.training.method import Batch
from dragoman.training.paired import Paired
from dragoman.training.trainer import Settings, Trainer
from dragoman_diffusion.diffusion import Diffusion

BATCH, TOKENS, FEATURES = 16, 16, 384
#: Side of the image and the U-Net: that of the mini zoo's base, and one where the U-Net is nearly all.
SIZES: dict[str, tuple[int, dict[str, Any]]] = {
    "16 px, 2 M": (16, {"widths": [64, 64], "layers": [1, 1], "attends": [False, True], "head": 32, "patch": 2}),
    "32 px, 5 M": (32, {"widths": [64, 128], "layers": [2, 2], "attends": [False, True], "head": 32}),
}
ROUNDS = 12


class Data:
    """The same batch again and again: what is timed is the step alone."""

    def __init__(self, side: int, generator: torch.Generator) -> None:
        self.target = torch.rand(BATCH, 1, side, side, generator=generator)
        values = torch.randn(BATCH, TOKENS, FEATURES, generator=generator)
        self.condition = Tokens(values, torch.ones(BATCH, TOKENS, dtype=torch.bool))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return {"target": self.target[:size], "condition": self.condition}


class Plain(nn.Module):
    """What an example of diffusers trains."""

    def __init__(self, diffusion: Diffusion) -> None:
        super().__init__()
        self.unet = type(diffusion.network.network).from_config(diffusion.network.network.config)
        self.project, self.patch = nn.Linear(FEATURES, diffusion.config["text_width"]), diffusion.config["patch"]

    def forward(self, x: Tensor, steps: Tensor, tokens: Tensor) -> Tensor:
        projected = self.project(tokens)
        predicted: Tensor = self.unet(
            nn.functional.pixel_unshuffle(x, self.patch),
            steps,
            encoder_hidden_states=projected,
            class_labels=projected.mean(dim=1),
            return_dict=False,
        )[0]
        return nn.functional.pixel_shuffle(predicted, self.patch)


def run() -> dict[str, Any]:
    torch.set_num_threads(1)
    return {name: measure(side, options) for name, (side, options) in SIZES.items()}


def measure(side: int, options: dict[str, Any]) -> dict[str, float]:
    torch.manual_seed(0)
    source, target = Port("tokens", "tokens", ("length", FEATURES)), Port("image", "image", (1, side, side))
    diffusion = Diffusion.build(source, target, attention="concat", **options)
    data = Data(side, torch.Generator().manual_seed(0))
    diffusion.initialize(data.target, data.condition)
    steps = {"plain": plain_step(Plain(diffusion), data)}
    with tempfile.TemporaryDirectory() as folder:
        steps["ours"] = our_step(diffusion, data, Path(folder))
        pairs = [{name: seconds_of(step) for name, step in steps.items()} for _ in range(ROUNDS)][2:]
    return {
        "parameters": sum(weight.numel() for weight in diffusion.parameters()),
        "ms_plain": 1e3 * median(pair["plain"] for pair in pairs),
        "ms_ours": 1e3 * median(pair["ours"] for pair in pairs),
        "ours_over_plain": median(pair["ours"] / pair["plain"] for pair in pairs),
    }


def plain_step(model: Plain, data: Data) -> Callable[[], None]:
    # Only after the translator's module has mended torchvision where it does not fit.
    from diffusers import DDPMScheduler
    from diffusers.training_utils import EMAModel

    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0)
    average = EMAModel(model.parameters(), decay=0.999)
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")

    def step() -> None:
        clean = 2 * data.target - 1
        noise = torch.randn_like(clean)
        steps = torch.randint(0, 1000, (BATCH,))
        predicted = model(schedule.add_noise(clean, noise, steps), steps, data.condition.values)
        loss = nn.functional.mse_loss(predicted, schedule.get_velocity(clean, noise, steps))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(model.parameters())

    return step


def our_step(diffusion: Diffusion, data: Data, folder: Path) -> Callable[[], None]:
    method = Paired(diffusion, condition_noise=0.4, token_dropout=0.2, clip=1.0)
    settings = Settings(steps=1000, batch_size=BATCH, log_every=1)
    trainer = Trainer(method, data, settings, folder, device="cpu")
    trainer._begin(resume=False)

    def step() -> None:
        trainer._timed_step()
        trainer._log()

    return step


def seconds_of(step: Callable[[], None]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
