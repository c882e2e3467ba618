import pytest
import torch

from dragoman.errors import InputError
from dragoman_clip.similarity import ClipSimilarity

TEXTS = ["a red bag", "blue shoe", "a long striped bag"]


@pytest.fixture(scope="module")
def critic(expert):
    return ClipSimilarity.of(expert)


def test_the_loss_is_one_minus_the_cosine_that_the_model_computes(critic, tiny):
    images = tiny.images(3)
    inputs = critic.tokenizer(TEXTS, return_tensors="pt", return_token_type_ids=False, padding=True)
    with torch.no_grad():
        output = critic.network(**inputs, pixel_values=critic.preprocessing(images))
    cosine = output.logits_per_image / critic.network.logit_scale.exp()
    torch.testing.assert_close(critic.losses(images, TEXTS)["similarity"], 1 - cosine.diagonal(), atol=1e-5, rtol=0)
    torch.testing.assert_close(critic.score(images, TEXTS), cosine.diagonal(), atol=1e-5, rtol=0)
    torch.testing.assert_close(critic.similarity(images, TEXTS), cosine, atol=1e-5, rtol=0)


def test_embeddings_of_any_length_stand_for_their_texts(critic, tiny):
    expected = critic.losses(tiny.images(3), TEXTS)["similarity"]
    embeddings = 17.2 * critic.encode(TEXTS, "text")
    torch.testing.assert_close(critic.losses(tiny.images(3), embeddings)["similarity"], expected)


def test_an_image_is_like_its_own_embedding(critic, tiny):
    images = tiny.images(2)
    torch.testing.assert_close(critic.score(images, critic.encode(images, "image")), torch.ones(2))


def test_losses_are_per_sample_and_differentiable(critic, tiny):
    images = tiny.images(3).requires_grad_()
    critic.losses(images, TEXTS)["similarity"][1].backward()
    assert images.grad[1].abs().sum() > 0
    assert images.grad[[0, 2]].abs().sum() == 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_following_the_gradient_raises_the_score(critic, tiny):
    image = tiny.images(1).requires_grad_()
    before = critic.score(image, TEXTS[:1]).item()
    optimizer = torch.optim.Adam([image], lr=0.02)
    for _ in range(15):
        optimizer.zero_grad()
        critic.losses(image, TEXTS[:1])["similarity"].sum().backward()
        optimizer.step()
    assert critic.score(image, TEXTS[:1]).item() > before + 0.1


def test_it_loads_by_itself_and_shares_what_is_loaded(tiny, folder, expert):
    loaded = ClipSimilarity.from_pretrained(folder)
    assert loaded.origin.folder == folder
    torch.testing.assert_close(
        loaded.score(tiny.images(3), TEXTS), ClipSimilarity.of(expert).score(tiny.images(3), TEXTS)
    )
    assert ClipSimilarity.of(expert).network is expert.network
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (torch.rand(3, 5), r"CLIP's embeddings \[8\], not \[5\]; let clip:text be the source"),
        (TEXTS[:2], "3 images to compare with 2 conditions"),
    ],
)
def test_other_conditions_are_refused(condition, message, critic, tiny):
    with pytest.raises(InputError, match=message):
        critic.losses(tiny.images(3), condition)


def test_token_conditions_are_refused(critic, tiny):
    with pytest.raises(InputError, match="not tokens"):
        critic.losses(tiny.images(3), critic.encode(TEXTS, "tokens"))


def test_zero_shot_labels_are_the_models_probabilities(experts, tiny):
    images, labels = tiny.images(4), ["bag", "shoe", "sleeves"]
    prompts = [f"a photo of a {label}." for label in labels]
    for family, normalised in (("clip", torch.softmax), ("siglip", lambda logits, dim: logits.sigmoid())):
        expert = experts[family]
        padding = {"padding": "max_length", "max_length": 12} if family == "siglip" else {"padding": True}
        ids = expert.tokenizer(prompts, return_tensors="pt", **padding)["input_ids"]
        with torch.no_grad():
            output = expert.network(input_ids=ids, pixel_values=expert.preprocessing(images))
        expected = normalised(output.logits_per_image, dim=1)
        torch.testing.assert_close(expert.zero_shot(images, labels), expected, atol=1e-5, rtol=0)


def test_several_templates_are_averaged(expert, tiny):
    templates = ["a photo of a {}.", "a {}"]
    found = expert.zero_shot(tiny.images(2), ["bag", "shoe"], templates)
    embeddings = torch.stack(
        [expert.encode([t.replace("{}", label) for t in templates], "text").mean(0) for label in ("bag", "shoe")]
    )
    embeddings = embeddings / embeddings.norm(dim=1, keepdim=True)
    logits = expert.network.logit_scale.exp() * expert.encode(tiny.images(2), "image") @ embeddings.mT
    torch.testing.assert_close(found, logits.softmax(dim=1), atol=1e-5, rtol=0)
    assert found.sum(dim=1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(("labels", "templates"), [([], ["{}"]), (["bag"], []), (["bag"], ["a photo"])])
def test_zero_shot_without_labels_or_places_for_them_is_refused(labels, templates, expert, tiny):
    with pytest.raises(InputError, match="at least one label"):
        expert.zero_shot(tiny.images(1), labels, templates)
