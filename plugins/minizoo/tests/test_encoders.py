"""The pair of encoders: a checkpoint as any other of CLIP, and of use."""

import pytest
import torch

from dragoman.endpoint import load_expert
from dragoman.texts import pad
from dragoman_clip.library import AutoTokenizer, CLIPModel
from dragoman_minizoo.attributes import levels, measure
from dragoman_minizoo.captioned import CaptionedImages, captions_of
from dragoman_minizoo.data import LABELS, Labelled
from dragoman_minizoo.judging import reference_images
from dragoman_minizoo.measure import _sentences, _zero_shot
from dragoman_minizoo.spelling import Spelling, train_tokenizer
from dragoman_minizoo.store import MODELS
from dragoman_minizoo.vocabulary import HELD_OUT, TRAINING

FOLDER = MODELS / "clip-fashion"


@pytest.fixture(scope="module")
def expert():
    return load_expert("clip-fashion")


@pytest.fixture(scope="module")
def real():
    data = reference_images()
    return data.images.float() / 255, data.labels


@pytest.fixture(scope="module")
def of_images(expert, real):
    return expert.encode(real[0], "image")


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_transformers_alone_reads_the_checkpoint_and_agrees(expert, real):
    network, tokenizer = CLIPModel.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)
    texts = ["a dark coat", "an oversized anorak, front view"]
    ids, _ = pad(tokenizer(texts)["input_ids"], tokenizer.pad_token_id, torch.device("cpu"))
    pixels = (real[0][:3, :, 2:30, 2:30] - 0.286) / 0.353
    output = network(input_ids=ids, pixel_values=pixels)
    assert torch.allclose(expert.encode(texts, "text"), output.text_embeds, atol=1e-5)
    assert torch.allclose(expert.encode(real[0][:3], "image"), output.image_embeds, atol=1e-5)


def test_half_precision_on_disk_is_float32_in_memory(expert):
    assert {value.dtype for value in expert.network.parameters()} == {torch.float32}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1.5e6


@pytest.mark.parametrize(("nouns", "least"), [(TRAINING, 0.79), (HELD_OUT, 0.7)], ids=["training", "held-out"])
def test_classes_are_known_by_nouns(expert, of_images, real, nouns, least):
    texts = _sentences(nouns, TRAINING.templates)
    assert _zero_shot(expert, texts, of_images, real[1]) > least


def test_zero_shot_labels_by_their_names(expert, real):
    answers = expert.zero_shot(real[0], LABELS, ["a photo of a {}"])
    assert torch.allclose(answers.sum(dim=1), torch.ones(len(real[0])))
    assert (answers.argmax(dim=1) == real[1]).float().mean() > 0.79


def test_levels_are_read_too(expert, of_images, real):
    boots = real[1] == 9
    bright, dark = expert.encode(["a bright boot", "a dark boot"], "text") @ of_images[boots].mT
    level = levels(measure(real[0][boots]), real[1][boots], load_expert("captioner-fashion").boundaries)[:, 0]
    prefers = bright - dark
    assert (prefers[level == 2] > 0).float().mean() > 0.85
    assert (prefers[level == 0] < 0).float().mean() > 0.85


def test_an_image_finds_its_own_caption(of_images, expert, real, generator):
    rows = torch.randperm(len(of_images), generator=generator)[:500]
    boundaries = load_expert("captioner-fashion").boundaries
    captions = captions_of(real[0][rows], real[1][rows], boundaries, TRAINING, generator)
    cosines = (of_images[rows] @ expert.encode(captions, "text").mT).view(5, 100, 5, 100)
    own = torch.cat([cosines[k, :, k].argmax(dim=1) == torch.arange(100) for k in range(5)])
    assert own.float().mean() > 0.2  # chance is 0.01


def test_any_text_is_read(expert):
    texts = ["", "Übergröße", "日本語", "👢" * 3, "A BAG"]
    assert expert.encode(texts, "text").isfinite().all()
    assert torch.equal(*expert.encode(["A BAG", "a bag"], "text"))


def test_captions_say_what_is_true_of_their_images(real, generator):
    images, labels = real
    boundaries = load_expert("captioner-fashion").boundaries
    brightness = levels(measure(images), labels, boundaries)[:, 0].tolist()
    captions = captions_of(images, labels, boundaries, TRAINING, generator)
    for caption, label, level in zip(captions, labels.tolist(), brightness, strict=True):
        assert any(noun in caption for noun in TRAINING.nouns[label])
        wrong = [word for other, words in enumerate(TRAINING.adjectives[0]) if other != level for word in words]
        for right in sorted(TRAINING.adjectives[0][level], key=len, reverse=True):
            caption = caption.replace(right, "")  # "neither dark nor bright" is not dark
        assert not any(f" {word} " in caption or f" {word}, " in caption for word in wrong)


def test_batches_are_the_generators(real, generator):
    data = Labelled(reference_images().images, real[1])
    source = CaptionedImages(data, load_expert("captioner-fashion").boundaries, shift=2)
    first, again, other = (source.batch(20, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first["image"], again["image"])
    assert first["caption"] == again["caption"]
    assert first["caption"] != other["caption"]


def test_spellings_are_of_the_tokenizers_own_tokens(generator):
    tokenizer = train_tokenizer(["a dark overcoat", "a raincoat", "a dark raincoat"] * 3, 300, 30)
    whole = Spelling(tokenizer).spell(["a dark raincoat"], generator)
    assert whole == [tokenizer("a dark raincoat")["input_ids"]]
    (cut,) = Spelling(tokenizer, [0.0]).spell(["much longer than thirty tokens of one letter"], generator)
    assert len(cut) == 30
    assert cut[-1] == tokenizer.eos_token_id
    both = Spelling(tokenizer, [1.0, 0.3]).spell(["a dark raincoat"] * 30, generator)
    assert len({len(row) for row in both}) == 2
    assert {tokenizer.decode(row, skip_special_tokens=True).strip() for row in both} == {"a dark raincoat"}
