"""``python -m dragoman_codec.train``: a codec for all qualities, or for one, on photographs of installed packages."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from dragoman.cli.group import Sentences
from dragoman.errors import InputError
from dragoman.training import Settings, Trainer
from dragoman.training.crops import Crops
from dragoman.training.trainer import check_start
from dragoman_codec.architectures import network_of
from dragoman_codec.expert import Codec
from dragoman_codec.hyperprior import Hyperprior
from dragoman_codec.photographs import SEEN, photographs, pictures_in
from dragoman_codec.training import RateDistortion
from dragoman_yoto.coefficient import Coefficient
from dragoman_yoto.family import LossFamily
from dragoman_yoto.method import LossConditional

__all__ = ["Plan", "family_of", "film_of", "train_codec"]

LOW, HIGH = 0.0015, 0.05
#: Crops by which a network is started.
_FIRST = 128


@dataclass(frozen=True)
class Plan:
    """How a codec is trained.

    Args:
        low: smallest lambda.
        high: largest; equal to ``low``, the codec is one of a fixed quality.
        steps: how many steps.
        minutes: of processor time, where ``steps`` is not to count.
        batch_size: crops to the step.
        crop: side of a crop, a multiple of 64.
        learning_rate: at its peak.
        pictures: a folder of pictures to train on as well.
        seed: where all randomness comes from.
        film: whether the network learns of lambda; without it, this is the ablation.
        device: where to train; the accelerator if there is one.
    """

    low: float = LOW
    high: float = HIGH
    steps: int = 1000
    minutes: float = 0.0
    batch_size: int = 4
    crop: int = 128
    learning_rate: float = 1e-3
    pictures: Path | None = None
    seed: int = 0
    film: bool = True
    device: str | None = None


def family_of(low: float, high: float) -> LossFamily:
    """Rate plus lambda times distortion, for lambda from ``low`` to ``high``."""
    coefficients = (Coefficient("rate", 1, 1), Coefficient("distortion", low, high, knob="lambda"))
    return LossFamily(coefficients, normalisation="geometric")


def film_of(network: Hyperprior) -> dict[str, Any]:
    """How a codec is modulated: everywhere but in the layer that makes pixels."""
    return {"sites": ["*", f"!{network.last}"], "hidden": 64, "strength": 0.5}


def _unmodulated(network: Hyperprior) -> dict[str, Any]:
    """Coefficients are drawn, but nothing that the network computes depends on them."""
    return {"sites": [network.last], "strength": 0.0}


def train_codec(config: dict[str, Any], folder: Path, plan: Plan, *, resume: bool = False) -> Codec:
    """Train on crops of the photographs.

    Args:
        config: ``architecture``, ``N`` and ``M``.
        folder: the run's folder.
        plan: how.
        resume: go on with the run that was interrupted in the folder, to the same result on a CPU.

    Raises:
        InputError: a run is resumed whose number of steps depends on the speed of the machine.
        TrainingError: the folder holds a run of another plan.
    """
    if resume and plan.minutes:
        raise InputError(
            "A run of so many minutes cannot be resumed, as its number of steps is not known; give --steps."
        )
    crops = Crops(_pictures(plan), plan.crop)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = network_of(config)
        network.start(_first(crops, plan.seed))
        options = film_of(network) if plan.film else _unmodulated(network)
        learned = RateDistortion(network, learning_rate=plan.learning_rate)
        method = LossConditional(learned, family_of(plan.low, plan.high), **options)
    settings = Settings(plan.steps, plan.batch_size, plan.seed)
    trainer = Trainer(method, crops, settings, folder, device=plan.device)
    if plan.minutes:
        trainer.settings = replace(settings, steps=_steps(trainer, plan.minutes))
    started = time.process_time()
    result = trainer.run(resume=resume)
    facts = {"steps": result.steps, "seed": plan.seed}
    if not resume:  # nobody knows what was spent before
        facts["cpu_seconds"] = round(time.process_time() - started)
    return _finished({**config, "facts": facts}, network, method, plan)


def _first(crops: Crops, seed: int) -> Tensor:
    images = crops.batch(_FIRST, torch.Generator().manual_seed(seed))["image"]
    assert isinstance(images, Tensor)
    return images


def _pictures(plan: Plan) -> list[Tensor]:
    return photographs(SEEN) + (pictures_in(plan.pictures) if plan.pictures else [])


def _steps(trainer: Trainer, minutes: float, trials: int = 10) -> int:
    """How many steps take so long, in processor time, which other programs do not lengthen much."""
    started = time.process_time()
    trainer.seconds_per_step(trials)
    return max(1, int(minutes * 60 * (trials + 1) / (time.process_time() - started)))


def _finished(config: dict[str, Any], network: Hyperprior, method: LossConditional, plan: Plan) -> Codec:
    network.entropy_bottleneck.update()
    if not plan.film or not method.family.varying:
        return Codec(config, network)
    return Codec({**config, "family": method.family.to_dict(), "film": film_of(network)}, network, method.conditioned)


@click.command(cls=Sentences)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--architecture", default="lapped-hyperprior", show_default=True)
@click.option("--width", default=64, show_default=True, help="Channels of the convolutions.")
@click.option("--latent", default=96, show_default=True, help="Channels of the latents.")
@click.option("--lambda", "bounds", type=float, nargs=2, default=(LOW, HIGH), show_default=True, help="Its range.")
@click.option("--steps", default=0, help="Steps, instead of minutes.")
@click.option("--minutes", default=8.0, show_default=True, help="Processor time to spend.")
@click.option("--batch-size", default=4, show_default=True, help="Crops to the step.")
@click.option("--crop", default=128, show_default=True, help="Side of a crop, a multiple of 64.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="At its peak.")
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="A folder to train on as well.")
@click.option("--seed", default=0, show_default=True)
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in OUT.")
@click.option("--film/--no-film", default=True, help="Whether the network learns of lambda.")
@click.option("--device", help="Where to train; the accelerator if there is one.")
def main(
    out: Path, architecture: str, width: int, latent: int, bounds: tuple[float, float], resume: bool, **options: Any
) -> None:
    """Train a codec into the folder OUT; with two equal values of lambda, a fixed one."""
    config = {"architecture": architecture, "N": width, "M": latent}
    if options["steps"]:
        options["minutes"] = 0.0
    plan = Plan(*bounds, **{name: value for name, value in options.items() if value or name in ("film", "seed")})
    check_start(out / "run", resume)
    train_codec(config, out / "run", plan, resume=resume).save_pretrained(out)
    click.echo(out)


if __name__ == "__main__":
    main()
