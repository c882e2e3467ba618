"""Every form of an address, everywhere a model or an expert is taken: loading, sampling, showing, checking, fusing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import dragoman
from dragoman.cli.sample import sample
from dragoman.cli.show import show
from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.fusion import Fusion
from dragoman_registry.commands import check

FORMS = {
    "folder": "{folder}",
    "name": "me/{name}",
    "tag": "me/{name}@v1",
    "commit": "me/{name}@{commit}",
    "scheme": "hf://me/{name}",
    "scheme-tag": "hf://me/{name}@v1",
    "scheme-models": "hf://models/me/{name}@{commit}",
}


@pytest.fixture
def published(
    shared_fusion: Fusion, published_experts: dict[str, str], elsewhere: Callable[[str], None], tmp_path: Path
) -> dict[str, str]:
    """A fusion in a folder and at the Hub; what stands for it in the forms."""
    shared_fusion.save_pretrained(tmp_path / "saved")
    commit = shared_fusion.push_to_hub("me/fusion", tag="v1").rpartition("/")[2]
    elsewhere("theirs")
    return {"folder": str(tmp_path / "saved"), "name": "fusion", "commit": commit}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_of_a_fusion(published: dict[str, str], shared_fusion: Fusion, tmp_path: Path, form: str) -> None:
    address, run = form.format(**published), CliRunner().invoke
    assert torch.equal(dragoman.load(address).sample("x"), shared_fusion.sample("x"))
    drawn = run(sample, [address, "x", "-n", "1", "--out", str(tmp_path / "x.png"), "--knob", "temperature=0.5"])
    assert drawn.exit_code == 0, drawn.output
    assert re.search(r"NAME +KIND +DEFAULT +LOW .*\n +temperature +number +1.0 +0 ", run(show, [address]).stdout)
    assert "reproduces: yes" in run(check, [address]).stdout


@pytest.mark.parametrize("form", list(FORMS.values())[1:], ids=list(FORMS)[1:])
def test_of_an_expert(shared_fusion: Fusion, published_experts: dict[str, str], api: object, form: str) -> None:
    api.create_tag("me/text", tag="v1")  # type: ignore[attr-defined]
    address = form.format(name="text", commit=published_experts["text"])
    for text in (f"tiny-text={address}", f"tiny-text={address}:pooled"):
        found = Endpoint.load(EndpointSpec.parse(text), giving=True)
        assert found.expert.origin is not None
        assert (found.expert.origin.address, found.port.name) == ("me/text", "pooled")
        assert found.expert.origin.revision == published_experts["text"]
