"""``dragoman pre-encode``: a file of captions to shards of representations."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["pre_encode"]

DTYPES = ("float16", "bfloat16", "float32")


@click.command("pre-encode")
@click.argument("source")
@click.argument("captions", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--dtype", type=click.Choice(DTYPES), default="float16", show_default=True, help="Type of stored values.")
@click.option("--device", help="Where the expert computes.")
def pre_encode(source: str, captions: Path, out: Path, dtype: str, device: str | None) -> None:
    """Encode CAPTIONS, one per line, by SOURCE into the folder OUT.

    SOURCE is an expert that reads text, as t5:tokens or t5=google/t5-v1_1-xxl:tokens. A run that was stopped goes on
    where it was.
    """
    import torch

    from dragoman.endpoint import Endpoint, EndpointSpec
    from dragoman_t5.captions import encode_captions, read_captions

    lines = read_captions(captions)
    endpoint = Endpoint.load(EndpointSpec.parse(source), giving=True, device=device)
    store = encode_captions(lines, endpoint, out, dtype=getattr(torch, dtype))
    click.echo(f"{len(store)} captions in {out}")
