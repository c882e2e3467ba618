import pytest
import torch

from dragoman_minizoo.evaluating import held_out_prompts, make_jury
from dragoman_minizoo.judging import reference_images
from dragoman_minizoo.prompts import TIERS


@pytest.fixture(scope="module")
def jury():
    return make_jury()


@pytest.fixture(scope="module")
def prompts():
    return held_out_prompts(40)


def fitting(jury, prompts, each):
    """Real images that each prompt describes."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for label, levels, said in zip(prompts.label, prompts.levels, prompts.mentioned, strict=True):
        fits = ((jury.label == label) & ((jury.levels == levels) | ~said).all(dim=1)).nonzero()[:, 0]
        rows.append(fits[torch.randint(len(fits), (each,), generator=generator)])
    return reference_images().images[torch.cat(rows)].float() / 255


def test_real_images_that_fit_are_judged_right(jury, prompts):
    found = jury.judge_images(fitting(jury, prompts["templates"], 6), prompts["templates"])
    assert found.class_accuracy > 0.88
    assert found.attribute_accuracy == 1.0
    assert found.diversity_ratio == pytest.approx(1.0, abs=0.25)


def test_one_image_for_all_has_no_diversity_and_chance_accuracy(jury, prompts):
    one = fitting(jury, prompts["templates"], 1)[:1].expand(40 * 3, -1, -1, -1)
    found = jury.judge_images(one, prompts["templates"])
    assert found.diversity_ratio < 1e-3
    assert found.class_accuracy < 0.4


def test_prompts_are_distinct_in_every_tier(prompts):
    assert set(prompts) == set(TIERS)
    everything = [caption for one in prompts.values() for caption in one.captions]
    assert len(set(everything)) == len(everything) == 120
