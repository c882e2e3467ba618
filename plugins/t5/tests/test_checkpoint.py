import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from dragoman.errors import PackageError
from dragoman_t5.expert import T5


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def refuse(tiny, folder, message):
    with pytest.raises(PackageError, match=message) as caught:
        tiny.load(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 500


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_saved_expert_loads_again(version, tiny, tmp_path):
    expert = tiny.load(tiny.write(tmp_path / "one", version))
    expert.save_pretrained(tmp_path / "two")
    again = T5.from_pretrained(tmp_path / "two")
    assert again.ports == expert.ports
    assert again.max_tokens == expert.max_tokens
    assert again.origin.address == str(tmp_path / "two")
    assert torch.equal(again.encode(tiny.texts, "pooled"), expert.encode(tiny.texts, "pooled"))


def test_subfolders_are_read(tiny, tmp_path):
    tiny.write(tmp_path / "parts" / "text_encoder")
    expert = T5.from_pretrained(tmp_path / "parts", subfolder="text_encoder")
    assert expert.origin.subfolder == "text_encoder"
    assert expert.origin.folder == tmp_path / "parts" / "text_encoder"


def test_sharded_and_pickled_weights_are_read(folder, tiny):
    expected = tiny.load(folder).encode(["a bag"], "pooled")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {name: f"pytorch_model-0000{1 + (i % 2)}-of-00002.bin" for i, name in enumerate(names)}
    for file in set(shards.values()):
        torch.save({name: weights[name] for name in names if shards[name] == file}, folder / file)
    index = {"metadata": {"total_size": 0}, "weight_map": shards}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert torch.equal(tiny.load(folder).encode(["a bag"], "pooled"), expected)


def test_pickles_that_run_something_are_refused(folder, tiny):
    (folder / "model.safetensors").unlink()
    torch.save({"shared.weight": os.system}, folder / "pytorch_model.bin")
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_loading_leaves_the_global_generator_alone(tiny, folder):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    tiny.load(folder)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "no T5 checkpoint: it holds no config.json"),
        ("model.safetensors", "holds no weights"),
        ("spiece.model", r"holds no tokenizer: neither tokenizer\.json nor spiece\.model"),
    ],
)
def test_missing_files_are_named(tiny, folder, name, message):
    (folder / name).unlink()
    refuse(tiny, folder, message)


def test_a_damaged_tokenizer_is_refused(tiny, folder):
    os.truncate(folder / "spiece.model", 20)
    refuse(tiny, folder, "tokenizer in .* cannot be loaded")


@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny, folder, kept):
    path = folder / "model.safetensors"
    os.truncate(path, kept if isinstance(kept, int) else int(path.stat().st_size * kept))
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_incomplete_weights_are_refused(tiny, folder):
    change_weights(
        folder, lambda weights: [weights.pop(name) for name in sorted(weights) if "encoder.block.1." in name]
    )
    refuse(tiny, folder, r"lack \d+ tensors, the first being encoder\.block\.1\.")


def test_weights_of_another_size_are_refused(tiny, folder):
    tiny.edit_json(folder / "config.json", d_ff=48)
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_weights_that_are_not_finite_are_refused(tiny, folder):
    change_weights(folder, lambda weights: weights["encoder.final_layer_norm.weight"].fill_(float("nan")))
    refuse(tiny, folder, "holds values that are not finite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "architecture 'bert', not 't5'"),
        ({"d_model": "wide"}, "no usable d_model: 'wide'"),
        ({"vocab_size": 20}, "weights in .* cannot be loaded"),
    ],
)
def test_other_configurations_are_refused(tiny, folder, change, message):
    tiny.edit_json(folder / "config.json", **change)
    refuse(tiny, folder, message)


def test_a_larger_tokenizer_than_the_embeddings_is_refused(tiny, folder):
    tiny.edit_json(folder / "tokenizer_config.json", extra_ids=100)
    refuse(tiny, folder, r"\d+ tokens, but the encoder has 60 embeddings")
