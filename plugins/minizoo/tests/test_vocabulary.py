import re

import torch

from dragoman.endpoint import load_expert
from dragoman.training.seeding import generator_for
from dragoman_minizoo.prompts import TIERS, check_unseen, make_prompts
from dragoman_minizoo.vocabulary import HELD_OUT, TRAINING, describe


def words(vocabulary):
    flat = [word for level in vocabulary.adjectives for group in level for word in group]
    return {word.lower() for nouns in vocabulary.nouns for word in nouns} | {word.lower() for word in flat}


def test_held_out_words_and_sentences_are_not_in_training():
    assert not words(HELD_OUT) & words(TRAINING)
    assert not set(HELD_OUT.templates) & set(TRAINING.templates)


def parts(phrases):
    return {part for phrase in phrases for part in re.split(r"[^a-z]+", phrase) if part}


def test_every_held_out_phrase_has_a_word_that_training_never_uses():
    known = parts(words(TRAINING)) | parts(template.lower() for template in TRAINING.templates)
    old = {phrase for phrase in words(HELD_OUT) if parts([phrase]) <= known}
    # Compounds that are new only as a whole.
    assert old == {"tee-shirt", "button-down"}


def test_every_class_and_level_has_words_of_its_own():
    for groups in (TRAINING.nouns, *TRAINING.adjectives):
        flat = [word.lower() for group in groups for word in group]
        assert len(flat) == len(set(flat))
        assert all(len(group) > 20 for group in groups)


def test_attributes_that_are_not_clear_are_not_mentioned():
    generator = torch.Generator().manual_seed(0)
    told = [describe(1, [0, 0, 0], TRAINING, generator, (False, True, False))[1] for _ in range(100)]
    assert {(brightness, pattern) for brightness, _, pattern in told} == {(False, False)}
    assert 40 < sum(width for _, width, _ in told) < 90


def test_a_caption_says_what_it_claims_to_mention():
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        caption, mentioned = describe(8, [0, 1, 2], TRAINING, generator)
        assert any(noun in caption for noun in TRAINING.nouns[8])
        for attribute, level in enumerate([0, 1, 2]):
            said = any(word in caption for word in TRAINING.adjectives[attribute][level])
            assert said or not mentioned[attribute]


def test_articles():
    generator = torch.Generator().manual_seed(0)
    captions = [describe(9, [2, 2, 0], TRAINING, generator)[0] for _ in range(300)]
    assert not any(" a ankle" in f" {caption}" or " an uniform" in f" {caption}" for caption in captions)


def test_no_prompt_of_any_tier_can_occur_in_training():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(10, (400,), generator=generator)
    levels = torch.randint(3, (400, 3), generator=generator)
    training = [
        describe(k, row, TRAINING, generator)[0] for k, row in zip(label.tolist(), levels.tolist(), strict=True)
    ] * 3
    for tier in TIERS:
        prompts = make_prompts(tier, label, levels, 300)
        assert len(set(prompts.captions)) == 300
        assert check_unseen(prompts, training) == 0
    copied = make_prompts("templates", label, levels, 10)
    assert check_unseen(copied, [*training, copied.captions[3]]) == 1


def test_wordings_bound_the_sentences_of_equal_images_and_are_the_same_in_every_run():
    generator = generator_for(0, "wordings")
    said = [describe(3, [0, 1, 2], TRAINING, generator, (True, False, False), wordings=4) for _ in range(300)]
    for mentioned in (True, False):
        sentences = {caption for caption, row in said if row[0] is mentioned}
        assert 2 <= len(sentences) <= 4
    again = generator_for(0, "wordings")
    assert said == [describe(3, [0, 1, 2], TRAINING, again, (True, False, False), wordings=4) for _ in range(300)]


def test_what_is_mentioned_how_often_depends_on_the_level_as_asked():
    generator = torch.Generator().manual_seed(0)
    told = [describe(2, [0, 1, 2], TRAINING, generator, mention=(1.0, 0.0, 1.0))[1] for _ in range(30)]
    assert told == [[True, False, True]] * 30


def test_what_the_captioner_leaves_out_may_be_anything():
    captioner = load_expert("captioner-fashion")
    assert len(set(captioner.config["mention"])) == 1
