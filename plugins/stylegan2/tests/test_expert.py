"""The expert: ports, truncation, noise, gradients, freezing."""

import pytest
import torch

from dragoman.errors import InputError, PackageError, PortError
from dragoman_stylegan2.expert import StyleGAN2


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def classes_of(expert):
    return expert.generator.config.num_classes


def latents(expert, n=3, seed=0):
    """z, the labels that go with it, and the knobs that decode it."""
    z = expert.draw("z", n, generator=seeded(seed))
    label = torch.arange(n) % classes_of(expert) if classes_of(expert) else None
    return z, label, ({} if label is None else {"label": label})


def drawable(expert):
    return [port.name for port in expert.ports.values() if port.takes]


def test_ports_follow_from_the_configuration(expert):
    shapes = {name: port.shape for name, port in StyleGAN2.describe(expert.config).items()}
    label = {"label": ()} if classes_of(expert) else {}
    assert shapes == {
        "w": (7,),
        "w_plus": (42,),
        "z": (5,),
        **label,
        "image": (3, 16, 16),
        "features": (6, 4, 4),
        "pooled": (6,),
    }


def test_every_port_decodes_to_the_image_of_the_network(expert):
    z, label, knobs = latents(expert)
    network = expert.generator
    with torch.no_grad():
        expected = ((network(z, label) + 1) / 2).clamp(0, 1)
        ws = network.styles(z, label)
    assert (expected[0] - expected[1]).abs().max() > 0.05
    for representation, port, more in (
        (z, "z", knobs),
        (ws[:, 0], "w", {}),
        (ws, "w_plus", {}),
        (ws.flatten(1), "w_plus", {}),
        *([(label, "label", {"z": z}), (label.tolist(), "label", {"generator": seeded()})] if knobs else []),
    ):
        images = expert.decode(representation, port, **more)
        assert images.dtype == torch.float32
        torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


def test_truncation_leads_to_the_mean_and_spares_layers_behind_the_cutoff(expert):
    z, label, knobs = latents(expert)
    mean = expert.mean_style()
    at_mean = expert.decode(z, "z", truncation=0.0, **knobs)
    torch.testing.assert_close(at_mean, expert.decode(mean.expand(3, -1), "w"), atol=1e-5, rtol=0)
    ws = expert.generator.styles(z, label)
    mixed = torch.cat([(ws[:, :2] + mean) / 2, ws[:, 2:]], dim=1)
    found = expert.decode(z, "z", truncation=0.5, truncation_cutoff=2, **knobs)
    torch.testing.assert_close(found, expert.decode(mixed, "w_plus"), atol=1e-5, rtol=0)
    assert torch.equal(
        expert.decode(z, "z", truncation=0.5, truncation_cutoff=0, **knobs), expert.decode(z, "z", **knobs)
    )


def test_noise_is_stored_fresh_or_absent(expert):
    w = expert.draw("w", 2, generator=seeded())
    const, again = (expert.decode(w, "w", noise="const") for _ in range(2))
    assert torch.equal(const, again)
    assert torch.equal(const, expert.decode(w, "w"))
    none = expert.decode(w, "w", noise="none")
    fresh = [expert.decode(w, "w", noise="random", generator=seeded(seed)) for seed in (0, 0, 1)]
    assert torch.equal(fresh[0], fresh[1])
    for one, other in ((const, none), (const, fresh[0]), (none, fresh[0]), (fresh[0], fresh[2])):
        assert (one - other).abs().max() > 1e-3
    same = expert.decode(w[:1].expand(2, -1), "w", noise="random", generator=seeded())
    assert not torch.equal(same[0], same[1])


def test_decoding_does_not_depend_on_the_batch(expert):
    w = expert.draw("w", 5, generator=seeded())
    generator = seeded(3)
    together = expert.decode(w, "w", noise="random", truncation=0.7, generator=seeded(3))
    parts = [expert.decode(part, "w", noise="random", truncation=0.7, generator=generator) for part in w.split(2)]
    torch.testing.assert_close(together, torch.cat(parts), atol=1e-5, rtol=0)


