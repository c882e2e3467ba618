import pytest
import torch
from torch.nn import functional

from dragoman.errors import InputError, PortError
from dragoman.representation import Tokens
from dragoman.texts import TruncationWarning
from dragoman_clip.expert import Clip

TEXTS = ["a red bag", "shoe", "a very very long blue striped shoe", "red shoe", "a red bag", ""]
FAMILIES = ["clip", "legacy", "siglip"]


def reference_texts(expert, texts):
    """As transformers documents it: CLIP with the padding of a batch and its mask, SigLIP padded to its full length."""
    padding = (
        {"padding": "max_length", "max_length": 12} if expert.config["model_type"] == "siglip" else {"padding": True}
    )
    inputs = expert.tokenizer(texts, return_tensors="pt", return_token_type_ids=False, **padding)
    if expert.config["model_type"] == "siglip":
        inputs.pop("attention_mask")
    with torch.no_grad():
        return inputs, expert.network.text_model(**inputs, output_hidden_states=True)


def reference_images(expert, images):
    with torch.no_grad():
        return expert.network.vision_model(expert.preprocessing(images), output_hidden_states=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_those_that_the_model_compares(family, experts, tiny):
    expert, images = experts[family], tiny.images(3)
    inputs, _ = reference_texts(expert, TEXTS)
    with torch.no_grad():
        output = expert.network(**inputs, pixel_values=expert.preprocessing(images))
    torch.testing.assert_close(expert.encode(TEXTS, "text"), output.text_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(expert.encode(images, "image"), output.image_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(expert.encode(images, "image").norm(dim=1), torch.ones(3))
    assert (output.text_embeds[0] - output.text_embeds[1]).abs().max() > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_of_texts_agree_with_transformers(family, experts):
    expert = experts[family]
    _, output = reference_texts(expert, TEXTS)
    lengths = [len(ids) for ids in expert.tokenizer(TEXTS)["input_ids"]]
    expected = {f"hidden.{k}": state for k, state in enumerate(output.hidden_states)}
    expected["tokens"] = output.last_hidden_state
    assert {name for name, port in expert.ports.items() if port.modality == "tokens"} == set(expected)
    assert len(output.hidden_states) == 4
    for port, states in expected.items():
        values, mask = expert.encode(TEXTS, port)
        assert mask.sum(dim=1).tolist() == lengths
        assert (values[~mask] == 0).all()
        torch.testing.assert_close(values[mask], states[:, : mask.shape[1]][mask], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_patches_agree_with_transformers_and_are_maps(family, experts, tiny):
    expert, images = experts[family], tiny.images(2)
    output = reference_images(expert, images)
    first = 0 if family == "siglip" else 1
    expected = {f"patches.{k}": state for k, state in enumerate(output.hidden_states)}
    expected["patches"] = output.last_hidden_state
    assert {name for name, port in expert.ports.items() if port.modality == "map"} == set(expected)
    for port, states in expected.items():
        found = expert.encode(images, port)
        assert found.shape == (2, *expert.ports[port].shape) == (2, 24, 4, 4)
        for row, column in ((0, 0), (1, 3), (3, 2)):
            torch.testing.assert_close(found[:, :, row, column], states[:, first + 4 * row + column], atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_patches_are_where_the_picture_is(family, experts, tiny):
    before = tiny.images(1, height=32, width=32)
    after = before.clone()
    after[:, :, 8:16, 24:32] = 1 - after[:, :, 8:16, 24:32]
    change = experts[family].encode(after, "patches.0") - experts[family].encode(before, "patches.0")
    assert change.abs().sum(dim=1)[0].nonzero().tolist() == [[1, 3]]


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_and_types_are_those_of_the_ports(family, experts, tiny):
    for name, port in experts[family].ports.items():
        found = experts[family].encode(tiny.images() if name.startswith(("image", "patches")) else TEXTS, name)
        values = found.values if isinstance(found, Tokens) else found
        sizes = {"tokens": values.shape[1]} | dict(enumerate(values.shape[1:]))
        assert values.shape[1:] == tuple(sizes[size] if isinstance(size, str) else size for size in port.shape)
        assert str(values.dtype) == f"torch.{port.dtype}"


@pytest.mark.parametrize("family", FAMILIES)
def test_results_do_not_depend_on_the_rest_of_the_batch(family, experts, tiny, monkeypatch):
    expert = experts[family]
    texts = [" ".join(["red"] * (row % 7) + ["bag"]) for row in range(15)]
    alone = torch.cat([expert.encode([text], "text") for text in texts])
    torch.testing.assert_close(expert.encode(texts, "text"), alone, atol=1e-5, rtol=0)
    monkeypatch.setattr(Clip, "batch_size", 2)
    torch.testing.assert_close(expert.encode(texts[::-1], "text"), alone.flip(0), atol=1e-5, rtol=0)
    images = tiny.images(5)
    for port in ("image", "patches.2"):
        each = torch.cat([expert.encode(image[None], port) for image in images])
        torch.testing.assert_close(expert.encode(images, port), each, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_many_ports_at_once_give_what_each_gives_alone(family, experts, tiny):
    expert, seen = experts[family], []
    hook = expert.network.vision_model.register_forward_hook(lambda *_: seen.append(1))
    together = expert.encode_many(tiny.images(), ["patches.1", "patches.2", "image"])
    hook.remove()
    assert len(seen) == 1
    for port, value in together.items():
        assert torch.equal(value, expert.encode(tiny.images(), port))
    of_texts = expert.encode_many(TEXTS, ["tokens", "text"])
    assert torch.equal(of_texts["tokens"].values, expert.encode(TEXTS, "tokens").values)
    assert torch.equal(of_texts["text"], expert.encode(TEXTS, "text"))


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_the_image_and_nothing_else(family, experts, tiny):
    expert = experts[family]
    images = (0.25 + tiny.images(2, height=32, width=32) / 2).requires_grad_()
    expert.encode(images, "image")[0].sum().backward()
    assert (images.grad[0] != 0).float().mean() > 0.9
    assert (images.grad[1] == 0).all()
    assert all(parameter.grad is None for parameter in expert.parameters())
    assert not expert.encode(TEXTS, "text").requires_grad


def test_the_gradient_is_right(expert, tiny):
    double = Clip(expert.config, tiny.network().double(), expert.tokenizer, expert.preprocessor).freeze()
    leaf = (0.25 + tiny.images(1).double() / 2).requires_grad_()
    direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1)).double()
    double.encode(leaf, "patches")[0, :, 1, 1].sum().backward()

    def value(step):
        return double.network.vision_model(double.preprocessing(leaf + step * direction)).last_hidden_state[0, 6].sum()

    numeric = (value(1e-5) - value(-1e-5)) / 2e-5
    assert torch.isclose((leaf.grad * direction).sum(), numeric, rtol=1e-5)


def test_it_stays_frozen(tiny, folder):
    expert = tiny.load(folder).train()
    assert not any(module.training for module in expert.modules())
    assert not any(parameter.requires_grad for parameter in expert.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_gives_nothing(family, experts):
    expert = experts[family]
    assert expert.encode([], "text").shape == (0, *expert.ports["text"].shape)
    values, mask = expert.encode([], "hidden.1")
    assert values.shape == (0, 0, 16)
    assert mask.shape == (0, 0)
    assert expert.encode(torch.empty(0, 3, 32, 32), "image").shape == (0, *expert.ports["image"].shape)


def test_long_texts_are_cut_and_reported(expert):
    with pytest.warns(TruncationWarning, match="^1 of 2 texts are longer than 12 tokens") as caught:
        values, mask = expert.encode(["red " * 30, "a"], "tokens")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert mask.sum(dim=1).tolist() == [12, 3]
    # The end token stays, since the embedding is read there.
    torch.testing.assert_close(values[0], expert.encode(["red " * 10], "tokens").values[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_of_weights_give_float32(dtype, tiny, folder):
    expert, full = Clip.from_pretrained(folder, dtype=dtype, device="cpu"), tiny.load(folder)
    assert {parameter.dtype for parameter in expert.parameters()} == {dtype}
    for port, inputs in (("image", tiny.images()), ("text", TEXTS)):
        found = expert.encode(inputs, port)
        assert found.dtype == torch.float32
        assert functional.cosine_similarity(found, full.encode(inputs, port)).min() > 0.995


def test_texts_and_images_are_not_taken_for_each_other(expert, tiny):
    with pytest.raises(InputError, match=r"takes a tensor .* not list"):
        expert.encode(TEXTS, "image")
    with pytest.raises(InputError, match="list of texts, not Tensor"):
        expert.encode(tiny.images(), "text")
    with pytest.raises(InputError, match="read texts and images"):
        expert.encode_many(TEXTS, ["text", "image"])
    with pytest.raises(PortError, match=r"no port 'hidden\.9'"):
        expert.encode(TEXTS, "hidden.9")
