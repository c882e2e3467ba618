"""Routes: chains of translators whose ports fit, loaded and saved as one fusion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants

import dragoman
import dragoman_registry
import tiny_relay
import tiny_zoo
from dragoman import builtin, plugins
from dragoman.errors import DragomanError, InputError, PluginError
from dragoman_registry.chain import Chain
from dragoman_registry.check import check
from dragoman_registry.commands_graph import route
from dragoman_registry.installed import Package, package_at
from dragoman_registry.routes import Route, compose, find_routes
from tiny_zoo.relay import save_leg, write_relay


@pytest.fixture
def legs(make_zoo: object, experts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Fusions text -> relay and relay -> image that meet at one port, and some that do not fit there."""
    make_zoo(builtin, dragoman_registry, tiny_zoo, tiny_relay)  # type: ignore[operator]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    relay, other = write_relay(tmp_path / "relay"), write_relay(tmp_path / "other-relay", seed=1)
    text, image = f"tiny-text={experts / 'text'}", f"tiny-image={experts / 'image'}"
    ends = {
        "first": (f"{text}:pooled", f"tiny-relay={relay}:code"),
        "second": (f"tiny-relay={relay}:code", f"{image}:z"),
        "other-port": (f"tiny-relay={relay}:other", f"{image}:z"),
        "other-checkpoint": (f"tiny-relay={other}:code", f"{image}:z"),
        "other-card": (f"tiny-relay-two={relay}:code", f"{image}:z"),
        "round": (f"tiny-relay={relay}:code", f"tiny-relay={relay}:code"),
    }
    return {name: save_leg(*pair, tmp_path / name, seed) for seed, (name, pair) in enumerate(ends.items())}


def found(start: str, end: str, legs: dict[str, str]) -> list[list[str]]:
    packages = [package_at(address) for address in legs.values()]
    names = {address: name for name, address in legs.items()}
    return [[names[package.address] for package in entry.packages] for entry in find_routes(start, end, packages)]


def test_only_what_fits_at_the_same_port_of_the_same_checkpoint_is_joined(legs: dict[str, str]) -> None:
    assert found("tiny-text", "tiny-image", legs) == [["first", "second"], ["first", "round", "second"]]
    assert found("tiny-text:pooled", "tiny-image:z", legs)[0] == ["first", "second"]
    assert found("text", "tiny-image", legs)[0] == ["first", "second"]
    assert found("tiny-text:tokens", "tiny-image", legs) == []
    assert found("tiny-image", "tiny-text", legs) == []


def test_shorter_routes_come_first(legs: dict[str, str]) -> None:
    lengths = [len(entry) for entry in found("tiny-relay", "tiny-image", legs)]
    assert lengths == sorted(lengths)
    assert lengths[0] == 1


def test_a_name_stands_for_all_checkpoints_of_its_network(legs: dict[str, str]) -> None:
    assert ["first"] in found("tiny-text", "tiny-relay-two", legs)


def test_a_route_begins_at_what_an_expert_reads(legs: dict[str, str]) -> None:
    assert found("image", "tiny-image:z", {"second": legs["second"]}) == [["second"]]
    assert found("label", "tiny-image", legs) == []


def test_unknown_names(legs: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"'nothing'.* A route begins at an expert"):
        found("nothing", "tiny-image", legs)
    with pytest.raises(InputError, match="'image'"):
        found("text", "image", legs)


def test_the_composition_is_the_translators_one_after_the_other(legs: dict[str, str]) -> None:
    packages = tuple(package_at(legs[name]) for name in ("first", "second"))
    fusion = compose(Route(packages))
    first, second = (dragoman.load(legs[name]) for name in ("first", "second"))
    generator = torch.Generator().manual_seed(5)
    condition = first.encoder.encode(["a bird"], "pooled")
    code = first.translator.sample(condition, generator=generator)
    latent = second.translator.sample(code, generator=generator)
    expected = second.decoder.decode(latent, "z")
    assert torch.equal(fusion.sample("a bird", generator=torch.Generator().manual_seed(5)), expected)