def test_labels_draw_latents_and_noise_row_by_row(make):
    expert = make.expert(3)
    labels = torch.tensor([0, 1, 2, 2])
    together = expert.decode(labels, "label", noise="random", generator=seeded(3))
    generator = seeded(3)
    parts = [expert.decode(part, "label", noise="random", generator=generator) for part in labels.split(3)]
    torch.testing.assert_close(together, torch.cat(parts), atol=1e-5, rtol=0)


def test_draws_are_the_same_in_any_batches(expert):
    for port in drawable(expert):
        together = expert.draw(port, 7, generator=seeded())
        generator = seeded()
        apart = torch.cat([expert.draw(port, n, generator=generator) for n in (1, 0, 4, 2)])
        torch.testing.assert_close(together, apart)
        assert together.shape == (7, *expert.ports[port].shape)
        assert str(together.dtype) == f"torch.{expert.ports[port].dtype}"
        assert not torch.equal(together, expert.draw(port, 7, generator=seeded(1)))


def test_drawn_styles_are_mapped_latents(make):
    expert = make.expert(0)
    z = expert.draw("z", 4, generator=seeded())
    w = expert.draw("w", 4, generator=seeded())
    torch.testing.assert_close(w, expert.generator.mapping(z))
    assert torch.equal(expert.draw("w_plus", 4, generator=seeded()), w.repeat(1, 6))
    many = expert.draw("z", 3000, generator=seeded())
    assert many.std().item() == pytest.approx(1, abs=0.03)


def test_randomness_comes_from_the_given_generator_alone(expert):
    before = torch.random.get_rng_state()
    w = expert.draw("w", 2, generator=seeded())
    expert.decode(w, "w", noise="random", generator=seeded())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("port", ["z", "w", "w_plus"])
