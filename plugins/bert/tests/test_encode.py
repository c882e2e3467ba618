import warnings

import pytest
import torch
from torch import nn

from dragoman.errors import InputError, PortError
from dragoman.representation import Tokens
from dragoman.texts import TruncationWarning
from dragoman_bert.checkpoint import FAMILIES
from dragoman_bert.expert import Bert

TEXTS = ["a red bag", "shoe", "a very very long blue striped shoe with very long sleeves", "red shoe", "a red bag", ""]


def one_by_one(expert, text, layer=-1):
    """Hidden states of one text, by transformers alone: no padding, no mask."""
    encoded = expert.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    with torch.no_grad():
        return expert.network(**encoded, output_hidden_states=True).hidden_states[layer][0]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_agrees_with_transformers_whatever_the_padding(family, tiny, tmp_path):
    expert = tiny.load(tiny.write(tmp_path, family))
    tokens, pooled, cls = (expert.encode(TEXTS, port) for port in ("tokens", "pooled", "cls"))
    middle = expert.encode(TEXTS, "hidden.2")
    for row, text in enumerate(TEXTS):
        reference = one_by_one(expert, text)
        torch.testing.assert_close(tokens.values[row][tokens.mask[row]], reference, atol=1e-5, rtol=0)
        torch.testing.assert_close(pooled[row], reference.mean(dim=0), atol=1e-5, rtol=0)
        torch.testing.assert_close(cls[row], reference[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(middle.values[row][middle.mask[row]], one_by_one(expert, text, 2), atol=1e-5, rtol=0)
    assert (pooled[0] - pooled[1]).abs().max() > 1e-2


def test_every_hidden_layer_has_a_port(expert):
    assert [name for name in expert.ports if name.startswith("hidden.")] == [f"hidden.{k}" for k in range(4)]
    for layer in range(4):
        found = expert.encode(["a red bag"], f"hidden.{layer}")
        torch.testing.assert_close(found.values[0], one_by_one(expert, "a red bag", layer), atol=1e-5, rtol=0)
    assert not torch.allclose(expert.encode(["a"], "hidden.0").values, expert.encode(["a"], "hidden.3").values)


def test_a_hidden_layer_runs_no_layer_after_it(expert):
    ran = []
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, layer in enumerate(expert.network.encoder.layer, start=1)
    ]
    expert.encode(["a red bag"], "hidden.2")
    assert ran == [1, 2]
    expert.encode(["a red bag"], "tokens")
    assert ran == [1, 2, 1, 2, 3]
    for hook in hooks:
        hook.remove()


def test_shapes_and_types_are_those_of_the_ports(expert):
    for name, port in expert.ports.items():
        found = expert.encode(TEXTS, name)
        values = found.values if isinstance(found, Tokens) else found
        sizes = {"tokens": 13} | dict(enumerate(values.shape[1:]))
        assert values.shape[1:] == tuple(sizes[size] if isinstance(size, str) else size for size in port.shape)
        assert str(values.dtype) == f"torch.{port.dtype}"


def test_positions_outside_the_mask_are_zero(expert):
    tokens = expert.encode(TEXTS, "tokens")
    assert tokens.mask.dtype == torch.bool
    assert tokens.mask.sum(dim=1).tolist() == [5, 3, 13, 4, 5, 2]
    assert (tokens.values[~tokens.mask] == 0).all()
    assert (tokens.values[tokens.mask].abs().sum(dim=-1) > 0).all()


def test_results_do_not_depend_on_the_rest_of_the_batch(expert, monkeypatch):
    texts = [" ".join(TEXTS[k % 4] for k in range(row % 5 + 1))[:60] + " red" * (row % 7) for row in range(40)]
    together = expert.encode(texts, "pooled")
    alone = torch.cat([expert.encode([text], "pooled") for text in texts])
    monkeypatch.setattr(Bert, "batch_size", 3)
    in_threes = expert.encode(texts, "pooled")
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(in_threes, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(expert.encode(texts[::-1], "pooled"), alone.flip(0), atol=1e-5, rtol=0)


def test_equal_texts_are_encoded_once_and_batches_hold_similar_lengths(expert, monkeypatch):
    seen = []
    hook = expert.network.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    monkeypatch.setattr(Bert, "batch_size", 2)
    pooled = expert.encode(["red bag", "very " * 20, "red bag", "a", "very " * 19, "red bag"], "pooled")
    hook.remove()
    assert seen == [(2, 4), (2, 22)]
    assert torch.equal(pooled[0], pooled[2])
    assert torch.equal(pooled[0], pooled[5])


@pytest.mark.parametrize("port", ["pooled", "cls"])
def test_no_texts_give_no_vectors(expert, port):
    assert expert.encode([], port).shape == (0, 16)


@pytest.mark.parametrize("port", ["tokens", "hidden.1"])
def test_no_texts_give_no_tokens(expert, port):
    values, mask = expert.encode([], port)
    assert values.shape == (0, 0, 16)
    assert mask.shape == (0, 0)
    assert mask.dtype == torch.bool


def test_truncation_is_reported_once_with_count_and_limit(expert):
    with pytest.warns(TruncationWarning, match=r"^3 of 4 texts are longer than 40 tokens") as caught:
        tokens = expert.encode(["red " * 39, "red " * 38, "blue " * 200, "red " * 39], "tokens")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert tokens.mask.sum(dim=1).tolist() == [40] * 4
    torch.testing.assert_close(tokens.values[0], tokens.values[1], atol=1e-5, rtol=0)


def test_what_fits_is_not_reported(expert, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expert.encode(["red " * 38, "a"], "cls")
    assert said() == ""


@pytest.mark.parametrize(("family", "positions"), [("bert", 40), ("roberta", 38), ("mpnet", 38), ("distilbert", 40)])
def test_the_limit_is_the_number_of_positions(family, positions, tiny, tmp_path):
    expert = tiny.load(tiny.write(tmp_path, family))
    assert expert.max_tokens == positions
    with pytest.warns(TruncationWarning, match=f"longer than {positions} tokens"):
        assert expert.encode(["red " * 60], "pooled").isfinite().all()


def test_the_limit_is_the_smallest_that_is_stated(folder, tiny):
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    assert tiny.load(folder).max_tokens == 12
    tiny.edit_json(folder / "tokenizer_config.json", model_max_length=9)
    assert tiny.load(folder).max_tokens == 9


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_give_float32_with_an_exact_mean(dtype, tiny, folder):
    expert = tiny.load(folder).place(dtype, None)
    full = tiny.load(folder)
    texts = ["red blue " * 18, "a bag"]
    pooled, tokens = expert.encode(texts, "pooled"), expert.encode(texts, "tokens")
    assert pooled.dtype == tokens.values.dtype == torch.float32
    exact = torch.stack([row[mask].double().mean(dim=0) for row, mask in zip(*tokens, strict=True)])
    torch.testing.assert_close(pooled.double(), exact, atol=1e-6, rtol=0)
    torch.testing.assert_close(pooled, full.encode(texts, "pooled"), atol=0.05, rtol=0)


def test_the_encoder_stays_frozen_inside_a_model_that_trains(folder, tiny):
    expert = tiny.load(folder)
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    model = nn.Sequential(expert, nn.Linear(16, 1)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    model[1](expert.encode(["a red bag", "shoe"], "pooled")).sum().backward()
    optimizer.step()
    assert not any(module.training for module in expert.modules())
    assert not any(parameter.requires_grad for parameter in expert.parameters())
    assert all(torch.equal(value, before[name]) for name, value in expert.state_dict().items())


def test_unknown_ports_are_named(expert):
    with pytest.raises(PortError, match=r"no port 'hidden.4'.*hidden.3"):
        expert.encode(["a"], "hidden.4")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [("a red bag", "list of texts, not str"), (["a", 3], "Text 2 is no string but int"), (None, "not NoneType")],
)
def test_what_is_no_list_of_texts_is_refused(expert, inputs, message):
    with pytest.raises(InputError, match=message):
        expert.encode(inputs, "pooled")


def test_a_text_without_any_token_is_refused(folder, tiny):
    expert = tiny.load(folder)
    expert.tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(InputError, match="'' has no tokens"):
        expert.encode(["a bag", ""], "pooled")
