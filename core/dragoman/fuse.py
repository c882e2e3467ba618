"""Carry out a recipe: load the experts, make pairs, train the translator, join everything to a fusion."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dragoman.critic import Critic
from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.errors import InputError
from dragoman.expert import Expert
from dragoman.fusion import Fusion
from dragoman.pairs import FilePairs, GeneratedPairs, PairStore, build_store
from dragoman.plugins import zoo
from dragoman.recipe import Recipe
from dragoman.training.method import Method
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import CHECKPOINT, Settings, Trainer
from dragoman.translator import Translator

__all__ = ["fuse", "load_critic"]

DEFAULT_PAIRS = 32768
#: Pairs from which a translator takes its statistics before training.
INITIAL_BATCH = 4096


def fuse(recipe: Recipe, folder: Path, *, device: str | None = None, resume: bool = False) -> Fusion:
    """Make the fusion that a recipe describes.

    Args:
        recipe: what to do.
        folder: the run's folder: pairs, checkpoint and log; the caller saves the fusion.
        device: where everything runs; ``None`` lets accelerate choose.
        resume: go on with the run that was interrupted in this folder.

    Raises:
        DragomanError: something in the recipe does not exist or does not fit, or training had to stop.
    """
    if resume:
        recipe = _resumed(recipe, folder)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    source = Endpoint.load(EndpointSpec.parse(recipe.source), giving=True, device=place)
    target = Endpoint.load(EndpointSpec.parse(recipe.target), giving=False, device=place)
    pairs = _pairs(recipe, source, target, folder, place)
    seed = int(recipe.training.get("seed", 0))
    translator = _translator(recipe.translator, source, target, pairs, seed)
    method = _method(recipe.method, translator, target, place)
    trainer, recipe = _trainer(recipe, method, pairs, folder, device)
    result = trainer.run(resume=resume)
    facts = {
        "recipe": recipe.to_dict(),
        "training": {"steps": result.steps, "seconds": round(result.seconds, 1), "pairs": len(pairs), **result.losses},
    }
    ranker = load_critic(recipe.ranker, place) if recipe.ranker else None
    names = {"translator": recipe.translator["name"], "ranker": recipe.ranker}
    return Fusion(source, translator.eval(), target, ranker=ranker, names=names, facts=facts)


def load_critic(name: str, device: str | torch.device | None = None) -> Critic:
    """A critic by the name on its card, with its default weights if it has any."""
    card = zoo().critics.find(name).card
    kind = card.load()
    critic: Critic = kind.from_pretrained(card.repo, device=device) if issubclass(kind, Expert) else kind()
    return critic.requires_grad_(False)


def _pairs(recipe: Recipe, source: Endpoint, target: Endpoint, folder: Path, device: str) -> PairStore | FilePairs:
    options = dict(recipe.pairs)
    if "folder" in options:
        return FilePairs(Path(options["folder"]), source, target)
    captioner = load_expert(options.get("captioner") or _captioner_of(target), device=device)
    generated = GeneratedPairs(source, target, captioner)
    count, seed = int(options.get("count", DEFAULT_PAIRS)), int(options.get("seed", 0))
    return build_store(folder / "pairs", generated, count, seed)


def _captioner_of(target: Endpoint) -> str:
    name = zoo().experts.find(target.name).card.captioner
    if not name:
        raise InputError(
            f"No captioner is known for {target.name!r}; name one with --captioner, or bring pairs with --pairs."
        )
    return name


def _translator(
    spec: Mapping[str, Any], source: Endpoint, target: Endpoint, pairs: PairStore | FilePairs, seed: int
) -> Translator:
    options = dict(spec)
    kind: type[Translator] = zoo().translators.find(options.pop("name", "")).card.load()
    # Layers draw their first weights from torch's global generator; seed a copy of it, and leave the original alone.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        translator = kind.build(source.port, target.port, **options)
    first = pairs.batch(min(INITIAL_BATCH, len(pairs)), generator_for(seed, "initialize"))
    batch_target, condition = first["target"], first["condition"]
    assert isinstance(batch_target, torch.Tensor)
    atoms = target.expert.atoms(target.port.name)
    translator.initialize(batch_target, condition, atoms)
    return translator


def _method(spec: Mapping[str, Any], translator: Translator, target: Endpoint, device: str) -> Method:
    options = dict(spec)
    card = zoo().methods.find(options.pop("name", "paired")).card
    if options.get("critic"):
        options["critic"] = load_critic(options["critic"], device)
    kind: type[Method] = card.load()
    try:
        inspect.signature(kind).bind(translator, target=target, **options)
    except TypeError as error:
        raise InputError(f"Method {card.name!r} does not take these options: {error}.") from error
    return kind(translator, target=target, **options)


def _trainer(
    recipe: Recipe, method: Method, pairs: PairStore | FilePairs, folder: Path, device: str | None
) -> tuple[Trainer, Recipe]:
    options = dict(recipe.training)
    minutes = options.pop("minutes", None)
    unknown = sorted(set(options) - set(Settings.__dataclass_fields__))
    if unknown:
        raise InputError(f"training has an unknown entry {unknown[0]!r}.")
    settings = Settings(**{"steps": 2000, **options})
    if minutes is not None and "steps" not in options:
        trial = Trainer(method, pairs, settings, folder, device=device)
        settings = replace(settings, steps=max(1, int(float(minutes) * 60 / trial.seconds_per_step())))
    done = replace(recipe, training={**options, "steps": settings.steps})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(done.to_dict(), indent=2) + "\n", encoding="utf-8")
    return Trainer(method, pairs, settings, folder, device=device), done


def _resumed(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe as the interrupted run fixed it: a budget in minutes has become steps there."""
    path = folder / "recipe.json"
    if not (folder / CHECKPOINT).exists() or not path.exists():
        raise InputError(f"{folder} holds no interrupted run to resume; start without --resume.")
    started = Recipe.from_dict(json.loads(path.read_text(encoding="utf-8")))
    same = replace(recipe, training=started.training)
    if same.to_dict() != started.to_dict():
        raise InputError(
            f"{folder} holds a run of another recipe; resume with the same options, or use another folder."
        )
    return started
