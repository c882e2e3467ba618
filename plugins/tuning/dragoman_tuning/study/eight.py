"""The generator of the study's second task: BigGAN on eight of Fashion-MNIST's ten classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
import torch
from torch import Tensor, nn

from dragoman.cli.group import Sentences
from dragoman.training.seeding import generator_for
from dragoman.training.settings import Settings
from dragoman.training.trainer import Trainer
from dragoman_biggan.adversarial import ConditionalGAN
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.plain import Discriminator, Generator, PlainConfig
from dragoman_biggan.standing import recompute_statistics
from dragoman_minizoo.data import LABELS, Labelled, fashion_mnist
from dragoman_minizoo.images import LabelledImages

__all__ = ["HELD_OUT", "SEEN", "train_eight"]

#: Classes that the generator never sees, one among the tops and one among the shoes.
HELD_OUT = ("coat", "ankle boot")
#: Names of its own classes, by its own label.
SEEN = tuple(name for name in LABELS if name not in HELD_OUT)

CONFIG = PlainConfig(
    resolution=32,
    channels=16,
    generator=(6, 6, 4, 1),
    discriminator=(1, 4, 6, 8),
    discriminator_downsamples=3,
    z_dim=64,
    shared_dim=32,
    num_classes=len(SEEN),
    attention=(),
    discriminator_attention=(),
    image_channels=1,
)


class _EightImages(LabelledImages):
    """Batches of the classes that are seen, under the generator's own labels."""

    def __init__(self) -> None:
        data = fashion_mnist("train")
        own = torch.tensor([SEEN.index(name) if name in SEEN else -1 for name in LABELS])
        rows = own[data.labels] >= 0
        super().__init__(Labelled(data.images[rows], own[data.labels[rows]]))
        self.pointing = self.pointing[torch.tensor([LABELS.index(name) for name in SEEN])]


def train_eight(out: Path, steps: int, resume: bool = False) -> Path:
    """Train it, with the recipe of ``biggan-fashion`` and fewer steps; ``OUT/model`` is the checkpoint."""
    torch.manual_seed(0)  # first weights come from torch's global generator
    generator, discriminator = Generator(CONFIG), Discriminator(CONFIG)
    for layer in [*generator.modules(), *discriminator.modules()]:
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(layer.weight)
    method = ConditionalGAN(generator, discriminator, loss="logistic", mismatch=0.08, r1=0.01, schedule="cosine")
    settings = Settings(steps=steps, batch_size=64, ema_decay=0.998, precision="auto", checkpoint_every=200)

    def keep(step: int, weights: Mapping[str, Tensor]) -> None:
        network = Generator(CONFIG)
        network.load_state_dict(weights)
        recompute_statistics(network, generator_for(0, "standing"))
        BigGAN(CONFIG.to_dict(), network).half().save_pretrained(out / "model")

    Trainer(method, _EightImages(), settings, out).run(resume=resume, snapshot=keep)
    return out / "model"


@click.command(cls=Sentences)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--steps", default=1600, show_default=True)
@click.option("--resume", is_flag=True, help="Go on with the run that was interrupted in the folder.")
def main(out: Path, steps: int, resume: bool) -> None:
    """Train the generator that never saw coats and ankle boots."""
    click.echo(train_eight(out, steps, resume))


if __name__ == "__main__":
    main()
