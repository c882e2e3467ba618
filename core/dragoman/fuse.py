"""Carry out a recipe: load the experts, make pairs, train the translator, join everything to a fusion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.errors import DragomanError, InputError
from dragoman.expert import Atoms, Expert
from dragoman.fusion import Fusion
from dragoman.pairs import FilePairs, GeneratedPairs, PairStore, build_store
from dragoman.pairs.split import TrainingPart
from dragoman.plan import check_cards, check_carries, complete
from dragoman.plugins import zoo
from dragoman.recipe import Recipe
from dragoman.run import Run
from dragoman.training.device import choose_device, is_main_process
from dragoman.training.method import Method
from dragoman.training.seeding import generator_for
from dragoman.training.settings import Settings
from dragoman.training.signals import Signals
from dragoman.training.trainer import CHECKPOINT, Trainer
from dragoman.translator import Translator

__all__ = ["fuse", "load_critic"]

#: Pairs from which a translator takes its statistics before training.
INITIAL_BATCH = 4096
#: Pairs of which signals are taken.
WATCHED = 256


def fuse(recipe: Recipe, folder: Path, *, device: str | None = None, resume: bool = False) -> Fusion:
    """Make the fusion that a recipe describes. Everything that can be wrong with it is found before the work begins.

    Args:
        recipe: what to do.
        folder: the run's folder: pairs, checkpoint and log; the caller saves the fusion.
        device: where everything runs; ``None`` lets accelerate choose.
        resume: go on with the run that was interrupted in this folder, wherever that was; begin one if there is none,
            since whoever was killed early has lost nothing.

    Raises:
        DragomanError: something in the recipe does not exist or does not fit, or training had to stop.
    """
    asked, run = recipe, Run(folder)
    resume = resume and run.started
    recipe = complete(asked, run.resume(asked) if resume else None)
    check_cards(recipe)
    place = choose_device(device)
    source = Endpoint.load(EndpointSpec.parse(recipe.source), giving=True, device=place)
    target = Endpoint.load(EndpointSpec.parse(recipe.target), giving=False, device=place)
    translator = _translator(recipe.translator, source, target, recipe.training["seed"])
    make_method = _method(recipe.method, target, place)
    ranker = load_critic(recipe.ranker, place) if recipe.ranker else None
    supply = _supply(recipe.pairs, source, target, place)
    if ranker and isinstance(supply, GeneratedPairs):
        _check_ranker(recipe.ranker, ranker, source, target)
    names = {"translator": recipe.translator["name"], "ranker": recipe.ranker}
    fusion = Fusion(source, translator, target, ranker=ranker, names=names).prefer(**recipe.sampling)
    if not resume:
        _begin(run, asked, folder)
    pairs = TrainingPart(_made(supply, recipe.pairs, folder), recipe.pairs["validation"])
    _initialize(translator, target, pairs, recipe.training["seed"])
    trainer = _trainer(recipe, make_method(translator), pairs, folder, place)
    if is_main_process():
        run.start(asked, trainer.settings.steps)
    signals = Signals(translator, pairs.validation(WATCHED), trainer)
    result = trainer.run(resume=resume and (folder / CHECKPOINT).exists(), snapshot=signals)
    recipe = replace(recipe, training=asdict(trainer.settings))
    fusion.facts = {
        "recipe": recipe.to_dict(),
        "training": {"steps": result.steps, "seconds": round(result.seconds, 1), "pairs": len(pairs), **result.losses},
    }
    translator.eval()
    return fusion


def load_critic(name: str, device: str | torch.device | None = None) -> Critic:
    """A critic by the name on its card, frozen, with its default weights if it has any.

    Raises:
        UnknownNameError: no installed plugin offers it.
        InputError: it has weights, but its card says not where.
    """
    card = zoo().critics.find(name).card
    kind = card.load()
    if not issubclass(kind, Expert):
        plain: Critic = kind().to(device)
        return plain.requires_grad_(False).eval()
    if not card.repo:
        raise InputError(f"Critic {name!r} has no default checkpoint, so it cannot be used by its name alone.")
    critic: Critic = kind.from_pretrained(card.repo, device=device)
    return critic


def _translator(spec: Mapping[str, Any], source: Endpoint, target: Endpoint, seed: int) -> Translator:
    options = dict(spec)
    card = zoo().translators.find(options.pop("name")).card
    check_carries(card, source.name, source.port, target.name, target.port)
    kind: type[Translator] = card.load()
    # Layers draw their first weights from torch's global generator; seed a copy of it, and leave the original alone.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return kind.build(source.port, target.port, **options)
        except TypeError as error:
            raise InputError(f"Translator {card.name!r} does not take these options: {error}.") from error


def _method(spec: Mapping[str, Any], target: Endpoint, place: torch.device) -> Callable[[Translator], Method]:
    options = dict(spec)
    card = zoo().methods.find(options.pop("name")).card
    kind: type[Method] = card.load()
    try:
        inspect.signature(kind).bind(None, target=target, **options)
    except TypeError as error:
        raise InputError(f"Method {card.name!r} does not take these options: {error}.") from error
    if options.get("critic"):
        options["critic"] = load_critic(options["critic"], place)
    return lambda translator: kind(translator, target=target, **options)


def _supply(
    options: Mapping[str, Any], source: Endpoint, target: Endpoint, place: torch.device
) -> FilePairs | GeneratedPairs:
    if "folder" in options:
        return FilePairs(Path(options["folder"]), source, target)
    captioner = EndpointSpec.parse(options["captioner"])
    return GeneratedPairs(
        source, target, load_expert(captioner.expert, captioner.address, device=place), options["spread"]
    )


@torch.no_grad()
def _check_ranker(name: str, ranker: Critic, source: Endpoint, target: Endpoint) -> None:
    """Let the critic score one output: a critic of other conditions would be found out after training."""
    output = target.expert.decode(
        target.expert.draw(target.port.name, 1, generator=generator_for(0, "ranker")), target.port.name
    )
    condition = source.expert.encode(["a text"], source.port.name)
    try:
        ranker.score(output, condition)
    except DragomanError as error:
        raise InputError(
            f"Critic {name!r} cannot rank what is made from {source.name}'s port {source.port.name!r}: {error}"
        ) from error


def _begin(run: Run, asked: Recipe, folder: Path) -> None:
    if is_main_process():
        # The checkpoint of an earlier run must not be taken for one of this run.
        (folder / CHECKPOINT).unlink(missing_ok=True)
        run.start(asked)


def _made(supply: FilePairs | GeneratedPairs, options: Mapping[str, Any], folder: Path) -> PairStore | FilePairs:
    from accelerate import PartialState

    if isinstance(supply, FilePairs):
        return supply
    with PartialState().local_main_process_first():
        return build_store(folder / "pairs", supply, options["count"], options["seed"])


def _initialize(translator: Translator, target: Endpoint, pairs: TrainingPart, seed: int) -> None:
    first = pairs.batch(min(INITIAL_BATCH, len(pairs)), generator_for(seed, "initialize"))
    values, atoms = first["target"], target.expert.atoms(target.port.name)
    assert isinstance(values, Tensor)
    if atoms is not None:
        atoms = Atoms(atoms.start, atoms.values.cpu())  # pairs and translator are there, too
    translator.initialize(values, first["condition"], atoms)


def _trainer(recipe: Recipe, method: Method, pairs: TrainingPart, folder: Path, place: torch.device) -> Trainer:
    options = dict(recipe.training)
    minutes = options.pop("minutes", None)
    trainer = Trainer(method, pairs, Settings(**options), folder, device=place)
    if minutes is not None:
        trainer.spend(minutes)
    return trainer
