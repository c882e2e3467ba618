"""Reading and refusing checkpoints of both families."""

import json
import os
import re
import shutil

import pytest
import torch
from safetensors.torch import save_file

from dragoman.errors import DragomanError, InputError, PackageError
from dragoman_biggan.expert import BigGAN


@pytest.fixture(params=["deep", "plain"])
def written(request, tmp_path):
    """A copy of a checkpoint folder, to be damaged."""
    return shutil.copytree(request.getfixturevalue(request.param).folder, tmp_path / "model")


def pickled(folder):
    (path,) = (path for path in folder.iterdir() if path.suffix != ".json")
    return path


def rewrite(folder, change):
    path = pickled(folder)
    weights = torch.load(path, weights_only=True)
    torch.save(change(dict(weights)), path)


def refused(make, folder, message):
    """The checkpoint is refused in one sentence, which names the folder."""
    with pytest.raises(PackageError, match=message) as caught:
        make.load(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert str(folder) in sentence
    assert len(sentence) - len(str(folder)) < 350
    return sentence


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_pickled_checkpoints_of_the_original_projects_are_read(either):
    assert pickled(either.folder).name in ("pytorch_model.bin", "G_ema.pth")
    assert_same_weights(either.expert.network.state_dict(), either.reference.state_dict())


def test_a_saved_checkpoint_is_read_back_bit_for_bit(either, make, tmp_path):
    either.expert.save_pretrained(tmp_path / "new" / "folder")
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == ["config.json", "model.safetensors"]
    again = make.load(tmp_path / "new" / "folder")
    assert again.config == either.expert.config
    assert again.ports == either.expert.ports
    assert_same_weights(again.network.state_dict(), either.reference.state_dict())


def test_saving_twice_gives_the_same_bytes_and_keeps_other_files(either, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    contents = []
    for _ in range(2):
        either.expert.save_pretrained(tmp_path)
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"README.md", "config.json", "model.safetensors"}


def test_what_was_saved_does_not_change_with_the_file(either, make, tmp_path):
    either.expert.save_pretrained(tmp_path)
    loaded = make.load(tmp_path)
    path = tmp_path / "model.safetensors"
    with path.open("r+b") as file:  # in place: a memory map would see it
        file.seek(-4096, os.SEEK_END)
        file.write(bytes(4096))
    assert_same_weights(loaded.network.state_dict(), either.reference.state_dict())


def test_safetensors_go_before_pickles_and_averaged_weights_before_others(plain, make, tmp_path):
    folder = shutil.copytree(plain.folder, tmp_path / "model")
    other = make.random_plain(make.plain_config, seed=5).state_dict()
    torch.save(other, folder / "G.pth")
    assert_same_weights(make.load(folder).network.state_dict(), plain.reference.state_dict())
    save_file(other, folder / "model.safetensors")
    assert_same_weights(make.load(folder).network.state_dict(), other)
    (folder / "model.safetensors").unlink()
    (folder / "G_ema.pth").unlink()
    assert_same_weights(make.load(folder).network.state_dict(), other)


def test_weights_stored_in_half_precision_are_widened(either, make, tmp_path):
    either.expert.save_pretrained(tmp_path)
    halves = {name: value.half() for name, value in either.reference.state_dict().items()}
    save_file(halves, tmp_path / "model.safetensors")
    loaded = make.load(tmp_path).network.state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    assert_same_weights(loaded, {name: value.float() for name, value in halves.items()})


def test_a_configuration_with_other_entries_is_kept_whole(either, make, tmp_path):
    folder = shutil.copytree(either.folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text()) | {"trained_on": "nothing"}
    (folder / "config.json").write_text(json.dumps(config))
    expert = make.load(folder)
    expert.save_pretrained(tmp_path / "copy")
    assert make.load(tmp_path / "copy").config == config


def test_loading_leaves_the_global_generator_alone(either, make):
    before = torch.random.get_rng_state()
    make.load(either.folder)
    assert torch.equal(before, torch.random.get_rng_state())


def test_missing_files_are_named(written, make):
    path = pickled(written)
    path.rename(written / "weights.bin")
    refused(make, written, "holds no weights: none of model.safetensors, pytorch_model.bin, G_ema.pth, G.pth")
    (written / "config.json").unlink()
    refused(make, written, "holds no config.json")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"layers": NaN}', '{"generator": 1, "generator": 2}', "\xff"])
def test_a_damaged_configuration_is_refused(written, text, make):
    (written / "config.json").write_bytes(text.encode("latin-1"))
    refused(make, written, "config.json")


