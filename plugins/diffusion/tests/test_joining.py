"""Stages that are published, joined and exchanged apart, through folders and through a Hub."""

import pytest
import torch
from click.testing import CliRunner

import dragoman
from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError, PackageError
from dragoman.fusion import Fusion
from dragoman.stores import locate
from dragoman_diffusion.cascade import Cascade
from dragoman_diffusion.commands import cascade
from dragoman_diffusion.diffusion import Diffusion
from dragoman_diffusion.joining import join
from dragoman_registry.hub.serving import running
from tiny_zoo.hub import point_client_at

TINY = {"widths": [8], "layers": [1], "attends": [False], "head": 8, "text_width": 8}
FEW = {"num_inference_steps": 2}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        locate("sentence-transformers/all-MiniLM-L6-v2")
    except PackageError:
        pytest.skip("MiniLM's weights are not on this machine")


@pytest.fixture
def publish(tmp_path):
    """Saves a stage as a package of its own, and gives its folder."""

    def publish(name, side, source="bert:tokens", **options):
        ends = Endpoint.load(EndpointSpec.parse(source), giving=True), pixels(side)
        stage = Diffusion.build(ends[0].port, ends[1].port, **TINY, **options)
        Fusion(ends[0], stage.eval(), ends[1], names={"translator": "diffusion"}).save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    return publish


def pixels(side):
    return Endpoint.load(EndpointSpec.parse(f"pixels=pixels/1x{side}x{side}"), giving=False)


def drawn(address, **knobs):
    fusion = dragoman.load(address)
    return fusion.sample("a bright picture", 2, generator=torch.Generator().manual_seed(1), **FEW, **knobs)


def weights(address):
    return dragoman.load(address).translator.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def command(*arguments):
    result = CliRunner().invoke(cascade, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_stages_are_joined_exchanged_and_taken_out(publish, tmp_path):
    base, stage = publish("base", 8), publish("stage", 16, low=[8, 8], crop=8)
    other = publish("other", 16, low=[8, 8], prediction="sample")
    assert drawn(stage).shape == (2, 1, 16, 16)  # published alone it has to make pictures, if rough ones
    assert command(base, stage, "--out", tmp_path / "whole").strip() == str(tmp_path / "whole")
    assert drawn(tmp_path / "whole").shape == (2, 1, 16, 16)
    command(f"{tmp_path / 'whole'}:0", other, "--out", tmp_path / "exchanged")
    exchanged = dragoman.load(tmp_path / "exchanged").translator
    assert isinstance(exchanged, Cascade)
    assert same(exchanged.parts[0].state_dict(), weights(base))
    assert same(exchanged.parts[1].state_dict(), weights(other))
    facts = dragoman.load(tmp_path / "exchanged").facts["joined"]
    assert [(part["package"], part.get("stage")) for part in facts] == [("whole", 0), ("other", None)]
    assert [part["package"] for part in facts[0]["joined"]] == ["base", "stage"]
    assert str(tmp_path) not in (tmp_path / "exchanged" / "config.json").read_text()
    part = join([f"{tmp_path / 'whole'}:0"])
    assert part.names == {"translator": "diffusion"}
    assert part.target.port.shape == (1, 8, 8)
    assert same(part.translator.state_dict(), weights(base))


def test_stages_that_somebody_else_published_are_joined_from_a_hub(publish, tmp_path, monkeypatch):
    base, stage = publish("base", 8), publish("stage", 16, low=[8, 8])
    whole = join([base, stage])
    with running(tmp_path / "hub", user="you") as hub:
        point_client_at(monkeypatch, hub.url, tmp_path / "home")
        monkeypatch.setenv("HF_TOKEN", hub.token)
        dragoman.load(base).push_to_hub("you/base")
        whole.push_to_hub("you/whole")
        joined = join(["you/base", "you/whole:1"])
    assert same(joined.translator.state_dict(), whole.translator.state_dict())


def test_a_joined_cascade_keeps_ranker_and_recipe(publish, tmp_path):
    shipped = dragoman.load("minizoo/text2fashion-diffusion")
    join(["minizoo/text2fashion-diffusion:0"]).save_pretrained(tmp_path / "part")
    part = dragoman.load(tmp_path / "part")
    assert part.names["ranker"] == shipped.names["ranker"]
    assert same(part.ranker.state_dict(), shipped.ranker.state_dict())
    (joined,) = part.facts["joined"]
    assert (joined["package"], joined["stage"]) == ("minizoo/text2fashion-diffusion", 0)
    assert joined["recipe"] == shipped.facts["recipe"]


def test_stages_that_do_not_fit_are_refused(publish):
    base, stage = publish("base", 8), publish("stage", 16, low=[8, 8])
    with pytest.raises(InputError, match=r"base has 1 stages, counted from 0; there is no stage 1"):
        join([f"{base}:1"])
    with pytest.raises(InputError, match="first stage of a cascade"):
        join([stage, base])
    with pytest.raises(InputError, match=r"makes images \[1, 8, 8\]"):
        join([base, publish("large", 32, low=[16, 16])])
    with pytest.raises(InputError, match=r"read one condition, but .*bert=.*:tokens and .*other bert=.*:hidden\.4"):
        join([base, publish("other", 16, source="bert:hidden.4", low=[8, 8])])
    with pytest.raises(InputError, match="makes no images by diffusion"):
        join(["minizoo/text2fashion"])
    with pytest.raises(InputError, match="at least one stage"):
        join([])
    with pytest.raises(PackageError):
        join(["nobody-has-this"])
