"""Packages that are damaged, out of date or hostile: one sentence each, and nothing is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import dragoman
import dragoman_registry
import tiny_zoo
from dragoman import builtin
from dragoman.catalogue import Plugin
from dragoman.errors import DragomanError, PackageError, PluginError, PortError, UnknownNameError
from dragoman.formats import format_of
from dragoman.plugins import Zoo
from dragoman.stores import Location
from dragoman_registry.loading import load_fusion
from tiny_zoo.parts import TinyGaussian, TinyImage, TinyText
from tiny_zoo.tamper import edit_manifest, entry, reseal, safetensors_bytes

MakeZoo = Callable[..., Zoo]


def refused(package: Path, kind: type[DragomanError] = PackageError) -> str:
    """The one sentence with which a package is refused."""
    with pytest.raises(kind) as caught:
        dragoman.load(package)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.count(". ") <= 1
    return sentence


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


# Damage


@pytest.mark.parametrize("name", ["model.safetensors", "test/inputs.json", "test/outputs.safetensors"])
def test_one_changed_bit_is_noticed_and_the_file_named(package: Path, name: str) -> None:
    flip(package / name, -1)
    assert f"{package / name} has the sha256" in refused(package)


@pytest.mark.parametrize("name", ["model.safetensors", "test/tolerances.json"])
def test_truncated_file(package: Path, name: str) -> None:
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[:-1])
    assert f"has {len(content) - 1:,} bytes, but the manifest says {len(content):,}" in refused(package)


def test_missing_file(package: Path) -> None:
    (package / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refused(package)


def test_truncated_manifest(package: Path) -> None:
    content = (package / "config.json").read_bytes()
    (package / "config.json").write_bytes(content[: len(content) // 2])
    assert "config.json is no sound JSON" in refused(package)


def test_manifest_of_another_library(package: Path) -> None:
    (package / "config.json").write_text('{"model_type": "bert"}')
    assert "holds no manifest" in refused(package)


def test_wrong_tensor_digest(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest.update(digest="tensors-sha256:" + "0" * 64))
    assert "but the manifest says tensors-sha256:0000" in refused(package)


def test_wrong_file_digest(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["files"]["model.safetensors"].update(sha256="0" * 64))
    assert "but the manifest says 0000" in refused(package)


def test_weights_that_the_manifest_does_not_list(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["files"].pop("model.safetensors"))
    assert "does not list model.safetensors" in refused(package)


# Hostile weights under correct hashes


def rewrite(package: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(package / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, package / "model.safetensors")
    reseal(package)


def test_nan_in_the_weights(package: Path) -> None:
    rewrite(package, lambda tensors: tensors["layers.0.weight"].fill_(float("nan")))
    assert "'layers.0.weight'" in refused(package)


def test_weights_of_another_shape(package: Path) -> None:
    rewrite(package, lambda tensors: tensors.update({"layers.0.bias": torch.zeros(7)}))
    assert "tensor 'layers.0.bias' has shape [7] in the package, but the configuration says [5]" in refused(package)


def test_missing_and_unknown_weights(package: Path) -> None:
    rewrite(package, lambda tensors: tensors.pop("layers.0.weight"))
    assert "tensor 'layers.0.weight' is missing from the package" in refused(package)
    whole = {"layers.0.weight": torch.zeros(5, 6), "layers.0.bias": torch.zeros(5), "shell": torch.zeros(1)}
    rewrite(package, lambda tensors: tensors.update(whole))
    assert "tensor 'shell' is unknown but in the package" in refused(package)


def test_tensor_name_twice_under_correct_hashes(package: Path) -> None:
    one = json.dumps(entry(0, 1)).encode()
    content = safetensors_bytes(b'{"a":' + one + b',"a":' + one + b"}", b"x")
    (package / "model.safetensors").write_bytes(content)
    digest = json.loads((package / "config.json").read_text())["digest"]

    def edit(manifest: dict[str, Any]) -> None:
        import hashlib

        manifest["files"]["model.safetensors"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        manifest["digest"] = digest

    edit_manifest(package, edit)
    assert "'a' stands twice" in refused(package)


def test_half_precision_weights_load(package: Path) -> None:
    rewrite(package, lambda tensors: tensors.update({name: tensor.half() for name, tensor in tensors.items()}))
    loaded = dragoman.load(package)
    stored = load_file(package / "model.safetensors")
    assert torch.equal(loaded.translator.get_parameter("layers.0.bias"), stored["layers.0.bias"].float())


# Hostile configurations


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"condition": 6, "target": 5, "depth": 10**9}, "far larger than its weights"),
        ({"condition": 5000, "target": 5000}, "far larger than its weights"),
        ({"condition": 10**12, "target": 10**12}, "cannot be built"),
        ({"condition": 6, "target": 5, "code": "x"}, "cannot be built from the package"),
        ({"condition": "six", "target": 5}, "cannot be built from the package"),
        ({"condition": -1, "target": 5}, "cannot be built from the package"),
        ({"condition": 6}, "cannot be built from the package"),
    ],
)
def test_translator_that_cannot_be(package: Path, config: dict[str, Any], words: str) -> None:
    started = time.process_time()
    edit_manifest(package, lambda manifest: manifest["translator"].update(config=config))
    assert words in refused(package)
    assert time.process_time() - started < 20


def test_other_threads_and_later_modules_are_not_limited(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def grow() -> int:
        return len(torch.nn.Sequential(*(torch.nn.Identity() for _ in range(2000))))

    class Slow(TinyGaussian):
        def __init__(self, **config: Any) -> None:
            with ThreadPoolExecutor() as pool:  # while this one is built, another thread builds something large
                assert pool.submit(grow).result() == 2000
            super().__init__(**config)

    monkeypatch.setattr("tiny_zoo.parts.TinyGaussian", Slow)
    dragoman.load(package)
    assert grow() == 2000


def test_deeply_nested_manifest(package: Path) -> None:
    (package / "config.json").write_bytes(b'{"dragoman":' * 200_000)
    assert "nested deeper than 32 levels" in refused(package)


def test_unknown_entry(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest.update(auto_map={"AutoModel": "evil.Model"}))
    assert "unknown entries: 'auto_map'" in refused(package)


def test_newer_schema(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest.update(schema=2, novelty={}))
    assert "pip install --upgrade dragoman" in refused(package)


def test_package_of_another_kind(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest.update(kind="expert"))
    assert "of kind 'expert'" in refused(package)


# Files that are not where they seem


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "test/../../secret", "..\\secret", "a\x00b"])
def test_path_traversal(package: Path, name: str) -> None:
    (package.parent / "secret").write_text("secret")

    def edit(manifest: dict[str, Any]) -> None:
        manifest["files"][name] = manifest["files"]["test/inputs.json"]

    edit_manifest(package, edit)
    assert "lists a file with an unusable name" in refused(package)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "test"])
def test_links_out_of_the_package(package: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    shutil.move(package / name, outside)
    (package / name).symlink_to(outside)
    assert "outside the package" in refused(package)


def test_links_inside_of_the_package(package: Path) -> None:
    (package / "model.safetensors").rename(package / "weights")
    (package / "model.safetensors").symlink_to("weights")
    assert dragoman.load(package).facts["recipe"]


def test_links_of_the_hubs_cache(package: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("c" * 40)
    blobs = tmp_path / "models--a--b" / "blobs"
    shutil.copytree(package, snapshot)
    blobs.mkdir()
    for number, path in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        path.rename(blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), path.parent))
    assert dragoman.load(snapshot).facts["recipe"]


def test_pipe_in_place_of_the_weights(package: Path) -> None:
    (package / "model.safetensors").unlink()
    os.mkfifo(package / "model.safetensors")
    assert "model.safetensors is missing" in refused(package)


def test_pickle_beside_the_weights_is_not_opened(package: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    for name in ("pytorch_model.bin", "model.pt", "training_args.bin"):
        (package / name).write_bytes(pickle.dumps(Bomb()))
    (package / "__init__.py").write_text(f"import os; os.mkdir({str(tmp_path / 'exploded')!r})")
    dragoman.load(package)
    assert not (tmp_path / "exploded").exists()


# Plugins


def test_missing_plugin(package: Path, make_zoo: MakeZoo) -> None:
    make_zoo(builtin, dragoman_registry)
    sentence = refused(package, PluginError)
    assert "needs the plugin dragoman-tiny-zoo>=0.3, which is not installed" in sentence
    assert sentence.endswith("pip install 'dragoman-tiny-zoo>=0.3'")


def test_plugin_that_is_too_old(package: Path, make_zoo: MakeZoo) -> None:
    make_zoo(builtin, dragoman_registry, (tiny_zoo, Plugin("tiny-zoo", "dragoman_tiny.zoo", "0.3rc1")))
    sentence = refused(package, PluginError)
    assert "version 0.3rc1 is installed" in sentence
    assert sentence.endswith("pip install --upgrade 'dragoman-tiny-zoo>=0.3'")


@pytest.mark.parametrize("state", ["disabled", "broken", "incompatible"])
def test_plugin_that_does_not_work(package: Path, make_zoo: MakeZoo, state: str) -> None:
    plugin = Plugin("tiny-zoo", "dragoman-tiny-zoo", "0.3", state, "a reason")
    make_zoo(builtin, dragoman_registry).plugins.append(plugin)
    assert f"dragoman-tiny-zoo, which is {state}: a reason" in refused(package, PluginError)


def test_plugin_that_no_longer_offers_the_part(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["components"]["source"].update(name="tiny-txt"))
    assert "tiny-txt" in refused(package, UnknownNameError)


def test_two_plugins_with_one_name_do_not_disturb_a_package(package: Path, make_zoo: MakeZoo, tmp_path: Path) -> None:
    before = dragoman.load(package).sample("x")
    other = Plugin("other", "dragoman-other", "9")
    make_zoo(builtin, dragoman_registry, (tiny_zoo, other), tiny_zoo)
    fusion = dragoman.load(package)
    assert torch.equal(fusion.sample("x"), before)
    assert fusion.source.name == "dragoman-tiny-zoo/tiny-text"
    fusion.save_pretrained(tmp_path / "again")
    assert torch.equal(dragoman.load(tmp_path / "again").sample("x"), before)


def test_requirement_without_meaning(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest.update(requires=["dragoman-tiny-zoo>=1..2"]))
    assert "which is no requirement" in refused(package)


# Experts


def test_expert_with_other_weights(package: Path, experts: Path) -> None:
    digest = json.loads((package / "config.json").read_text())["components"]["target"]["digest"]
    TinyImage({"latent": 5}, torch.zeros(5, 192)).save_pretrained(experts / "image")
    sentence = refused(package)
    assert "Expert 'tiny-image'" in sentence
    assert f"the package says {digest}" in sentence
    assert sentence.count("tensors-sha256:") == 2


def test_expert_that_is_gone(package: Path, experts: Path) -> None:
    shutil.rmtree(experts / "text")
    assert f"The folder {experts / 'text'} does not exist" in refused(package)


def test_expert_whose_port_has_changed_is_noticed_before_weights_are_read(
    package: Path, experts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = json.loads((package / "config.json").read_text())["components"]["source"]["digest"]
    TinyText({"hidden": 7}, torch.zeros(256, 7)).save_pretrained(experts / "text")
    monkeypatch.setattr(TinyText, "from_folder", None)
    assert digest in refused(package)
    (experts / "text" / "model.safetensors").unlink()
    (experts / "text" / "config.json").write_text("{}")
    assert digest in refused(package)


def test_ports_are_checked_from_the_manifest_alone(package: Path, experts: Path) -> None:
    shutil.rmtree(experts)
    edit_manifest(package, lambda manifest: manifest["components"]["source"].update(config={"hidden": 7}))
    sentence = refused(package, PortError)
    assert sentence == "tiny-text gives pooled (vector [7]), but tiny-gaussian takes pooled (vector [6])."


def test_ports_are_checked_from_the_checkpoint_before_its_weights(
    package: Path, experts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (experts / "image" / "config.json").write_text('{"latent": 9}')
    monkeypatch.setattr(TinyImage, "from_folder", None)
    sentence = refused(package, PortError)
    assert sentence == "tiny-gaussian gives z (vector [5]), but tiny-image takes z (vector [9])."


def test_port_that_is_gone(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["ports"]["source"].update(name="cls"))
    assert "tiny-text has no port 'cls'" in refused(package, PortError)


def test_expert_that_makes_no_sense_of_its_configuration(package: Path) -> None:
    edit_manifest(package, lambda manifest: manifest["components"]["source"].update(config={"hidden_size": 6}))
    assert "'tiny-text' makes no sense of its configuration (KeyError" in refused(package)


def test_published_package_that_names_a_folder_of_its_author(package: Path) -> None:
    location = Location("somebody/fusion", package, "a" * 40)
    with pytest.raises(PackageError, match="'tiny-text' by a folder of its author"):
        load_fusion(location)


def test_folder_that_holds_nothing(zoo_of_tiny: object, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no manifest"):
        format_of(Location("x", tmp_path))
