"""The expert of both families: ports, decoding, drawing, freezing."""

import pytest
import torch

from dragoman.errors import InputError, PackageError, PortError
from dragoman.ports import check_fit
from dragoman_biggan.deep_config import DeepConfig
from dragoman_biggan.expert import BigGAN
from dragoman_biggan.plain import PlainConfig

PORTS = ("latent", "class_embedding", "label", "z")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rendered(reference, z, labels):
    """Images in [0, 1] by the networks that the checkpoints were written from."""
    with torch.no_grad():
        if hasattr(reference, "shared"):
            images = reference(z, reference.shared(labels))
        else:
            images = reference(z, torch.nn.functional.one_hot(labels, 5).float(), 1.0)
    return (images + 1) / 2


def embedding_of(reference, labels):
    return reference.shared.weight[labels] if hasattr(reference, "shared") else reference.embeddings.weight.T[labels]


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (DeepConfig.published(128), (256, 128, 128, (3, 128, 128))),
        (DeepConfig.published(512), (256, 128, 128, (3, 512, 512))),
        (PlainConfig.published(128), (248, 128, 120, (3, 128, 128))),
        (PlainConfig.published(256), (268, 128, 140, (3, 256, 256))),
    ],
)
def test_published_ports_follow_from_the_configuration(config, sizes):
    ports = BigGAN.describe(config.to_dict())
    assert tuple(ports) == ("latent", "class_embedding", "label", "z", "image")
    latent, embedding, z, image = sizes
    assert ports["latent"].shape == (latent,)
    assert ports["class_embedding"].shape == (embedding,)
    assert ports["z"].shape == (z,)
    assert ports["image"].shape == image
    assert [name for name, port in ports.items() if port.takes] == ["latent", "class_embedding", "label"]


def test_embeddings_of_the_two_families_do_not_fit_each_other():
    plain, deep = (BigGAN.describe(config.published(256).to_dict())["latent"] for config in (PlainConfig, DeepConfig))
    with pytest.raises(PortError, match=r"268.*256"):
        check_fit(plain, "biggan", deep, "biggan-deep")


def test_every_port_decodes_to_the_image_of_the_reference(either):
    labels = torch.tensor([1, 4, 1])
    z = either.expert.draw("z", 3, generator=seeded())
    expected = rendered(either.reference, z, labels)
    assert expected.min() >= 0
    assert expected.max() <= 1
    assert (expected[0] - expected[2]).abs().max() > 0.05
    embedding = embedding_of(either.reference, labels).detach()
    for representation, port, knobs in (
        (torch.cat([z, embedding], dim=1), "latent", {}),
        (embedding, "class_embedding", {"z": z}),
        (labels, "label", {"z": z}),
        ([1, 4, 1], "label", {"z": z}),
        (labels, "label", {"generator": seeded()}),
        (embedding, "class_embedding", {"generator": seeded()}),
    ):
        images = either.expert.decode(representation, port, **knobs)
        assert images.dtype == torch.float32
        assert images.shape[1:] == either.expert.ports["image"].shape
        torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


def test_truncation_scales_z_and_chooses_the_statistics(either):
    latent = either.expert.draw("latent", 2, generator=seeded())
    size = either.expert.sizes.z
    images = either.expert.decode(latent, "latent", truncation=0.5)
    half = torch.cat([latent[:, :size] / 2, latent[:, size:]], dim=1)
    if either.expert.family.name == "BigGAN-deep":
        with torch.no_grad():
            expected = (either.reference.generator(half, 0.5) + 1) / 2
    else:
        expected = either.expert.decode(half, "latent")
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)
    assert (images - either.expert.decode(latent, "latent")).abs().max() > 0.01


def test_smaller_truncations_make_more_similar_images(either):
    z = either.expert.draw("z", 8, generator=seeded())
    labels = torch.zeros(8, dtype=torch.long)
    spread = [either.expert.decode(labels, "label", z=z, truncation=t).std(dim=0).mean() for t in (1.0, 0.5, 0.1)]
    assert spread[0] > spread[1] > spread[2]


