"""Carrying out a recipe: stage by stage, each from the best snapshot of the one before."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.atomic import replacing
from dragoman.errors import InputError
from dragoman.training.device import choose_device, is_main_process
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import CHECKPOINT, Settings, Trainer
from dragoman_registry.image_folder import ImageFolder
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_vision_aided.augment import DiffAugment
from dragoman_vision_aided.bank import Member, load_bank
from dragoman_vision_aided.data import RealImages, load_real
from dragoman_vision_aided.evaluation import Evaluator, expert_of
from dragoman_vision_aided.networks import Start, start_of
from dragoman_vision_aided.ranking import Ranked, draw_images, rank
from dragoman_vision_aided.recipe import GANRecipe
from dragoman_vision_aided.snapshots import BEST, Snapshots, averaged_weights, go_on_from, load_best, read_curve
from dragoman_vision_aided.stages import Chosen, added_at, build_critic, choose

__all__ = ["RUN", "STAGE", "Outcome", "StageRecord", "Training", "begin_run", "train_gan"]

RUN, STAGE = "run.json", "stage.json"
_KILO = 1000

#: What a stage was and came to, JSON-ready: ``critics``, ``ranking``, ``since``, and once finished ``best``, ``curve``.
StageRecord = dict[str, Any]


class Outcome:
    """What a training came to.

    Attributes:
        expert: the best snapshot of all stages.
        records: one for each stage.
        best: the index of the stage that it is from.
        features: in which the distances were taken, ``NAME:PORT``.
        base: address of the StyleGAN2 that training began with, or ``""``.
    """

    def __init__(self, expert: StyleGAN2, records: Sequence[StageRecord], features: str, base: str) -> None:
        self.expert, self.records, self.features, self.base = expert, list(records), features, base
        self.best = best_stage(records)


def train_gan(
    recipe: GANRecipe, out: Path, *, resume: bool = False, device: str | torch.device | None = None
) -> Outcome:
    """Train a StyleGAN2 as a recipe says.

    Args:
        recipe: the recipe.
        out: folder of the run, with a folder for each stage.
        resume: go on with the run that was interrupted in the folder.
        device: where the run takes place; ``None`` lets accelerate choose.

    Raises:
        DragomanError: the recipe cannot be carried out, or the folder holds a run of another one.
    """
    if resume:
        _check_run(recipe, out)
    else:
        begin_run(recipe, out)
    training = Training(recipe, out, device)
    records: list[StageRecord] = []
    for stage in range(len(recipe.training.stages)):
        records.append(training.stage(stage, records, resume))
    return Outcome(training.best(records), records, training.evaluator.label, training.start.base)


class Training:
    """The parts that all stages share.

    Args:
        recipe: the recipe.
        out: folder of the run.
        device: where the run takes place.
    """

    def __init__(self, recipe: GANRecipe, out: Path, device: str | torch.device | None) -> None:
        self.recipe, self.out, self.device = recipe, out, choose_device(device)
        self.data: ImageFolder
        self.data, validation = load_real(recipe.data, recipe.model)
        self.num_classes = len(self.data.classes) if recipe.model.conditional else 0
        self.start: Start = start_of(recipe, self.num_classes)
        self.bank = load_bank(recipe.critics.bank, device=self.device) if recipe.critics.strategy != "none" else []
        evaluation, seed = recipe.evaluation, recipe.training.seed
        self.evaluator = Evaluator(
            evaluation.features, validation, evaluation.samples, seed, self.bank, device=self.device
        )

    def stage(self, index: int, earlier: Sequence[StageRecord], resume: bool) -> StageRecord:
        """Carry out one stage, unless it is finished already.

        Args:
            index: from 0.
            earlier: records of the stages before.
            resume: whether to go on with what its folder holds.
        """
        folder = self.out / f"stage-{index}"
        record = _read(folder) if resume else None
        if record is None:
            record = self._plan(index, earlier)
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, record)
        if "best" not in record:
            record |= self._train(index, folder, record, resume and (folder / CHECKPOINT).exists())
            _write(folder, record)
        return record

    def best(self, records: Sequence[StageRecord]) -> StyleGAN2:
        """The expert of the best snapshot of all stages, with the discriminator that belongs to it."""
        state = load_best(self.out / f"stage-{best_stage(records)}")
        judge = {
            name.removeprefix("discriminator."): value
            for name, value in state["trained"].items()
            if name.startswith("discriminator.")
        }
        discriminator = copy.deepcopy(self.start.discriminator)
        discriminator.load_state_dict(judge)
        return expert_of(self.start.generator, averaged_weights(state), discriminator)

    def _plan(self, index: int, earlier: Sequence[StageRecord]) -> StageRecord:
        """Choose the critics of a stage: those of the one before, and what is added."""
        table = self.recipe.critics
        before: list[dict[str, Any]] = earlier[-1]["critics"] if earlier else []
        since = int(earlier[-1]["best"]["images"]) if earlier else 0
        add, ranking = added_at(table, index), list[Ranked]()
        if add and index:
            ranking = self._ranking(index, {critic["name"] for critic in before})
        chosen = choose(table, self.bank, ranking, add, since)
        return {
            "critics": [*before, *(each.to_dict() for each in chosen)],
            "ranking": [ranked.to_dict() for ranked in ranking],
            "since": since,
        }

    def _ranking(self, index: int, used: set[str]) -> list[Ranked]:
        state = load_best(self.out / f"stage-{index - 1}")
        expert = expert_of(self.start.generator, averaged_weights(state)).to(self.device)
        table, seed = self.recipe.critics, self.recipe.training.seed
        real = self.data.images
        rows = torch.randperm(len(real), generator=generator_for(seed, "probe", index))[: table.probe_images]
        fake = draw_images(expert, len(rows), seed + index)
        left = [member for member in self.bank if member.name not in used]
        return rank(left, real[rows], fake, seed=seed, repeats=table.repeats)

    def _train(self, index: int, folder: Path, record: StageRecord, resume: bool) -> StageRecord:
        method = self._method(record)
        trainer = Trainer(
            method, RealImages(self.data, self.recipe.data.mirror), self._settings(index), folder, device=self.device
        )
        if index and not resume:
            go_on_from(trainer, load_best(self.out / f"stage-{index - 1}"))
        snapshots = Snapshots(folder, trainer, self._measure, resume)
        result = trainer.run(resume=resume, snapshot=snapshots)
        # One of several processes measured; all of them plan the next stage.
        trainer.accelerator.wait_for_everyone()
        curve = read_curve(folder)
        best = min(curve, key=lambda entry: entry["distance"])
        return {"best": best, "curve": curve, "seconds": result.seconds}

    def _method(self, record: StageRecord) -> AdversarialStyleGAN2:
        table, usual = self.recipe.training, self.start.published
        members: Mapping[str, Member] = {member.name: member for member in self.bank}
        adapts_over = max(1, int(sum(table.stages) * _KILO / 4))
        critics = [
            build_critic(
                self.recipe.critics, members[each["name"]], Chosen(**each), self.num_classes, table.seed, adapts_over
            )
            for each in record["critics"]
        ]
        return AdversarialStyleGAN2(
            copy.deepcopy(self.start.generator),
            copy.deepcopy(self.start.discriminator),
            critics,
            learning_rate=table.learning_rate or usual.learning_rate,
            head_rate=table.head_rate,
            r1_gamma=_or(table.r1_gamma, usual.r1_gamma),
            path_length=_or(table.path_length, usual.path_length),
            style_mixing=usual.style_mixing,
            augment=DiffAugment(table.augment) if table.augment else None,
        )

    def _settings(self, index: int) -> Settings:
        table, usual = self.recipe.training, self.start.published
        batch = table.batch_size or usual.batch_size
        settings = Settings(
            steps=max(1, round(table.stages[index] * _KILO / batch)),
            batch_size=batch,
            # Stages count their steps from 0; each draws other batches.
            seed=table.seed + 1_000_003 * index,
            ema_decay=table.ema_decay or usual.ema_decay,
            precision=table.precision,
        )
        every = max(1, round(table.snapshot * _KILO / batch))
        return replace(settings, checkpoint_every=min(every, settings.steps), log_every=min(every, 50))

    def _measure(self, weights: Mapping[str, Tensor]) -> dict[str, float]:
        return {"distance": self.evaluator.distance(expert_of(self.start.generator, weights).to(self.device))}


def best_stage(records: Sequence[StageRecord]) -> int:
    """The stage with the best snapshot."""
    return min(range(len(records)), key=lambda index: float(records[index]["best"]["distance"]))


def begin_run(recipe: GANRecipe, out: Path) -> None:
    """Write down the recipe of a run, which can be gone on with from then on.

    Raises:
        InputError: the folder holds a run already.
    """
    if any(out.glob(f"stage-*/{BEST}")):
        raise InputError(f"{out} holds a run already; resume it with --resume, or use another folder.")
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / RUN, recipe.to_dict())


def _check_run(recipe: GANRecipe, out: Path) -> None:
    path = out / RUN
    if not path.exists():
        raise InputError(f"{out} holds no run to resume; start one without --resume.")
    # Read, not compared as text: a run may be older than an entry that recipes have gained.
    if GANRecipe.from_dict(json.loads(path.read_text(encoding="utf-8"))) != recipe:
        raise InputError(f"{out} holds a run of another recipe; resume that one, or use another folder.")


def _or(given: float, usual: float) -> float:
    """0 means what is usual, and a negative number none."""
    return usual if given == 0 else max(given, 0.0)


def _read(folder: Path) -> StageRecord | None:
    path = folder / STAGE
    if not path.exists():
        return None
    record: StageRecord = json.loads(path.read_text(encoding="utf-8"))
    return record


def _write(folder: Path, record: StageRecord) -> None:
    _write_json(folder / STAGE, record)


def _write_json(path: Path, content: Any) -> None:
    if not is_main_process():
        return
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
