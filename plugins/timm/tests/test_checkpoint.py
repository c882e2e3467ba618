import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from dragoman.errors import PackageError
from dragoman_timm.expert import Swin, Timm, Vgg
from dragoman_timm.library import timm


@pytest.fixture
def folder(tiny, tmp_path):
    return tiny.write(tmp_path / "checkpoint", tiny.config("resnet"))


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refuse(folder, message, kind=Timm):
    with pytest.raises(PackageError, match=message) as caught:
        kind.from_pretrained(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 500


def test_a_checkpoint_that_timm_wrote_loads(tmp_path, tiny):
    network = timm.create_model("resnet10t", num_classes=7, in_chans=1, stem_width=8).eval()
    timm.models.save_for_hf(network, tmp_path, safe_serialization=True)
    expert = Timm.from_pretrained(tmp_path)
    pixels = expert.preprocessing(tiny.images(channels=1))
    with torch.no_grad():
        torch.testing.assert_close(expert.encode(tiny.images(channels=1), "logits"), network(pixels))


@pytest.mark.parametrize(("name", "kind"), [("swin", Swin), ("vgg", Vgg), ("convnext", Timm)])
def test_a_saved_expert_loads_again(name, kind, tiny, folders, tmp_path):
    expert = kind.from_pretrained(folders[name])
    expert.save_pretrained(tmp_path / "copy")
    again = kind.from_pretrained(tmp_path / "copy")
    assert again.ports == expert.ports
    assert again.origin.address == str(tmp_path / "copy")
    assert torch.equal(again.encode(tiny.images(), "stage.1"), expert.encode(tiny.images(), "stage.1"))


def test_timm_reads_what_is_saved(tiny, folders, tmp_path):
    expert = Timm.from_pretrained(folders["swin"])
    expert.save_pretrained(tmp_path)
    network = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    with torch.no_grad():
        logits = network(expert.preprocessing(tiny.images()))
    torch.testing.assert_close(expert.encode(tiny.images(), "logits"), logits)


@pytest.mark.parametrize(("name", "kind"), [("swin", Swin), ("vgg", Vgg)])
def test_small_networks_of_grey_images_are_built_saved_and_loaded(name, kind, tiny, tmp_path):
    config = tiny.config(name)
    config["model_args"]["in_chans"] = 1
    config["pretrained_cfg"] |= {"input_size": [1, 32, 32], "mean": [0.5], "std": [0.5]}
    expert = kind.from_pretrained(tiny.write(tmp_path / "grey", config))
    assert expert.encode(tiny.images(channels=1), "logits").shape == (2, 10)
    assert expert.ports["stage.0"].shape[1:] in {(16, 16), (32, 32)}


def test_older_layouts_are_converted(tiny, folders, tmp_path):
    """Before timm 0.9 a Swin stage ended with its downsampling, and the files held the tables of positions."""
    weights = load_file(folders["swin"] / "model.safetensors")
    old = {name.replace("layers.1.downsample", "layers.0.downsample"): value for name, value in weights.items()}
    old = {name.replace("head.fc.", "head."): value for name, value in old.items()}
    old["layers.0.blocks.1.attn_mask"] = torch.zeros(16, 16, 16)
    (tmp_path / "config.json").write_text((folders["swin"] / "config.json").read_text())
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    expected = Swin.from_pretrained(folders["swin"]).encode(tiny.images(), "logits")
    assert torch.equal(Swin.from_pretrained(tmp_path).encode(tiny.images(), "logits"), expected)


def test_configurations_spread_over_the_whole_file_are_read(tiny, folders, tmp_path):
    config = tiny.config("convnext")
    flat = {key: value for key, value in config.items() if key != "pretrained_cfg"} | config["pretrained_cfg"]
    tiny.write(tmp_path, config)
    (tmp_path / "config.json").write_text(json.dumps(flat))
    assert Timm.from_pretrained(tmp_path).preprocessing == Timm.from_pretrained(folders["convnext"]).preprocessing


def test_pickled_weights_are_read_without_running_anything(folder, tiny):
    expected = Timm.from_pretrained(folder).encode(tiny.images(), "logits")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(Timm.from_pretrained(folder).encode(tiny.images(), "logits"), expected)
    torch.save({"weight": os.system}, folder / "pytorch_model.bin")
    refuse(folder, "weights in .* cannot be loaded")


def test_loading_leaves_the_global_generator_alone(folder):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Timm.from_pretrained(folder)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_is_fetched(folder):
    config = json.loads((folder / "config.json").read_text())
    config["pretrained_cfg"] |= {
        "url": "http://127.0.0.1:9/x.pth",
        "hf_hub_id": "timm/x",
        "source": "hf-hub",
        "file": "/x",
    }
    expert = Timm.from_pretrained(folder)
    edit(folder, **config)
    assert Timm.from_pretrained(folder).ports == expert.ports


@pytest.mark.parametrize(
    ("name", "message"),
    [("config.json", "no checkpoint of timm: it holds no config.json"), ("model.safetensors", "holds no weights")],
)
def test_missing_files_are_named(folder, name, message):
    (folder / name).unlink()
    refuse(folder, message)


@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, kept):
    path = folder / "model.safetensors"
    os.truncate(path, kept if isinstance(kept, int) else int(path.stat().st_size * kept))
    refuse(folder, "weights in .* cannot be loaded")