def test_decoding_does_not_depend_on_the_batch(either):
    latent = either.expert.draw("latent", 5, generator=seeded())
    together = either.expert.decode(latent, "latent", truncation=0.7)
    apart = torch.cat([either.expert.decode(part, "latent", truncation=0.7) for part in latent.split(2)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_a_drawn_z_does_not_depend_on_the_batch(either):
    labels = torch.tensor([0, 1, 2, 3, 4])
    together = either.expert.decode(labels, "label", generator=seeded(3))
    generator = seeded(3)
    apart = torch.cat([either.expert.decode(part, "label", generator=generator) for part in labels.split(2)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


@pytest.mark.parametrize("port", PORTS)
def test_draws_are_the_same_in_any_batches(port, either):
    together = either.expert.draw(port, 7, generator=seeded())
    generator = seeded()
    apart = torch.cat([either.expert.draw(port, n, generator=generator) for n in (1, 0, 4, 2)])
    assert torch.equal(together, apart)
    assert together.shape == (7, *either.expert.ports[port].shape)
    assert str(together.dtype) == f"torch.{either.expert.ports[port].dtype}"
    assert not torch.equal(together, either.expert.draw(port, 7, generator=seeded(1)))


def test_spread_scales_what_is_drawn_of_z_alone(either):
    expert, size = either.expert, either.expert.ports["z"].shape[0]
    usual, wide = (expert.draw("latent", 5, generator=seeded(), spread=spread) for spread in (1.0, 1.5))
    torch.testing.assert_close(wide[:, :size], 1.5 * usual[:, :size])
    assert torch.equal(wide[:, size:], usual[:, size:])
    assert torch.equal(
        expert.draw("label", 5, generator=seeded(), spread=2.0), expert.draw("label", 5, generator=seeded())
    )
    with pytest.raises(InputError, match="spread must be a positive number, not 0"):
        expert.draw("z", 1, generator=seeded(), spread=0)


def test_draws_follow_the_training_distribution(either):
    latent = either.expert.draw("latent", 2000, generator=seeded())
    size = either.expert.sizes.z
    z, embedding = latent[:, :size], latent[:, size:]
    truncated = either.expert.family.name == "BigGAN-deep"
    assert z.std().item() == pytest.approx(0.8796 if truncated else 1.0, abs=0.02)
    assert (z.abs().max() <= 2) == truncated
    same = (embedding[:, None] == either.expert.atoms("class_embedding").values).all(dim=2)
    assert same.any(dim=1).all()
    assert same.sum(dim=0).min() > 330


def test_draws_use_the_given_generator_only(either):
    before = torch.random.get_rng_state()
    for port in PORTS:
        either.expert.draw(port, 2, generator=seeded())
    assert torch.equal(before, torch.random.get_rng_state())


def test_atoms_are_the_class_embeddings_at_their_place(either):
    table = embedding_of(either.reference, torch.arange(5)).detach()
    latent, embedding = (either.expert.atoms(port) for port in ("latent", "class_embedding"))
    assert (latent.start, embedding.start) == (either.expert.sizes.z, 0)
    assert torch.equal(latent.values, table)
    assert either.expert.atoms("z") is None
    latent.values.zero_()
    assert torch.equal(either.expert.atoms("latent").values, table)


def test_class_numbers_are_encoded_as_their_embeddings(either):
    expected = embedding_of(either.reference, torch.tensor([4, 0]))
    for labels in ([4, 0], (4, 0), torch.tensor([4, 0])):
        assert torch.equal(either.expert.encode(labels, "class_embedding"), expected)
    assert either.expert.encode([], "class_embedding").shape == (0, expected.shape[1])


def test_gradients_reach_the_embedding_and_nothing_else_changes(either):
    expert = either.expert
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    z = expert.draw("z", 3, generator=seeded())
    embedding = expert.encode([0, 1, 2], "class_embedding").requires_grad_()
    target = rendered(either.reference, z, torch.tensor([3, 3, 3]))
    optimizer = torch.optim.Adam([embedding], lr=0.01)
    distances = []
    for _ in range(15):
        distance = (expert.decode(embedding, "class_embedding", z=z) - target).square().mean()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
        distances.append(distance.item())
    assert distances[-1] < 0.9 * distances[0]
    assert all(not p.requires_grad and p.grad is None for p in expert.parameters())
    for name, value in expert.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_gradients_of_the_embedding_equal_finite_differences(either):
    expert = BigGAN(either.expert.config, type(either.expert.network)(either.expert.network.config).double())
    expert.network.load_state_dict(either.reference.state_dict())
    z, embedding = expert.draw("z", 1, generator=seeded()), expert.encode([2], "class_embedding")
    weights = torch.randn(expert.ports["image"].shape, generator=seeded(1), dtype=torch.float64)

    def value(point):
        images = expert.family.render(expert.network, z.double(), point, 0.8, "exact")
        return (images * weights).sum()

    point = embedding.double().requires_grad_()
    (gradient,) = torch.autograd.grad(value(point), point)
    for step in torch.eye(point.shape[1], dtype=torch.float64)[:3] * 1e-6:
        with torch.no_grad():
            slope = (value(point + step) - value(point - step)) / 2e-6
        assert slope.item() == pytest.approx((gradient[0] @ step.sign()).item(), rel=1e-4, abs=1e-5)


def test_experts_stay_frozen_inside_a_trained_module(either):
    whole = torch.nn.ModuleList([either.expert]).train()
    assert not any(module.training for module in either.expert.modules())
    latent = either.expert.draw("latent", 2, generator=seeded())
    first, second = (whole[0].decode(latent, "latent") for _ in range(2))
    assert torch.equal(first, second)


def test_an_expert_built_in_memory_is_frozen_too(make):
    network = make.random_plain(make.plain_config).train().requires_grad_(True)
    expert = BigGAN(make.plain_config.to_dict(), network)
    assert not any(p.requires_grad for p in expert.parameters())
    assert not network.training
    assert expert.origin is None


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_half_precision_makes_nearly_the_same_image(dtype, tolerance, either, make):
    expert = make.load(either.folder, dtype=dtype)
    assert {p.dtype for p in expert.parameters()} == {dtype}
    latent = expert.draw("latent", 2, generator=seeded())
    assert latent.dtype == torch.float32
    images = expert.decode(latent, "latent", truncation=0.7)
    assert images.dtype == torch.float32
    exact = either.expert.decode(latent, "latent", truncation=0.7)
    assert (images - exact).square().mean().sqrt() < tolerance


def test_ports_that_cannot_be_used_are_refused(either):
    z = torch.zeros(1, either.expert.sizes.z)
    for port in ("z", "image"):
        with pytest.raises(PortError, match=f"does not decode '{port}'"):
            either.expert.decode(z, port)
    with pytest.raises(PortError, match="no port 'tokens'"):
        either.expert.decode(z, "tokens")
    with pytest.raises(PortError, match="draws no 'image'"):
        either.expert.draw("image", 1, generator=seeded())
    with pytest.raises(PortError, match="does not encode to 'latent'"):
        either.expert.encode([0], "latent")


def test_knobs_that_cannot_be_are_refused(either):
    latent = either.expert.draw("latent", 1, generator=seeded())
    for knobs, message in (
        ({"truncation": 0.0}, "truncation must be in"),
        ({"truncation": 1.5}, "truncation must be in"),
        ({"statistics": "best"}, "statistics"),
        ({"temperature": 1.0}, "no knob 'temperature'"),
        ({"z": latent}, "z of its own"),
    ):
        with pytest.raises(InputError, match=message):
            either.expert.decode(latent, "latent", **knobs)
    with pytest.raises(InputError, match="truncation is a knob of decode"):
        either.expert.draw("z", 1, generator=seeded(), truncation=0.5)


def test_plain_biggan_has_no_defective_statistics(plain):
    latent = plain.expert.draw("latent", 1, generator=seeded())
    with pytest.raises(InputError, match="one set of batch-norm statistics"):
        plain.expert.decode(latent, "latent", statistics="pip")


def test_representations_of_another_shape_are_refused(either):
    z, embedding = torch.zeros(2, either.expert.sizes.z), torch.zeros(2, either.expert.sizes.embedding)
    for representation, port, knobs, message in (
        (embedding, "latent", {}, r"latent as a float tensor \[B, \d+\], not \[2, 6\]"),
        (torch.zeros(6), "class_embedding", {"z": z}, r"not \[6\]"),
        (["bag"], "latent", {}, "not list"),
        (embedding, "class_embedding", {}, "pass z="),
        ([0, 1], "label", {}, "pass z="),
        (embedding, "class_embedding", {"z": z[:, :1]}, "takes z"),
        (embedding, "class_embedding", {"z": z[:1]}, "1 z were given for 2 classes"),
        ([0, 5], "label", {"z": z}, "no class 5; this BigGAN has classes 0 to 4"),
        (torch.tensor([-1, 0]), "label", {"z": z}, "no class -1"),
        (torch.tensor([0.0, 1.0]), "label", {"z": z}, "class numbers"),
        ([True, False], "label", {"z": z}, "class numbers"),
        ("01", "label", {"z": z}, "class numbers"),
    ):
        with pytest.raises(InputError, match=message):
            either.expert.decode(representation, port, **knobs)


def test_a_configuration_that_is_not_of_the_network_is_refused(make):
    with pytest.raises(PackageError, match="describes no BigGAN"):
        BigGAN({"hidden_size": 3}, make.random_plain(make.plain_config))
