"""The shipped models do what their cards say."""

import pytest
import torch

import dragoman
import dragoman_minizoo.store
from dragoman.endpoint import load_expert
from dragoman.errors import InputError
from dragoman.fuse import fuse, load_critic
from dragoman.making import open_maker
from dragoman.metrics import frechet_distance
from dragoman.recipe import Recipe
from dragoman.representation import repeat_rows, select
from dragoman_minizoo.data import LABELS
from dragoman_minizoo.evaluating import make_jury
from dragoman_minizoo.judging import reference_images
from dragoman_registry.check import check


@pytest.fixture(scope="module")
def real():
    data = reference_images()
    return data.images.float() / 255, data.labels


@pytest.fixture(scope="module")
def made():
    expert = load_expert("biggan-fashion")
    label = torch.arange(10).repeat_interleave(100)
    return expert.decode(label, "label", generator=torch.Generator().manual_seed(0)), label


def test_the_judge_and_the_captioner_know_garments(real):
    images, labels = real
    assert (load_expert("judge-fashion").labels(images) == labels).float().mean() > 0.91
    assert (load_expert("captioner-fashion").see(images)[0] == labels).float().mean() > 0.9


def test_judge_and_captioner_differ_in_architecture():
    judge, captioner = load_expert("judge-fashion"), load_expert("captioner-fashion")
    assert judge.config["architecture"] != captioner.config["architecture"]


def test_the_generator_makes_garments_of_its_classes(made):
    images, label = made
    assert images.min() >= 0
    assert images.max() <= 1
    assert (load_expert("judge-fashion").labels(images) == label).float().mean() > 0.9


def test_the_generator_is_closer_to_real_images_than_noisy_ones_are(made, real):
    jury = make_jury()
    images, _ = real
    noisy = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    ours = frechet_distance(jury.features, jury._look(made[0])[0])
    assert ours < frechet_distance(jury.features, jury._look(noisy)[0])


def test_the_captioner_answers_differently_but_repeatably(real):
    captioner = load_expert("captioner-fashion")
    images = real[0][:50]
    first, again, other = (
        captioner.encode(images, "caption", generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_the_captioner_declines_what_it_is_not_sure_of(real):
    images, labels = real
    captioner = load_expert("captioner-fashion")
    said = captioner.encode(images, "caption", generator=torch.Generator().manual_seed(0))
    sure = torch.tensor([caption != "" for caption in said])
    right = captioner.see(images)[0] == labels
    assert 0.7 < sure.float().mean() < 0.98
    assert right[sure].float().mean() > right.float().mean() + 0.02


def test_the_reader_prefers_the_right_garment(real):
    images, labels = real
    encoder, reader = load_expert("bert"), load_critic("reader-fashion")
    bag, boot = images[labels == 8][:50], images[labels == 9][:50]
    condition = encoder.encode(["a photo of a bag"] * 50, "hidden.4")
    assert (reader.score(bag, condition) > reader.score(boot, condition)).float().mean() > 0.95


def test_the_reader_scores_whether_the_captioner_would_say_so(real):
    """A garment beyond doubt is as good as a typical one, and what is in doubt is none."""
    images, _ = real
    encoder, reader = load_expert("bert"), load_critic("reader-fashion")
    nouns = ("t-shirt", "pair of trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    asked = encoder.encode([f"a photo of a {noun}" for noun in nouns], "hidden.4")
    scores = torch.stack(
        [reader.score(images[:50], repeat_rows(select(asked, [row]), 50)).exp() for row in range(len(nouns))], dim=1
    )
    seen = reader.network(images[:50]).softmax(dim=1)
    assert scores.max() <= 1 + 1e-5
    assert scores[seen > 0.75].min() > 0.8
    assert scores[seen < 0.5].max() < 0.2


def test_the_reader_says_which_port_it_reads():
    with pytest.raises(InputError, match=r"must be Tokens \[B, T, 384\], not a tensor"):
        load_critic("reader-fashion").read(load_expert("bert").encode(["a bag"], "pooled"))


def test_a_ranker_of_another_port_is_refused_before_the_work(tmp_path):
    recipe = Recipe("bert:pooled", "biggan-fashion:latent", {"name": "cinn"}, ranker="reader-fashion")
    with pytest.raises(InputError, match=r"'reader-fashion' cannot rank what is made from bert's port 'pooled'.*Tok"):
        fuse(recipe, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_the_cascade_makes_the_garments_that_are_asked_for():
    fusion = dragoman.load("minizoo/text2fashion-diffusion")
    garments = ("trouser", "dress", "sneaker", "bag", "ankle boot")
    images = fusion.sample([f"a photo of a {name}" for name in garments], 8)
    assert images.shape == (40, 1, 32, 32)
    asked = torch.tensor([LABELS.index(name) for name in garments]).repeat_interleave(8)
    assert (load_expert("judge-fashion").labels(images) == asked).float().mean() > 0.85


PACKAGES = [path.parent for path in sorted(dragoman_minizoo.store.MODELS.glob("*/test"))]


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_what_is_shipped_still_makes_what_it_made_when_it_was_saved(folder):
    report = check(folder)
    assert report.reproduces, report.sentences


def test_everything_shipped_is_a_few_megabytes():
    files = [path for path in dragoman_minizoo.store.MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 19e6
    assert not [path for path in files if path.suffix in {".pt", ".bin", ".pkl"}]


@pytest.mark.parametrize("option", ["temperature", "candidates"])
def test_an_expert_refuses_what_only_fusions_have(option):
    maker = open_maker("biggan-fashion", torch.device("cpu"))
    with pytest.raises(InputError, match=f"biggan-fashion is an expert, which has no {option}"):
        maker.sample([], 1, **{option: 2})
