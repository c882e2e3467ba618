"""The training loop: phases, named per-sample losses, averaging, checkpoints, exact resume. Runs on accelerate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import TrainingError
from dragoman.progress import progress
from dragoman.representation import Representation, Tokens
from dragoman.training.average import MovingAverage
from dragoman.training.checkpoint import load_checkpoint, save_checkpoint
from dragoman.training.interrupt import interruptible
from dragoman.training.log import RunLog
from dragoman.training.method import Batch, BatchSource, Losses, Method, Phase
from dragoman.training.schedule import learning_rate
from dragoman.training.seeding import generator_for

__all__ = ["Settings", "Trainer", "TrainingResult"]

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside the method and the data.

    Args:
        steps: how many steps.
        batch_size: samples per step, over all processes.
        seed: where all randomness comes from.
        ema_decay: decay of the moving average; 0 keeps the last weights.
        precision: ``"no"`` (float32), ``"bf16"`` or ``"fp16"``, in accelerate's words.
        log_every: steps between lines of the log.
        checkpoint_every: steps between checkpoints.
    """

    steps: int
    batch_size: int = 256
    seed: int = 0
    ema_decay: float = 0.999
    precision: str = "no"
    log_every: int = 50
    checkpoint_every: int = 500


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        steps: steps made in all.
        seconds: wall-clock seconds spent in steps, over all resumes.
        losses: mean of each loss over the last logged step.
    """

    steps: int
    seconds: float
    losses: dict[str, float]


class Trainer:
    """Runs a method and leaves the averaged weights in :meth:`Method.averaged`.

    A run is a function of method, data and settings alone: each step draws its randomness from its own number, and
    a checkpoint holds all state, so that a run which was killed and resumed ends with the same bits on a CPU.

    Args:
        method: what to train.
        data: where batches come from.
        settings: the run's settings.
        folder: where checkpoint and log go.
        device: ``"cpu"`` keeps off the accelerator; anything else lets accelerate choose.
    """

    def __init__(
        self, method: Method, data: BatchSource, settings: Settings, folder: Path, *, device: str | None = None
    ) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self.method, self.data, self.settings, self.folder = method, data, settings, folder
        folder.mkdir(parents=True, exist_ok=True)
        # With several phases, each backward pass leaves the other phases' parameters without a gradient.
        ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision=settings.precision, kwargs_handlers=[ddp])
        self.wrapped: nn.Module = self.accelerator.prepare(method)
        self.phases = list(method.phases())
        self.optimizers = {
            phase.name: self.accelerator.prepare(_optimizer(phase)) for phase in self.phases if not phase.shares
        }
        self.average = MovingAverage(method.averaged(), settings.ema_decay)
        self.step, self.seconds = 0, 0.0

    def run(
        self, *, resume: bool = False, snapshot: Callable[[int, Mapping[str, Tensor]], None] | None = None
    ) -> TrainingResult:
        """Train to the last step.

        Args:
            resume: go on from the checkpoint in the folder.
            snapshot: called with the step and the averaged weights after each checkpoint.

        Raises:
            TrainingError: a loss is not finite, the disk is full, or the checkpoint is of another run.
            KeyboardInterrupt: the user asked to stop; the checkpoint is written.
        """
        if resume:
            self._restore()
        log = RunLog(self.folder / LOG, self.step)
        means: dict[str, float] = {}
        with interruptible() as interrupt, progress("training", self.settings.steps) as shown:
            while self.step < self.settings.steps:
                started = time.monotonic()
                means = self._one_step()
                self.seconds += time.monotonic() - started
                self._report(log, means)
                if snapshot and self._checkpoint_is_due():
                    snapshot(self.step, self.average.shadow)
                shown.update(self.step, _describe(means))
                if interrupt.requested:
                    self._save()
                    raise KeyboardInterrupt
        self._save()
        self.average.copy_to(self.method.averaged())
        return TrainingResult(self.step, self.seconds, means)

    def seconds_per_step(self, trials: int = 6) -> float:
        """Median time of a few forward and backward passes that change nothing; turns minutes into steps."""
        before = {name: value.clone() for name, value in self.method.trained().state_dict().items()}
        times: list[float] = []
        for trial in range(trials):
            started = time.monotonic()
            for index in range(len(self.phases)):
                self._gradients(index, trial)
                self._optimizer_of(index).zero_grad()
            times.append(time.monotonic() - started)
        self.method.trained().load_state_dict(before)
        return sorted(times)[len(times) // 2]

    def _optimizer_of(self, index: int) -> Any:
        phase = self.phases[index]
        return self.optimizers[phase.shares or phase.name]

    def _one_step(self) -> dict[str, float]:
        means: dict[str, float] = {}
        for index, phase in enumerate(self.phases):
            if self.step % phase.every == 0:
                means.update(self._optimise(index))
        self.average.update(self.method.averaged())
        self.step += 1
        return means

    def _optimise(self, index: int) -> dict[str, float]:
        phase, optimizer = self.phases[index], self._optimizer_of(index)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase, self.step, self.settings.steps)
        means = self._gradients(index, self.step)
        if phase.clip is not None:
            self.accelerator.clip_grad_norm_(list(phase.parameters), phase.clip)
        optimizer.step()
        optimizer.zero_grad()
        return means

    def _gradients(self, index: int, step: int) -> dict[str, float]:
        phase = self.phases[index]
        generator = generator_for(self.settings.seed, step, phase.name, self.accelerator.process_index)
        per_process = max(1, self.settings.batch_size // self.accelerator.num_processes)
        batch = move(self.data.batch(per_process, generator), self.accelerator.device)
        self._only_moving(index)
        with self.accelerator.autocast():
            losses: Losses = self.wrapped(phase.name, batch, generator)
        means = {name: loss.float().mean() for name, loss in losses.items()}
        _check_finite(means, step, phase.name, self.folder / CHECKPOINT)
        self.accelerator.backward(_weighted_sum(means, phase.weights))
        return {name: float(value.detach()) for name, value in means.items()}

    def _only_moving(self, index: int) -> None:
        for other, phase in enumerate(self.phases):
            for parameter in phase.parameters:
                parameter.requires_grad_(other == index)
        for parameter in self.phases[index].parameters:
            parameter.requires_grad_(True)

    def _report(self, log: RunLog, means: Mapping[str, float]) -> None:
        if not self.accelerator.is_main_process:
            return
        last = self.step == self.settings.steps
        if self.step % self.settings.log_every == 0 or last:
            log.write(step=self.step, seconds=round(self.seconds, 3), **means, **self.method.metrics())
        if self._checkpoint_is_due() and not last:
            self._save()

    def _checkpoint_is_due(self) -> bool:
        return self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps

    def _fingerprint(self) -> dict[str, Any]:
        settings = asdict(self.settings)
        return {name: settings[name] for name in ("steps", "batch_size", "seed", "ema_decay", "precision")}

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "run": self._fingerprint(),
            "step": self.step,
            "seconds": self.seconds,
            "trained": self.method.trained().state_dict(),
            "average": self.average.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }
        save_checkpoint(self.folder / CHECKPOINT, state)

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        state = load_checkpoint(path)
        ours = self._fingerprint()
        differing = [name for name in ours if ours[name] != state["run"].get(name)]
        if differing:
            name = differing[0]
            raise TrainingError(
                f"{path} belongs to a run with {name} {state['run'].get(name)}, not {ours[name]}; "
                "resume with the same settings, or start a new run in another folder."
            )
        self.method.trained().load_state_dict(state["trained"])
        self.average.load_state_dict(state["average"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.step, self.seconds = state["step"], state["seconds"]


def move(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device; texts stay as they are."""
    return {name: _move_one(value, device) for name, value in batch.items()}


def _move_one(value: Representation, device: torch.device) -> Representation:
    if isinstance(value, Tokens):
        return Tokens(value.values.to(device), value.mask.to(device))
    return value.to(device) if isinstance(value, Tensor) else value


def _optimizer(phase: Phase) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        list(phase.parameters),
        lr=phase.learning_rate,
        betas=phase.betas,
        weight_decay=phase.weight_decay,
        fused=True,
    )


def _weighted_sum(means: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    return torch.stack([weights.get(name, 1.0) * value for name, value in means.items()]).sum()


def _check_finite(means: Mapping[str, Tensor], step: int, phase: str, checkpoint: Path) -> None:
    for name, value in means.items():
        if not torch.isfinite(value):
            kept = f"the last good checkpoint is {checkpoint}" if checkpoint.exists() else "no checkpoint was made yet"
            raise TrainingError(
                f"Loss {name!r} became {float(value)} at step {step} (phase {phase!r}), so training stopped; {kept}. "
                "Lower the learning rate, or look for broken pairs."
            )


def _describe(means: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in means.items())
