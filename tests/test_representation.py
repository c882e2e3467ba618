"""What experts exchange: selecting, repeating and joining batches, and noise that no batch size changes."""

from __future__ import annotations

import pytest
import torch

from dragoman.representation import Tokens, concatenate, disturb, length, randn_rows, repeat_rows, select

VECTORS = torch.arange(6.0).view(3, 2)
TOKENS = Tokens(torch.arange(12.0).view(3, 2, 2), torch.tensor([[True, True], [True, False], [True, True]]))
TEXTS = ["a", "b", "c"]
KINDS = pytest.mark.parametrize("batch", [VECTORS, TOKENS, TEXTS], ids=["vectors", "tokens", "texts"])


def as_lists(batch):
    """Samples one by one, in a form that can be compared."""
    if isinstance(batch, Tokens):
        return [(value.tolist(), mask.tolist()) for value, mask in zip(*batch, strict=True)]
    return batch if isinstance(batch, list) else batch.tolist()


@KINDS
def test_rows_are_selected_in_any_order_and_number(batch):
    samples = as_lists(batch)
    assert as_lists(select(batch, [2, 0, 2])) == [samples[2], samples[0], samples[2]]
    assert type(select(batch, [0])) is type(batch)
    assert length(select(batch, [])) == 0
    assert length(batch) == 3


@KINDS
def test_repeats_of_a_sample_stand_next_to_each_other(batch):
    a, b, c = as_lists(batch)
    assert as_lists(repeat_rows(batch, 2)) == [a, a, b, b, c, c]
    assert as_lists(repeat_rows(batch, 1)) == [a, b, c]


@KINDS
def test_what_is_taken_apart_can_be_joined_again(batch):
    parts = [select(batch, [0]), select(batch, [1, 2])]
    assert as_lists(concatenate(parts)) == as_lists(batch)
    assert type(concatenate(parts)) is type(batch)


def test_sequences_are_padded_with_zeros_outside_the_mask():
    longer = Tokens(torch.ones(1, 4, 2), torch.ones(1, 4, dtype=torch.bool))
    joined = concatenate([TOKENS, longer])
    assert joined.values.shape == (4, 4, 2)
    assert joined.mask.dtype == torch.bool
    assert torch.equal(joined.values[:3, :2], TOKENS.values)
    assert not joined.values[:3, 2:].any()
    assert joined.mask.sum(1).tolist() == [2, 1, 2, 4]


def test_batches_of_different_kinds_cannot_be_joined():
    with pytest.raises(TypeError, match="different kinds cannot be joined: Tensor and list"):
        concatenate([VECTORS, TEXTS])


def test_noise_begins_the_same_for_any_number_of_rows():
    few, many = (randn_rows(rows, 5, torch.Generator().manual_seed(3)) for rows in (2, 7))
    assert torch.equal(few, many[:2])
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(torch.cat([randn_rows(3, 5, generator), randn_rows(4, 5, generator)]), many)


def test_noise_is_standard_normal():
    noise = randn_rows(2000, 8, torch.Generator().manual_seed(0))
    assert noise.mean().abs() < 0.03
    assert (noise.std() - 1).abs() < 0.03
    assert randn_rows(0, 4, None).shape == (0, 4)


@KINDS
def test_noise_reaches_values_alone_and_follows_its_generator(batch):
    def noisy(seed, deviation=0.5):
        return disturb(batch, deviation, torch.Generator().manual_seed(seed))

    assert as_lists(noisy(0)) == as_lists(noisy(0))
    if isinstance(batch, list):
        assert noisy(0) == batch
        return
    assert as_lists(noisy(0)) != as_lists(noisy(1))
    there = batch.mask if isinstance(batch, Tokens) else slice(None)
    values, same = (x.values if isinstance(x, Tokens) else x for x in (batch, noisy(0, 0.0)))
    assert torch.equal(same[there], values[there])
    if isinstance(batch, Tokens):
        assert torch.equal(noisy(0).mask, batch.mask)
        assert (noisy(0).values[~batch.mask] == 0).all()


def test_the_noise_is_as_large_as_asked_for():
    found = disturb(torch.zeros(2000, 5), 0.3, torch.Generator().manual_seed(0))
    assert found.std() == pytest.approx(0.3, rel=0.05)
