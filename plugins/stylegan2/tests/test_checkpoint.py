"""Saving and loading."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dragoman.errors import InputError, PackageError


def test_what_is_saved_is_read_back_bit_for_bit(expert, make, tmp_path):
    expert.save_pretrained(tmp_path)
    found = make.load(tmp_path)
    assert found.config == expert.config
    assert found.ports == expert.ports
    for name, value in expert.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    w = expert.draw("w", 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.decode(w, "w"), expert.decode(w, "w"))
    assert found.origin.folder == tmp_path


def test_tensors_have_official_names_behind_the_network(expert, tmp_path):
    expert.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {"generator.synthesis.b4.const", "generator.mapping.w_avg", "discriminator.b16.fromrgb.weight"} <= names


def test_half_precision_is_stored_and_widened(make, tmp_path):
    make.expert().half().save_pretrained(tmp_path)
    assert {t.dtype for t in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    assert {p.dtype for p in make.load(tmp_path).parameters()} == {torch.float32}
    assert {p.dtype for p in make.load(tmp_path, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("generator.mapping.w_avg"), r"1 tensors are missing \(such as generator.mapping.w_avg\)"),
        (lambda t: t.update(more=torch.zeros(1)), r"do not belong there \(such as more\)"),
        (lambda t: t.update({"generator.mapping.w_avg": torch.zeros(2)}), "another shape or type"),
        (lambda t: t["generator.mapping.w_avg"].fill_(float("nan")), "NaN"),
    ],
)
def test_weights_of_another_network_are_refused(change, message, make, tmp_path):
    make.expert().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(PackageError, match=message):
        make.load(tmp_path)


def test_a_configuration_of_absurd_size_costs_nothing(make, tmp_path):
    make.expert().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["generator"]["channels"] = [500_000] * 3
    config["generator"]["w_dim"] = 500_000
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(PackageError, match="another shape or type"):
        make.load(tmp_path)


def test_folders_without_a_checkpoint_say_what_is_missing(make, tmp_path):
    with pytest.raises(PackageError, match=r"holds no config\.json; convert a \.pkl file with `dragoman convert"):
        make.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "biggan"}')
    with pytest.raises(PackageError, match="describes no stylegan2"):
        make.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "stylegan2"}')
    with pytest.raises(PackageError, match="object of entries"):
        make.load(tmp_path)


def test_a_missing_file_of_weights_is_named(make, tmp_path):
    make.expert().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(PackageError, match=r"model\.safetensors"):
        make.load(tmp_path)


def test_a_place_that_cannot_be_written_is_named(make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        make.expert().save_pretrained(tmp_path / "file")
