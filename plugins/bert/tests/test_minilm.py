"""The real all-MiniLM-L6-v2, as published, against transformers and the pooling of sentence-transformers."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from dragoman.pretrained import quiet
from dragoman.texts import TruncationWarning
from dragoman_bert.expert import Bert

TEXTS = [
    "A red handbag.",
    "Two dogs run over a wide green field while a child in a yellow coat looks on from the fence.",
    "",
    "Ein Pullover mit Streifen, größer als üblich",
    "A red handbag.",
    "sneakers",
]


@pytest.fixture(scope="module")
def reference(minilm_folder):
    with quiet():
        return AutoModel.from_pretrained(minilm_folder).eval(), AutoTokenizer.from_pretrained(minilm_folder)


@pytest.fixture(scope="module")
def reference_states(reference):
    network, tokenizer = reference
    inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        return network(**inputs, output_hidden_states=True).hidden_states, inputs["attention_mask"]


def test_ports(minilm):
    assert minilm.ports["pooled"].shape == (384,)
    assert minilm.max_tokens == 256


def test_pooled_is_the_mean_of_sentence_transformers(minilm, reference_states):
    states, mask = reference_states
    weights = mask.unsqueeze(-1).expand(states[-1].shape).float()
    expected = (states[-1] * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
    torch.testing.assert_close(minilm.encode(TEXTS, "pooled"), expected, atol=1e-5, rtol=0)


def test_cls_and_tokens_are_the_last_hidden_state(minilm, reference_states):
    states, mask = reference_states
    tokens = minilm.encode(TEXTS, "tokens")
    assert torch.equal(tokens.mask, mask.bool())
    torch.testing.assert_close(tokens.values, states[-1] * mask[..., None], atol=1e-5, rtol=0)
    torch.testing.assert_close(minilm.encode(TEXTS, "cls"), states[-1][:, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", range(7))
def test_hidden_layers(minilm, reference_states, layer):
    states, mask = reference_states
    found = minilm.encode(TEXTS, f"hidden.{layer}").values
    torch.testing.assert_close(found, states[layer] * mask[..., None], atol=1e-5, rtol=0)


def test_long_texts_end_as_transformers_ends_them_and_are_reported_once(minilm_folder, reference, said):
    network, tokenizer = reference
    text = "the quick brown fox jumps over the lazy dog " * 80
    inputs = tokenizer([text], truncation=True, max_length=256, return_tensors="pt")
    expert = Bert.from_folder(minilm_folder)
    said()
    with pytest.warns(TruncationWarning, match="1 of 1 texts are longer than 256 tokens") as caught:
        found = expert.encode([text], "cls")
    # The tokenizer has a remark of its own for texts of more than 512 tokens, which would be wrong here.
    assert len(caught) == 1
    assert said() == ""
    with torch.no_grad():
        torch.testing.assert_close(found, network(**inputs).last_hidden_state[:, 0], atol=1e-5, rtol=0)


def test_near_meanings_are_near(minilm):
    red_bag, scarlet_bag, shoes = minilm.encode(["a red handbag", "a scarlet purse", "running shoes"], "pooled")
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(red_bag, scarlet_bag, dim=0) > cosine(red_bag, shoes, dim=0) + 0.2


def test_half_precision_points_the_same_way(minilm, minilm_folder):
    half = Bert.from_folder(minilm_folder).freeze().place(torch.bfloat16, "cpu")
    cosine = torch.nn.functional.cosine_similarity(half.encode(TEXTS, "pooled"), minilm.encode(TEXTS, "pooled"))
    assert (cosine > 0.998).all()
