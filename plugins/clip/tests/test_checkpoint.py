import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPModel, CLIPTextModel, SiglipModel

from dragoman.errors import PackageError
from dragoman_clip.expert import Clip


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


@pytest.mark.parametrize(("family", "model"), [("clip", CLIPModel), ("siglip", SiglipModel)])
def test_a_saved_expert_loads_again_and_in_transformers(family, model, tiny, tmp_path):
    expert = tiny.load(tiny.write(tmp_path / "one", family))
    expert.save_pretrained(tmp_path / "two")
    again = Clip.from_pretrained(tmp_path / "two")
    assert again.ports == expert.ports
    assert again.preprocessing == expert.preprocessing
    assert torch.equal(again.encode(tiny.images(), "image"), expert.encode(tiny.images(), "image"))
    assert torch.equal(again.encode(["a red bag"], "text"), expert.encode(["a red bag"], "text"))
    for name, value in model.from_pretrained(tmp_path / "two").state_dict().items():
        assert torch.equal(value, expert.network.state_dict()[name])
    assert AutoTokenizer.from_pretrained(tmp_path / "two")("a red bag") == expert.tokenizer("a red bag")


def test_a_small_pair_of_grey_images_is_built_saved_and_loaded(tiny, tmp_path):
    network = tiny.network(channels=1)
    preprocessor = tiny.preprocessor["clip"] | {"image_mean": [0.5], "image_std": [0.5]}
    expert = Clip(network.config.to_dict(), network, tiny.tokenizer(), preprocessor).freeze()
    expert.save_pretrained(tmp_path)
    again = Clip.from_pretrained(tmp_path)
    grey = tiny.images(channels=1, height=32, width=32)
    assert torch.equal(again.encode(grey, "image"), expert.encode(grey, "image"))
    assert again.encode(tiny.images(channels=3), "image").shape == (2, 8)


def test_towers_whose_configuration_is_incomplete_have_transformers_defaults():
    ports = Clip.describe({"model_type": "clip"})
    assert ports["image"].shape == (512,)
    assert "patches.12" in ports


def test_older_files_with_tables_of_positions_load(tiny, folder):
    expected = tiny.load(folder).encode(["a red bag"], "text")
    change_weights(
        folder, lambda weights: weights.update({"text_model.embeddings.position_ids": torch.arange(12)[None]})
    )
    assert torch.equal(tiny.load(folder).encode(["a red bag"], "text"), expected)


def test_pickled_weights_are_read_without_running_anything(tiny, folder):
    expected = tiny.load(folder).encode(["a red bag"], "text")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    # Weights stand at other places of memory then, which may change the last bit.
    torch.testing.assert_close(tiny.load(folder).encode(["a red bag"], "text"), expected, atol=1e-6, rtol=0)
    torch.save({"weight": os.system}, folder / "pytorch_model.bin")
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_configurations_cannot_name_other_things(tiny, folder):
    expected = tiny.load(folder).encode(["a red bag"], "text")
    config = json.loads((folder / "config.json").read_text())
    other = {"attn_implementation": "elsewhere/kernel", "_attn_implementation": "elsewhere/kernel"}
    tiny.edit_json(
        folder / "config.json",
        auto_map={"AutoModel": "elsewhere/code--modeling.Model"},
        transformers_weights="../other.safetensors",
        text_config=config["text_config"] | other,
        **other,
    )
    assert torch.equal(tiny.load(folder).encode(["a red bag"], "text"), expected)


def test_loading_leaves_the_global_generator_alone(tiny, folder):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    tiny.load(folder)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "no CLIP checkpoint: it holds no config.json"),
        ("preprocessor_config.json", "holds no preprocessor_config.json"),
        ("model.safetensors", "holds no weights: neither model.safetensors nor pytorch_model.bin"),
        ("tokenizer.json", "tokenizer in .* cannot be loaded"),
    ],
)
def test_missing_files_are_named(tiny, folder, name, message):
    (folder / name).unlink()
    refuse(tiny, folder, message)


@pytest.mark.parametrize("kept", [0, 7, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny, folder, kept):
    path = folder / "model.safetensors"
    os.truncate(path, kept if isinstance(kept, int) else int(path.stat().st_size * kept))
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_weights_of_one_tower_are_refused(tiny, folder):
    change_weights(
        folder, lambda weights: [weights.pop(name) for name in sorted(weights) if name.startswith("vision_model.")]
    )
    refuse(tiny, folder, r"lack \d+ tensors, the first being vision_model\.")


def test_weights_of_another_size_are_refused(tiny, folder):
    tiny.edit_json(folder / "config.json", projection_dim=12)
    refuse(tiny, folder, "weights in .* cannot be loaded")


def test_weights_that_are_not_finite_are_refused(tiny, folder):
    change_weights(folder, lambda weights: weights["visual_projection.weight"].fill_(float("inf")))
    refuse(tiny, folder, r"visual_projection\.weight holds values that are not finite")


def test_another_architecture_is_refused(tiny, folder):
    CLIPTextModel(tiny.network().config.text_config).save_pretrained(folder)
    refuse(tiny, folder, "architecture 'clip_text_model', which is neither clip nor siglip")


def test_values_of_another_kind_are_refused(tiny, folder):
    tiny.edit_json(folder / "config.json", text_config=3)
    refuse(tiny, folder, "describes no clip")


def test_a_larger_tokenizer_than_the_embeddings_is_refused(tiny, folder):
    tiny.tokenizer(words=[f"word{number}" for number in range(50)]).save_pretrained(folder)
    refuse(tiny, folder, "54 tokens, but the text tower has 20 embeddings")