def test_gradients_reach_latents_and_nothing_else_changes(port, expert):
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    knobs = {"label": [0, 1, 2]} if port == "z" and classes_of(expert) else {}
    target = expert.decode(expert.draw("w", 3, generator=seeded(9)), "w")
    point = expert.draw(port, 3, generator=seeded()).requires_grad_()
    optimizer = torch.optim.Adam([point], lr=0.03)
    distances = []
    for _ in range(15):
        distance = (expert.decode(point, port, **knobs) - target).square().mean()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()
        distances.append(distance.item())
    assert distances[-1] < 0.9 * distances[0]
    assert all(not p.requires_grad and p.grad is None for p in expert.parameters())
    for name, value in expert.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_features_do_not_depend_on_the_batch_and_have_gradients(expert):
    images = torch.rand(5, 3, 16, 16, generator=seeded(), requires_grad=True)
    maps, pooled = expert.encode(images, "features"), expert.encode(images, "pooled")
    assert maps.shape == (5, 6, 4, 4)
    torch.testing.assert_close(pooled, maps.mean(dim=(2, 3)))
    apart = torch.cat([expert.encode(part, "features") for part in images.split(2)])
    torch.testing.assert_close(maps, apart, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps, expert.discriminator.features(images * 2 - 1))
    (gradient,) = torch.autograd.grad(pooled.sum(), images)
    assert (gradient.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_images_of_any_size_are_read(expert):
    image = torch.rand(1, 3, 4, 4, generator=seeded()).repeat_interleave(4, 2).repeat_interleave(4, 3)
    large = image.repeat_interleave(4, 2).repeat_interleave(4, 3)
    found = expert.encode(large, "pooled")
    assert found.shape == (1, 6)
    near = expert.encode(image, "pooled")
    assert (found - near).norm() < 0.5 * near.norm()


def test_experts_stay_frozen_inside_a_trained_module(expert):
    whole = torch.nn.ModuleList([expert]).train()
    assert not any(module.training for module in expert.modules())
    assert not any(parameter.requires_grad for parameter in whole.parameters())


def test_an_expert_of_networks_is_a_copy(make):
    network = make.generator().train().requires_grad_(True)
    expert = StyleGAN2.from_networks(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert "features" not in expert.ports
    with pytest.raises(PortError, match="no port 'features'"):
        expert.encode(torch.zeros(1, 3, 16, 16), "features")


def test_half_precision_makes_nearly_the_same_image(make):
    expert, half = make.expert(), make.expert().half()
    w = expert.draw("w", 2, generator=seeded())
    images = half.decode(w, "w")
    assert images.dtype == torch.float32
    assert (images - expert.decode(w, "w")).abs().max() < 0.05


def test_ports_that_cannot_be_used_are_refused(expert):
    w = torch.zeros(1, 7)
    for port in ("image", "features"):
        with pytest.raises(PortError, match=f"does not decode '{port}'"):
            expert.decode(w, port)
        with pytest.raises(PortError, match=f"draws no '{port}'"):
            expert.draw(port, 1, generator=seeded())
    with pytest.raises(PortError, match="no port 'tokens'"):
        expert.decode(w, "tokens")
    with pytest.raises(PortError, match="does not encode to 'w'"):
        expert.encode(torch.zeros(1, 3, 16, 16), "w")


def test_knobs_that_cannot_be_are_refused(expert):
    w = expert.draw("w", 1, generator=seeded())
    for knobs, message in (
        ({"truncation": float("nan")}, "truncation must be a number"),
        ({"truncation": True}, "truncation must be a number"),
        ({"truncation_cutoff": 7}, "0 to 6, not 7"),
        ({"truncation_cutoff": 1.5}, "not 1.5"),
        ({"noise": "loud"}, "noise must be 'const' or 'random' or 'none', not 'loud'"),
        ({"noise": "random"}, "pass generator="),
        ({"temperature": 1.0}, "no knob 'temperature'"),
        ({"z": torch.zeros(1, 5)}, "belongs to the port 'label'"),
    ):
        with pytest.raises(InputError, match=message):
            expert.decode(w, "w", **knobs)
    with pytest.raises(InputError, match="truncation is a knob of decode"):
        expert.draw("w", 1, generator=seeded(), truncation=0.5)


def test_representations_of_another_shape_are_refused(expert):
    for representation, port, message in (
        (torch.zeros(2, 5), "w", r"w as a float tensor \[B, 7\], not \[2, 5\]"),
        (torch.zeros(7), "w", r"not \[7\]"),
        (["bag"], "w", "not list"),
        (torch.zeros(2, 7, 6), "w_plus", r"w_plus as a float tensor \[B, 42\], not \[2, 7, 6\]"),
    ):
        with pytest.raises(InputError, match=message):
            expert.decode(representation, port)
    for images in (torch.zeros(2, 1, 16, 16), torch.zeros(3, 16, 16), ["bag"]):
        with pytest.raises(InputError, match=r"images as a float tensor \[B, 3, H, W\]"):
            expert.encode(images, "features")


def test_classes_are_checked(make):
    z = torch.zeros(2, 5)
    with pytest.raises(InputError, match="has 0 classes; leave label= out"):
        make.expert(0).decode(z, "z", label=[0, 1])
    expert = make.expert(3)
    for label, message in (
        (None, "has 3 classes; pass label="),
        ([0, 3], "no class 3; this StyleGAN2 has classes 0 to 2"),
        (torch.tensor([-1, 0]), "no class -1"),
        ([0], "a class number for each of 2 images"),
        (torch.zeros(2), "a class number for each"),
        ([True, False], "a class number for each"),
    ):
        with pytest.raises(InputError, match=message):
            expert.decode(z, "z", label=label)


def test_a_configuration_that_is_none_is_refused(make):
    with pytest.raises(PackageError, match="object of entries"):
        StyleGAN2.describe({"hidden_size": 3})
