"""The command ``dragoman convert``."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["convert"]


@click.group()
def convert() -> None:
    """Turn the checkpoint of another project into one that experts are loaded from."""


@convert.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def stylegan2(file: Path, out: Path) -> None:
    """Convert FILE, an official .pkl of stylegan2-ada-pytorch or stylegan3, to the folder OUT.

    The file is not unpickled: no code in it is run, and a file that holds anything but networks is refused. OUT has
    the averaged generator, and the discriminator where the file has one.
    """
    from dragoman_stylegan2.checkpoint import MODEL_TYPE, fill_networks
    from dragoman_stylegan2.expert import StyleGAN2
    from dragoman_stylegan2.official import read_official

    config, tensors = read_official(file)
    config = {"model_type": MODEL_TYPE, **config}
    expert = StyleGAN2(config, fill_networks(config, tensors, str(file)))
    expert.save_pretrained(out)
    sizes = ", ".join(f"{name} {sum(p.numel() for p in net.parameters()):,}" for name, net in expert.networks.items())
    click.echo(f"{out}: {expert.generator.config.resolution} px, parameters: {sizes}")
    click.echo("The licence of the file holds for what was made of it; NVIDIA's allows non-commercial use.", err=True)
