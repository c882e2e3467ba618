import os
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM

from dragoman.errors import PackageError
from dragoman_bert.expert import Bert


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def refuse(tiny, folder, message, said):
    """The checkpoint is refused in one sentence that names the folder, and nothing else is printed."""
    said()
    with pytest.raises(PackageError, match=message) as caught:
        tiny.load(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 500
    assert said() == ""
    return sentence


def test_a_saved_expert_loads_again(tiny, folder, tmp_path):
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    expert = tiny.load(folder)
    expert.save_pretrained(tmp_path / "copy")
    again = tiny.load(tmp_path / "copy")
    texts = ["a red bag", "shoe with sleeves"]
    assert again.max_tokens == 12
    assert again.ports == expert.ports
    assert torch.equal(again.encode(texts, "pooled"), expert.encode(texts, "pooled"))


def test_ports_are_known_from_the_configuration_alone():
    ports = Bert.describe({"model_type": "distilbert", "dim": 768, "n_layers": 6})
    assert [*ports] == ["pooled", "cls", "tokens"] + [f"hidden.{k}" for k in range(7)]
    assert ports["pooled"].shape == ports["cls"].shape == (768,)
    assert ports["tokens"].shape == ports["hidden.6"].shape == ("tokens", 768)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "gpt2", "n_embd": 16, "n_layer": 2}, "architecture 'gpt2'"),
        ({}, "architecture None"),
        ({"model_type": "bert", "num_hidden_layers": 2}, "no usable hidden_size: None"),
        ({"model_type": "bert", "hidden_size": 16, "num_hidden_layers": "two"}, "num_hidden_layers: 'two'"),
    ],
)
def test_other_configurations_are_refused(config, message):
    with pytest.raises(PackageError, match=message):
        Bert.describe(config)


def test_loading_prints_nothing_and_leaves_the_global_generator_alone(tiny, tmp_path, said):
    # A masked language model holds a head that is not needed, and no pooler.
    folder = tiny.write(tmp_path, network=AutoModelForMaskedLM)
    assert not any("pooler" in name for name in load_file(folder / "model.safetensors"))
    state = torch.random.get_rng_state()
    said()
    one, other = tiny.load(folder), tiny.load(folder)
    assert said() == ""
    assert torch.equal(torch.random.get_rng_state(), state)
    weights = one.state_dict()
    assert not any("pooler" in name for name in weights)
    assert all(torch.equal(value, weights[name]) for name, value in other.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_weights_keep_the_type_in_which_they_are_stored(dtype, tiny, folder):
    change_weights(folder, lambda weights: weights.update({k: v.to(dtype) for k, v in weights.items()}))
    tiny.edit_json(folder / "config.json", dtype=None)
    assert {value.dtype for value in tiny.load(folder).parameters()} == {dtype}


def test_torch_weights_are_read(tiny, folder):
    expected = tiny.load(folder).encode(["a red bag"], "pooled")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert torch.equal(tiny.load(folder).encode(["a red bag"], "pooled"), expected)


class Payload:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_pickled_code_is_not_run(tiny, folder, tmp_path, save, said):
    weights = load_file(folder / "model.safetensors")
    save({**weights, "extra": Payload(f"touch {tmp_path / 'ran'}")}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refuse(tiny, folder, "weights in .* cannot be loaded", said)
    assert not (tmp_path / "ran").exists()


def test_configuration_keys_cannot_load_other_things(tiny, folder):
    expected = tiny.load(folder).encode(["a red bag"], "pooled")
    tiny.edit_json(
        folder / "config.json",
        auto_map={"AutoModel": "elsewhere/code--modeling.Model", "AutoConfig": "elsewhere/code--configuration.Config"},
        attn_implementation="elsewhere/kernel",
        _attn_implementation="elsewhere/kernel",
        transformers_weights="../other.safetensors",
    )
    assert torch.equal(tiny.load(folder).encode(["a red bag"], "pooled"), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "holds no config.json"),
        ("model.safetensors", "holds no weights: neither model.safetensors nor pytorch_model.bin"),
        ("tokenizer.json", "tokenizer in .* cannot be loaded"),
    ],
)
def test_missing_files_are_named(tiny, folder, name, message, said):
    (folder / name).unlink()
    assert str(folder) in refuse(tiny, folder, message, said)


def test_a_tokenizer_without_vocabulary_is_refused(tiny, folder, said):
    # For this class transformers would go on with a vocabulary of its five special tokens.
    (folder / "tokenizer.json").unlink()
    tiny.edit_json(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    refuse(tiny, folder, "holds no tokenizer vocabulary", said)


def test_a_folder_that_does_not_exist_is_named(tiny, tmp_path, said):
    refuse(tiny, tmp_path / "nowhere", "nowhere is no BERT-family checkpoint: it holds no config.json", said)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["{", "[1]", "\x00\xff"])
def test_files_that_are_no_json_are_refused(tiny, folder, name, content, said):
    (folder / name).write_text(content)
    refuse(tiny, folder, re.escape(str(folder)), said)


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.999])
def test_truncated_weights_are_refused(tiny, folder, kept, said):
    path = folder / "model.safetensors"
    os.truncate(path, kept if isinstance(kept, int) else int(path.stat().st_size * kept))
    refuse(tiny, folder, "weights in .* cannot be loaded", said)


def test_missing_tensors_are_counted(tiny, folder, said):
    change_weights(folder, lambda weights: [weights.pop(name) for name in sorted(weights) if ".layer.1." in name])
    refuse(tiny, folder, r"lack 16 tensors, the first being encoder\.layer\.1\.", said)


def test_weights_of_another_network_are_refused(tiny, folder, said):
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    refuse(tiny, folder, "lack 53 tensors", said)


def test_weights_of_another_size_are_refused(tiny, folder, said):
    tiny.edit_json(folder / "config.json", hidden_size=32)
    refuse(tiny, folder, "weights in .* cannot be loaded", said)


def test_weights_that_are_not_finite_are_refused(tiny, folder, said):
    name = "encoder.layer.2.output.dense.bias"
    change_weights(folder, lambda weights: weights[name].fill_(float("nan")))
    refuse(tiny, folder, f"{name} holds values that are not finite", said)


def test_a_larger_tokenizer_than_the_embeddings_is_refused(tiny, folder, said):
    tiny.tokenizer([f"word{number}" for number in range(50)]).save_pretrained(folder)
    refuse(tiny, folder, "54 tokens, but the encoder has 20 embeddings", said)
