"""The training loop: phases, named per-sample losses, averaging, checkpoints, exact resume. Runs on accelerate."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dragoman.errors import InputError, TrainingError
from dragoman.progress import progress
from dragoman.representation import Representation, Tokens
from dragoman.training.allocator import keep_freed_memory
from dragoman.training.average import MovingAverage
from dragoman.training.checkpoint import load_checkpoint, save_checkpoint
from dragoman.training.device import choose_device
from dragoman.training.interrupt import interruptible
from dragoman.training.log import RunLog
from dragoman.training.losses import check_per_sample, describe, first_not_finite, weighted_sum
from dragoman.training.method import Batch, BatchSource, Losses, Method, Phase
from dragoman.training.phases import checked_phases
from dragoman.training.precision import uses_bfloat16
from dragoman.training.schedule import learning_rate
from dragoman.training.seeding import generator_for, global_generator_for
from dragoman.training.settings import Settings

__all__ = ["CHECKPOINT", "LOG", "Settings", "Trainer", "TrainingResult", "check_start", "move"]

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
_ENTRIES = ("run", "step", "seconds", "trained", "average", "optimizers")
#: Steps that are tried before a budget in minutes is spent: one of so many that it buys, and at least a few.
_TRIED, _FEW = 50, 3

#: Called with the step and the averaged weights.
Snapshot = Callable[[int, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        steps: steps made in all.
        seconds: wall-clock seconds spent in steps, over all resumes.
        losses: mean of each loss over the last batch for which it was computed.
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
        device: where the run takes place; ``None`` lets accelerate choose.

    Raises:
        TrainingError: the method's phases contradict each other.
    """

    def __init__(
        self,
        method: Method,
        data: BatchSource,
        settings: Settings,
        folder: Path,
        *,
        device: str | torch.device | None = None,
    ) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs

        self.method, self.data, self.settings, self.folder = method, data, settings, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.device = choose_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        # With several phases, each backward pass leaves the other phases' parameters without a gradient.
        ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Device and precision are the run's own: accelerate fixes both for the whole process, which may hold more runs.
        self.accelerator = Accelerator(mixed_precision="no", device_placement=False, kwargs_handlers=[ddp])
        self.wrapped: nn.Module = self.accelerator.prepare(method.to(self.device))
        self.phases = checked_phases(method)
        self.optimizers = {phase.name: _optimizer(phase) for phase in self.phases if not phase.shares}
        self.average = MovingAverage(method.averaged(), settings.ema_decay)
        self.step, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}

    def run(self, *, resume: bool = False, snapshot: Snapshot | None = None) -> TrainingResult:
        """Train to the last step.

        Args:
            resume: go on from the checkpoint in the folder; without it, a checkpoint that is there is removed.
            snapshot: called with the step and the averaged weights before each checkpoint is written.

        Raises:
            TrainingError: a loss or gradient is not finite, a loss is not per sample, the disk is full, or the
                checkpoint is damaged or of another run.
            KeyboardInterrupt: the user asked to stop; the checkpoint is written.
        """
        self._begin(resume)
        with interruptible() as interrupt, progress("training", self.settings.steps) as shown:
            while self.step < self.settings.steps:
                self._timed_step()
                self._log()
                stop = interrupt.requested
                self._keep(snapshot, stop)
                shown.update(self.step, describe(self.losses))
                if stop:
                    raise KeyboardInterrupt
        self.average.copy_to(self.method.averaged())
        return TrainingResult(self.step, self.seconds, dict(self.losses))

    def spend(self, minutes: float) -> None:
        """Lower the number of steps, where it has to be, so that the run takes about so long on this machine."""
        affordable = self._affordable(minutes, _FEW)
        # A few steps of a large model are minutes; of a small one, too short a while to tell how busy the machine is.
        if (trials := affordable // _TRIED) > _FEW:
            affordable = self._affordable(minutes, trials)
        self.settings = replace(self.settings, steps=min(self.settings.steps, affordable))

    def _affordable(self, minutes: float, trials: int) -> int:
        from accelerate.utils import broadcast_object_list

        steps = [max(1, int(minutes * 60 / self.seconds_per_step(trials)))]
        broadcast_object_list(steps)  # the main process's measurement counts
        return steps[0]

    def seconds_per_step(self, trials: int) -> float:
        """Mean time of a few steps, after which everything is as it was before."""
        before = copy.deepcopy(self._state())
        # Some buffers are not in the state; the networks may still write to them.
        buffers = [(buffer, buffer.clone()) for buffer in self.method.buffers()]
        count = max(trials, *(phase.every for phase in self.phases))
        self._one_step()  # the first one allocates, and runs every phase
        started = time.monotonic()
        for _ in range(count):
            self._one_step()
        seconds = (time.monotonic() - started) / count
        self._put_back(before)
        for buffer, value in buffers:
            buffer.copy_(value)
        return seconds

    def _begin(self, resume: bool) -> None:
        if resume:
            self._restore()
        self.method.trained().train()
        if self.accelerator.is_main_process:
            if not resume:
                (self.folder / CHECKPOINT).unlink(missing_ok=True)
            self.log = RunLog(self.folder / LOG, self.step)

    def _timed_step(self) -> None:
        started = time.monotonic()
        self._one_step()
        self.seconds += time.monotonic() - started

    def _one_step(self) -> None:
        for index, phase in enumerate(self.phases):
            if self.step % phase.every == 0:
                self.losses.update(self._optimise(index))
        self.average.update(self.method.averaged())
        self.step += 1

    def _optimise(self, index: int) -> dict[str, float]:
        phase = self.phases[index]
        optimizer = self.optimizers[phase.shares or phase.name]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(phase, self.step, self.settings.steps)
        means = self._gradients(index)
        self._clip(phase)
        optimizer.step()
        optimizer.zero_grad()
        return means

    def _gradients(self, index: int) -> dict[str, float]:
        phase = self.phases[index]
        path = (self.settings.seed, self.step, phase.name, self.accelerator.process_index)
        generator = generator_for(*path)
        per_process = max(1, self.settings.batch_size // self.accelerator.num_processes)
        batch = move(self.data.batch(per_process, generator), self.device)
        self._only_moving(index)
        with self._autocast(), global_generator_for(self.device, *path):
            losses: Losses = self.wrapped(phase.name, batch, generator)
        check_per_sample(losses, batch, type(self.method).__name__, phase.name)
        means = {name: loss.float().mean() for name, loss in losses.items()}
        if (name := first_not_finite(means)) is not None:
            raise self._diverged(f"Loss {name!r} became {float(means[name].detach())}", phase)
        self.accelerator.backward(weighted_sum(means, phase.weights))
        return {name: float(value.detach()) for name, value in means.items()}

    def _clip(self, phase: Phase) -> None:
        # Without a limit this only measures: a gradient of finite norm is left as it is.
        limit = math.inf if phase.clip is None else phase.clip
        norm = self.accelerator.clip_grad_norm_(list(phase.parameters), limit)
        if not torch.isfinite(norm):
            raise self._diverged(f"The gradient became {float(norm)}, while the losses were finite,", phase)

    def _diverged(self, what: str, phase: Phase) -> TrainingError:
        path = self.folder / CHECKPOINT
        kept = f"the last good checkpoint is {path}" if path.exists() else "no checkpoint was made yet"
        return TrainingError(
            f"{what} at step {self.step} (phase {phase.name!r}), so training stopped; {kept}. "
            "Lower the learning rate, or look for broken pairs."
        )

    def _autocast(self) -> torch.autocast:
        enabled = uses_bfloat16(self.settings.precision, self.device)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _only_moving(self, index: int) -> None:
        for phase in self.phases:
            for parameter in phase.parameters:
                parameter.requires_grad_(False)
        for parameter in self.phases[index].parameters:
            parameter.requires_grad_(True)

    def _log(self) -> None:
        due = self.step % self.settings.log_every == 0 or self.step == self.settings.steps
        if due and self.accelerator.is_main_process:
            entry = {"step": self.step, "seconds": round(self.seconds, 3)}
            self.log.write({**entry, **self.losses, **self.method.metrics()})

    def _keep(self, snapshot: Snapshot | None, stop: bool) -> None:
        due = self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps
        if not (due or stop) or not self.accelerator.is_main_process:
            return
        # In this order a snapshot that a kill prevents is taken again by the resumed run.
        if due and snapshot:
            snapshot(self.step, self.average.shadow)
        save_checkpoint(self.folder / CHECKPOINT, self._state())

    def _fingerprint(self) -> dict[str, Any]:
        settings = asdict(self.settings)
        return {name: settings[name] for name in ("steps", "batch_size", "seed", "ema_decay", "precision")}

    def _state(self) -> dict[str, Any]:
        return {
            "run": self._fingerprint(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": dict(self.losses),
            "trained": self.method.trained().state_dict(),
            "average": self.average.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def _put_back(self, state: Mapping[str, Any]) -> None:
        self.method.trained().load_state_dict(state["trained"])
        self.average.load_state_dict(state["average"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.step, self.seconds, self.losses = state["step"], state["seconds"], dict(state.get("losses", {}))

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        state = load_checkpoint(path, _ENTRIES)
        way_out = "resume with the same settings, or start a new run in another folder."
        for name, ours in self._fingerprint().items():
            theirs = state["run"].get(name)
            if ours != theirs:
                raise TrainingError(f"{path} belongs to a run with {name} {theirs}, not {ours}; {way_out}")
        try:
            self._put_back(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingError(f"{path} belongs to a run of another model; {way_out}") from error


def check_start(folder: Path, resume: bool) -> None:
    """For a command: that nothing is lost, and that there is something to go on with.

    Args:
        folder: of a run.
        resume: whether the user asked to go on with it.

    Raises:
        InputError: the folder holds a run already, or none to resume.
    """
    if (folder / CHECKPOINT).exists() != resume:
        if resume:
            raise InputError(f"{folder} holds no run to resume; start one without --resume.")
        raise InputError(f"{folder} holds a run already; go on with it by --resume, or use another folder.")


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