def test_incomplete_weights_are_refused(folder, tiny):
    tiny.change(folder, lambda weights: weights.pop("layer2.0.conv1.weight"))
    refuse(folder, "layer2.0.conv1.weight")


def test_empty_weights_are_refused(folder, tiny):
    tiny.change(folder, lambda weights: weights.clear())
    refuse(folder, "are empty")


def test_weights_of_another_size_are_refused(folder, tiny):
    edit(folder, model_args={"stem_width": 16})
    refuse(folder, "weights in .* cannot be loaded")


def test_weights_that_are_not_finite_are_refused(folder, tiny):
    tiny.change(folder, lambda weights: weights["layer1.0.conv1.weight"].fill_(float("nan")))
    refuse(folder, "layer1.0.conv1.weight holds values that are not finite")


@pytest.mark.parametrize("kind", [Vgg, Swin])
def test_another_architecture_is_refused(folder, kind):
    refuse(folder, "architecture 'resnet10t'.*timm=ADDRESS", kind)


@pytest.mark.parametrize("name", ["resnet1001", None, 3])
def test_unknown_architectures_are_refused(folder, name):
    edit(folder, architecture=name)
    refuse(folder, f"architecture {name!r}, which the installed timm does not have")


def test_arguments_that_the_architecture_does_not_take_are_refused(folder):
    edit(folder, model_args={"towers": 2})
    refuse(folder, "towers")
    edit(folder, model_args={"cfg": [8, "M"]})
    refuse(folder, "layers of a VGG")


@pytest.mark.parametrize(
    ("written", "repository"),
    [
        ("timm:vgg16", "timm/vgg16.tv_in1k"),
        ("vgg16.tv_in1k", "timm/vgg16.tv_in1k"),
        ("timm:resnet50.a1_in1k", "timm/resnet50.a1_in1k"),
        ("swin_tiny_patch4_window7_224", "timm/swin_tiny_patch4_window7_224.ms_in1k"),
        ("someone/vgg16", "someone/vgg16"),
    ],
)
def test_architectures_name_their_repositories(written, repository, monkeypatch):
    asked = []

    def locate(address, revision):
        asked.append((address, revision))
        raise PackageError("not here")

    monkeypatch.setattr("dragoman.expert.locate", locate)
    with pytest.raises(PackageError, match="not here"):
        Timm.from_pretrained(written, revision="main")
    assert asked == [(repository, "main")]


def test_an_unknown_architecture_in_an_address_is_named():
    with pytest.raises(PackageError, match="no architecture 'resnet1001'"):
        Timm.from_pretrained("timm:resnet1001.a1")