def test_batches_make_no_difference(legs: dict[str, str]) -> None:
    fusion = compose(Route(tuple(package_at(legs[name]) for name in ("first", "round", "second"))))
    prompts = ["a", "bird", "on a branch"]
    assert torch.allclose(fusion.sample(prompts, 2, batch_size=2), fusion.sample(prompts, 2), atol=1e-6)


def test_the_global_generator_is_left_alone(legs: dict[str, str]) -> None:
    state = torch.get_rng_state()
    compose(Route(tuple(package_at(legs[name]) for name in ("first", "second"))))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_saved_route_is_a_fusion_like_any_other(legs: dict[str, str], tmp_path: Path) -> None:
    run = CliRunner().invoke
    both = [legs["first"], legs["second"]]
    result = run(route, ["tiny-text", "tiny-image", *both, "--out", str(tmp_path / "joined")])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'joined'}\n"
    manifest = json.loads((tmp_path / "joined" / "config.json").read_text())
    assert manifest["requires"] == ["dragoman-tiny-zoo>=0.3"]
    assert [part["name"] for part in manifest["components"].values()] == ["tiny-text", "tiny-image"]
    assert check(tmp_path / "joined").passed
    expected = compose(Route(tuple(package_at(address) for address in both))).sample("x", 3)
    assert torch.equal(dragoman.load(tmp_path / "joined").sample("x", 3), expected)


def test_command_lists(legs: dict[str, str]) -> None:
    run = CliRunner().invoke
    result = run(route, ["tiny-text", "tiny-image", legs["first"], legs["second"]])
    assert result.stdout == (
        f"1. tiny-text:pooled -> tiny-gaussian ({legs['first']}) -> tiny-relay:code"
        f" -> tiny-gaussian ({legs['second']}) -> tiny-image:z\n"
    )
    result = run(route, ["tiny-text", "tiny-image", legs["second"]])
    assert str(result.exception).startswith(
        "No chain of translators on this machine leads from tiny-text to tiny-image"
    )
    result = run(route, ["tiny-relay", "tiny-image", legs["second"], "--out", "/nowhere", "--choose", "2"])
    assert "There are 1 routes" in str(result.exception)


def test_chains_that_cannot_be(legs: dict[str, str]) -> None:
    with pytest.raises(InputError, match="at least one"):
        Chain([])
    with pytest.raises(PluginError, match="evil/x"):
        Chain([{"name": "x", "plugin": "evil", "config": {}}])
    with pytest.raises(InputError, match="dragoman route"):
        Chain.build(*(package_at(legs["first"]).manifest.ports[role] for role in ("source", "target")))


def test_a_hostile_chain_in_a_manifest_is_refused(legs: dict[str, str], tmp_path: Path) -> None:
    compose(Route(tuple(package_at(legs[name]) for name in ("first", "second")))).save_pretrained(tmp_path / "x")
    path = tmp_path / "x" / "config.json"
    manifest = json.loads(path.read_text())
    for parts in (
        [{"name": "x", "plugin": "evil", "config": {}}],
        [manifest["translator"]["config"]["parts"][0]] * 100_0,
        [{"name": "chain", "plugin": "dragoman", "config": {"parts": []}}],
        "nonsense",
    ):
        manifest["translator"]["config"]["parts"] = parts
        path.write_text(json.dumps(manifest))
        with pytest.raises(DragomanError) as caught:
            dragoman.load(tmp_path / "x")
        assert "\n" not in str(caught.value)


def test_installed_packages_are_those_of_the_stores(legs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from dragoman_registry import stores
    from dragoman_registry.installed import installed_packages

    monkeypatch.setattr(stores.HubStore, "addresses", lambda self: [legs["first"], "/nowhere"])
    packages = installed_packages([legs["second"]])
    assert [package.address for package in packages] == [legs["second"], legs["first"]]
    assert all(isinstance(package, Package) for package in packages)
    assert plugins.zoo().stores.offers
