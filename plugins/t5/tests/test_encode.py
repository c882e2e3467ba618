import pytest
import torch

from dragoman.errors import InputError, PortError
from dragoman.representation import Tokens
from dragoman.texts import TruncationWarning
from dragoman_t5.expert import T5
from dragoman_t5.library import T5EncoderModel

VERSIONS = ["1.0", "1.1"]


def one_by_one(expert, text):
    """Hidden states of one text, by transformers alone: no padding, no mask."""
    encoded = expert.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        return expert.network(input_ids=encoded["input_ids"]).last_hidden_state[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_values_agree_with_transformers_whatever_the_padding(version, experts, tiny):
    expert = experts[version]
    tokens, pooled = expert.encode(tiny.texts, "tokens"), expert.encode(tiny.texts, "pooled")
    for row, text in enumerate(tiny.texts):
        reference = one_by_one(expert, text)
        torch.testing.assert_close(tokens.values[row][tokens.mask[row]], reference, atol=1e-5, rtol=0)
        torch.testing.assert_close(pooled[row], reference.mean(dim=0), atol=1e-5, rtol=0)
    assert (tokens.values[~tokens.mask] == 0).all()
    assert (pooled[0] - pooled[1]).abs().max() > 1e-2
    # The empty text has the end token alone: what models without a prompt are given.
    assert tokens.mask.sum(dim=1).tolist()[-1] == 1


def test_the_encoder_is_that_of_the_whole_model(folder, tiny):
    expert, reference = tiny.load(folder), T5EncoderModel.from_pretrained(folder).eval()
    ids = expert.tokenizer(["a red bag"], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = reference(input_ids=ids).last_hidden_state
    torch.testing.assert_close(expert.encode(["a red bag"], "tokens").values, expected, atol=1e-5, rtol=0)
    assert not any("decoder" in name for name, _ in expert.named_parameters())


@pytest.mark.parametrize("version", VERSIONS)
def test_shapes_and_types_are_those_of_the_ports(version, experts, tiny):
    tokens, pooled = (experts[version].encode(tiny.texts, port) for port in ("tokens", "pooled"))
    assert tokens.values.shape == (*tokens.mask.shape, 16)
    assert tokens.mask.dtype == torch.bool
    assert pooled.shape == (6, 16)
    assert tokens.values.dtype == pooled.dtype == torch.float32


def test_results_do_not_depend_on_the_rest_of_the_batch(expert, monkeypatch):
    texts = [" ".join(["red"] * (row % 7) + ["bag"]) for row in range(15)]
    alone = torch.cat([expert.encode([text], "pooled") for text in texts])
    torch.testing.assert_close(expert.encode(texts, "pooled"), alone, atol=1e-5, rtol=0)
    monkeypatch.setattr(T5, "batch_size", 2)
    torch.testing.assert_close(expert.encode(texts[::-1], "pooled"), alone.flip(0), atol=1e-5, rtol=0)


def test_nothing_gives_nothing(expert):
    assert expert.encode([], "pooled").shape == (0, 16)
    values, mask = expert.encode([], "tokens")
    assert values.shape == (0, 0, 16)
    assert mask.shape == (0, 0)


def test_long_texts_are_cut_and_reported(expert):
    with pytest.warns(TruncationWarning, match="^1 of 2 texts are longer than 40 tokens") as caught:
        tokens = expert.encode(["red bag " * 100, "a"], "tokens")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert tokens.mask.sum(dim=1).max() == 40


def test_without_a_stated_limit_it_is_that_of_training(folder, tiny):
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert tiny.load(folder).max_tokens == 512


def test_it_stays_frozen(folder, tiny):
    expert = tiny.load(folder).train()
    assert not any(module.training for module in expert.modules())
    assert not any(parameter.requires_grad for parameter in expert.parameters())
    assert not expert.encode(["a"], "pooled").requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype, folder, tiny):
    expert = T5.from_pretrained(folder, dtype=dtype, device="cpu")
    full = tiny.load(folder)
    kinds = {name: parameter.dtype for name, parameter in expert.named_parameters()}
    assert {kind for name, kind in kinds.items() if ".wo." not in name} == {dtype}
    assert {kind for name, kind in kinds.items() if ".wo." in name} == {
        torch.float32 if dtype == torch.float16 else dtype
    }
    found, expected = expert.encode(tiny.texts, "pooled"), full.encode(tiny.texts, "pooled")
    assert found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.99
    moved = full.place(dtype, "cpu")
    assert {name: parameter.dtype for name, parameter in moved.named_parameters()} == kinds
    torch.testing.assert_close(moved.encode(tiny.texts, "pooled"), found, atol=1e-2, rtol=0)


def test_large_activations_do_not_overflow_float16(folder, tiny):
    """The large checkpoints leave float16's range in their feed-forward layers; so does this one."""
    expert = tiny.load(folder)
    for name, parameter in expert.network.named_parameters():
        if ".wo." in name:
            parameter.mul_(2e4)
        if ".wi_" in name:
            parameter.mul_(3)
    full = expert.encode(tiny.texts, "tokens")
    half = expert.place(torch.float16, None).encode(tiny.texts, "tokens")
    assert half.values.isfinite().all()
    assert torch.nn.functional.cosine_similarity(half.values[half.mask], full.values[full.mask]).min() > 0.98


def test_stored_half_precision_is_kept_and_can_be_widened(tmp_path, tiny):
    folder = tiny.write(tmp_path / "half", dtype=torch.bfloat16)
    assert tiny.load(folder).network.dtype == torch.bfloat16
    assert T5.from_pretrained(folder, dtype=torch.float32).network.dtype == torch.float32


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_offloaded_weights_give_the_same(dtype, folder, tiny):
    expert = T5.from_pretrained(folder, dtype=dtype, device="cpu", offload=True)
    expected = T5.from_pretrained(folder, dtype=dtype)
    # Between two calls no weight is where the encoder computes.
    for _ in range(2):
        assert all(parameter.device.type == "meta" for parameter in expert.parameters())
        found = expert.encode(tiny.texts, "tokens")
        torch.testing.assert_close(found.values, expected.encode(tiny.texts, "tokens").values, atol=1e-5, rtol=0)
    assert expert.encode([], "pooled").shape == (0, 16)
    with pytest.raises(InputError, match="offloaded encoder stays"):
        expert.place(torch.float32, None)


def test_other_inputs_are_refused(expert):
    with pytest.raises(PortError, match="no port 'hidden'"):
        expert.encode(["a"], "hidden")
    with pytest.raises(InputError, match="list of texts, not str"):
        expert.encode("a red bag", "tokens")
    assert isinstance(expert.encode(["a"], "tokens"), Tokens)