@pytest.mark.parametrize("config", [{}, {"model_type": "bert", "hidden_size": 384}])
def test_another_architecture_is_refused_by_its_configuration(written, config, make):
    (written / "config.json").write_text(json.dumps(config))
    with pytest.raises(PackageError, match="describes no BigGAN"):
        make.load(written)
    with pytest.raises(PackageError, match="describes no BigGAN"):
        BigGAN.describe(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 64}, "3 blocks for 64 pixels"),
        ({"resolution": "32"}, "resolution cannot be '32'"),
        ({"channels": 0}, "channels cannot be 0"),
        ({"channels": 4.5}, "channels cannot be 4.5"),
        ({"z_dim": 13}, "13 cannot be split into 4"),
        ({"generator": "wide"}, "generator cannot be 'wide'"),
        ({"generator": [4, 4, -2, 1]}, "generator cannot be"),
        ({"generator": []}, "generator has -1 blocks"),
        ({"attention": 16}, "attention cannot be 16"),
        ({"image_channels": 2}, "image_channels is 1 or 3"),
        ({"bn_eps": 0.0}, "bn_eps cannot be"),
        ({"sn_eps": None}, "sn_eps cannot be"),
    ],
)
def test_plain_configurations_that_cannot_be_are_refused(change, message, make):
    sound = make.plain_config.to_dict()
    BigGAN.describe(sound)
    with pytest.raises(PackageError, match=message):
        BigGAN.describe(sound | change)


def test_a_configuration_of_absurd_size_costs_no_memory(written, make):
    config = json.loads((written / "config.json").read_text())
    absurd = {"num_classes": 2**31 - 1}
    (written / "config.json").write_text(json.dumps(config | absurd))
    refused(make, written, "another shape")


def test_weights_of_the_other_family_are_named(deep, plain, make, tmp_path):
    for config, weights, message in (
        (deep, plain, "holds the weights of BigGAN, but config.json describes BigGAN-deep"),
        (plain, deep, "holds the weights of BigGAN-deep, but config.json describes BigGAN"),
    ):
        folder = shutil.copytree(weights.folder, tmp_path / message[-4:])
        shutil.copy(config.folder / "config.json", folder)
        refused(make, folder, message)


def test_missing_unexpected_and_misshapen_tensors_are_counted(written, make):
    name = next(
        key
        for key in torch.load(pickled(written), weights_only=True)
        if key.endswith(("blocks.0.0.bn1.stored_mean", "layers.0.bn_0.running_means"))
    )

    def change(weights):
        weights["extra.weight"] = weights.pop(name)
        other = next(key for key in weights if key.endswith("gamma"))
        weights[other] = torch.zeros(2, 2)
        return weights

    rewrite(written, change)
    sentence = refused(make, written, re.escape(f"1 tensors are missing (such as {name})"))
    assert "1 tensors do not belong there (such as extra.weight)" in sentence
    assert "1 tensors have another shape or type" in sentence


def test_integers_in_place_of_weights_are_refused(written, make):
    rewrite(written, lambda weights: {name: value.int() for name, value in weights.items()})
    refused(make, written, "another shape or type")


def test_values_that_are_not_finite_are_refused(written, make):
    def change(weights):
        name = min(weights)
        weights[name].view(-1)[0] = float("nan")
        return weights

    rewrite(written, change)
    refused(make, written, "NaN or infinite")


@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.99])
@pytest.mark.parametrize("kind", ["pickle", "safetensors"])
def test_truncated_weights_are_refused(written, kept, kind, make):
    path = pickled(written)
    if kind == "safetensors":
        weights = torch.load(path, weights_only=True)
        path.unlink()
        path = written / "model.safetensors"
        save_file(weights, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept == 10 else kept * len(content))])
    refused(make, written, "damaged|truncated")


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(written, tmp_path, make):
    target = tmp_path / "executed"
    rewrite(written, lambda weights: weights | {"extra": Hostile(target)})
    refused(make, written, "holds more than tensors")
    assert not target.exists()


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": torch.zeros(1)}}, torch.zeros(3)])
def test_pickles_of_other_things_are_refused(written, content, make):
    torch.save(content, pickled(written))
    refused(make, written, "no state dict")


def test_a_full_disk_leaves_the_old_checkpoint(either, make, tmp_path, monkeypatch):
    either.expert.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dragoman.atomic.os.fsync", full)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path} cannot be written: No space left")):
        either.expert.save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_place_of_the_folder_is_an_input_error(either, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DragomanError, match="cannot be written"):
        either.expert.save_pretrained(tmp_path / "file")
