"""Choosing among candidates: by which chances, and how many are looked at."""

from __future__ import annotations

import math

import pytest
import torch

from dragoman.candidates import choose, draw_luck


class Shown:
    """Candidates whose outputs are their numbers, and who has looked at which."""

    def __init__(self, scores):
        self.scores, self.looks = scores, []

    def __call__(self, rows, candidates):
        self.looks += list(zip(rows.tolist(), candidates.tolist(), strict=True))
        return candidates.clone(), self.scores[rows, candidates]


def luck(rows, size, temperature, seed=3):
    return draw_luck(rows, size, torch.Generator().manual_seed(seed), temperature)


def test_without_luck_the_best_is_kept_and_of_equal_ones_the_first():
    shown = Shown(torch.tensor([[0.1, 0.7, 0.7], [0.5, 0.2, 0.1]]))
    assert choose(shown, luck(2, 3, 0.0), math.inf).tolist() == [1, 0]
    assert sorted(shown.looks) == [(row, column) for row in range(2) for column in range(3)]


@pytest.mark.parametrize(("temperature", "share"), [(0.5, 0.9), (1.0, 0.75), (1e9, 0.5)])
@pytest.mark.parametrize("ceiling", [math.inf, math.log(3)])
def test_chances_are_in_proportion_to_what_is_believed(temperature, share, ceiling):
    """Of two candidates one is believed three times as much: it is kept three times in four."""
    shown = Shown(torch.tensor([[0.0, math.log(3)]]).expand(4000, 2))
    kept = choose(shown, luck(4000, 2, temperature), ceiling)
    assert float(kept.double().mean()) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("temperature", [0.0, 0.12, 1.0])
def test_a_ceiling_changes_how_many_are_looked_at_and_nothing_else(temperature):
    scores = torch.rand(500, 8, generator=torch.Generator().manual_seed(0)).log()
    wholly, briefly = Shown(scores), Shown(scores)
    chance = luck(500, 8, temperature)
    assert torch.equal(choose(wholly, chance, math.inf), choose(briefly, chance, 0.0))
    assert len(wholly.looks) == 4000
    assert len(set(briefly.looks)) == len(briefly.looks)
    if temperature:
        assert len(briefly.looks) < 3200


def test_a_row_is_done_with_its_first_candidate_where_nothing_can_be_better():
    shown = Shown(torch.tensor([[1.0, 1.0], [0.5, 1.0]]))
    assert choose(shown, luck(2, 2, 0.0), 1.0).tolist() == [0, 1]
    assert shown.looks == [(0, 0), (1, 0), (1, 1)]


def test_luck_depends_neither_on_the_rows_that_follow_nor_on_how_much_of_it_there_is():
    first, second = (torch.Generator().manual_seed(1) for _ in range(2))
    few, many = draw_luck(2, 3, first, 1.0), draw_luck(50, 3, second, 1.0)
    assert torch.equal(few, many[:2])
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=second))
