"""Training: losses, penalties with their second derivatives, further critics, resuming."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dragoman.errors import InputError, TrainingError
from dragoman.training.seeding import generator_for
from dragoman.training.trainer import CHECKPOINT, Settings, Trainer
from dragoman_stylegan2 import adversarial
from dragoman_stylegan2.adversarial import AdversarialStyleGAN2
from dragoman_stylegan2.config import DiscriminatorConfig, GeneratorConfig
from dragoman_stylegan2.critics import FurtherDiscriminator
from dragoman_stylegan2.discriminator import Discriminator
from dragoman_stylegan2.expert import StyleGAN2
from dragoman_stylegan2.generator import Generator
from dragoman_stylegan2.penalties import path_lengths, squared_gradient

CHANNELS = (8, 6)


class Greys:
    """Real images: noise around a grey that the class chooses."""

    def __init__(self, labelled=True):
        self.labelled = labelled

    def batch(self, size, generator):
        label = torch.randint(3, (size,), generator=generator)
        noise = 0.05 * torch.rand(size, 1, 8, 8, generator=generator)
        image = 0.1 + 0.4 * label[:, None, None, None].float() + noise
        return {"image": image, "label": label} if self.labelled else {"image": image}


class Brightness(FurtherDiscriminator):
    """Judges the mean and deviation of an image by a linear head; frozen features stand beside it."""

    def __init__(self, name="brightness", warmup=0):
        super().__init__()
        self.name, self.warmup, self.seen = name, warmup, []
        self.heads = nn.Linear(2, 1)
        with torch.no_grad():
            self.heads.weight.copy_(torch.tensor([[0.3, -0.5]]))
            self.heads.bias.zero_()
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def logits(self, images):
        features = torch.stack([images.mean(dim=(1, 2, 3)), images.std(dim=(1, 2, 3))], dim=1)
        return self.heads(features + 0 * self.frozen(features)).squeeze(1)

    def losses_of_heads(self, real, fake, labels, *, generator):
        assert not fake.requires_grad
        assert generator.device.type == "cpu"
        return {f"{self.name}_real": F.softplus(-self.logits(real)), f"{self.name}_fake": F.softplus(self.logits(fake))}

    def losses_of_generator(self, fake, labels, *, images, generator):
        self.seen.append(images)
        return {} if images < self.warmup else {f"g_{self.name}": F.softplus(-self.logits(fake))}


def make_method(classes=0, critics=(), **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fields = {"image_channels": 1, "num_classes": classes, "mapping_layers": 2}
        generator = Generator(GeneratorConfig(8, CHANNELS, z_dim=4, w_dim=6, **fields))
        discriminator = Discriminator(DiscriminatorConfig(8, CHANNELS, cmap_dim=6, **fields))
    return AdversarialStyleGAN2(generator, discriminator, critics, **options)


def losses_of(method, phase, size=4, seed=0):
    batch = Greys().batch(size, generator_for(seed, "batch"))
    return method(phase, batch, generator_for(seed, phase))


@pytest.mark.parametrize("classes", [0, 3])
def test_losses_are_named_and_per_sample(classes):
    method = make_method(classes)
    named = {phase.name: losses_of(method, phase.name) for phase in method.phases()}
    assert {phase: set(losses) for phase, losses in named.items()} == {
        "generator": {"g_fake"},
        "path_length": {"path_length"},
        "discriminator": {"d_fake", "d_real"},
        "r1": {"r1"},
    }
    assert all(value.shape == (4,) for losses in named.values() for value in losses.values())


def test_the_discriminators_losses_are_logistic():
    method = make_method()
    batch = Greys().batch(4, generator_for(0, "batch"))
    logits = method.discriminator(batch["image"] * 2 - 1)
    found = method("discriminator", batch, generator_for(0, "d"))
    torch.testing.assert_close(found["d_real"], F.softplus(-logits))


def test_penalties_are_lazy_and_weighted_by_their_interval():
    phases = {phase.name: phase for phase in make_method(r1_gamma=4.0, learning_rate=0.01).phases()}
    assert (phases["r1"].every, phases["r1"].shares, phases["r1"].weights) == (16, "discriminator", {"r1": 2.0 * 16})
    assert (phases["path_length"].every, phases["path_length"].shares) == (4, "generator")
    assert phases["path_length"].weights == {"path_length": 2.0 * 4}
    assert phases["generator"].learning_rate == pytest.approx(0.01 * 4 / 5)
    assert phases["discriminator"].learning_rate == pytest.approx(0.01 * 16 / 17)
    assert phases["generator"].betas == (0.0, pytest.approx(0.99 ** (4 / 5)))
    assert phases["discriminator"].betas == (0.0, pytest.approx(0.99 ** (16 / 17)))


def test_without_penalties_there_are_two_phases():
    phases = make_method(r1_gamma=0, path_length=0, learning_rate=0.01).phases()
    assert [phase.name for phase in phases] == ["generator", "discriminator"]
    assert all((phase.learning_rate, phase.betas) == (0.01, (0.0, 0.99)) for phase in phases)


def test_r1_is_the_squared_gradient_of_the_logit():
    method = make_method().double()
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # Without the minibatch statistic, which lets the gradient of a logit reach the other images.
    method.discriminator.b4.group = 1
    found = squared_gradient(method.discriminator, images)
    for row in range(2):
        steps = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8) * 1e-5
        with torch.no_grad():
            high, low = (method.discriminator(images[row] + sign * steps) for sign in (1, -1))
        slopes = (high - low) / 2e-5
        assert found[row].item() == pytest.approx(slopes.square().sum().item(), rel=1e-4)


def test_path_lengths_are_those_of_the_jacobian():
    method = make_method().double()
    generator = torch.Generator().manual_seed(0)
    ws = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 1, 8, 8, generator=generator, dtype=torch.float64)
    found = path_lengths(method.generator.synthesis(ws), ws, noise)
    for row in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda styles: method.generator.synthesis(styles)[0], ws[row : row + 1].detach()
        )
        product = torch.einsum("chw,chwld->ld", noise[row] / 8, jacobian[:, :, :, 0])
        assert found[row].item() == pytest.approx(product.square().sum(dim=1).mean().sqrt().item(), rel=1e-8)


@pytest.mark.parametrize("phase", ["r1", "path_length"])
def test_penalties_have_the_right_gradients(phase, monkeypatch):
    # The running mean counts as a constant; a difference of two penalties would see it move.
    monkeypatch.setattr(adversarial, "_PATH_LENGTH_RATE", 0.0)
    method = make_method().double()
    network = method.discriminator if phase == "r1" else method.generator.synthesis
    weight = network.b8.conv0.weight
    batch = {"image": Greys().batch(2, generator_for(0, "batch"))["image"].double()}

    def value():
        return method(phase, batch, generator_for(0, phase))[phase].sum()

    def moved(index, step):
        weight.data[index] += step
        result = value().item()
        weight.data[index] -= step
        return result

    (gradient,) = torch.autograd.grad(value(), weight)
    for index in ((0, 0, 0, 0), (1, 2, 1, 1), (5, 3, 2, 0)):
        slope = (moved(index, 1e-5) - moved(index, -1e-5)) / 2e-5
        assert gradient[index].item() == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_the_running_means_follow():
    method = make_method()
    before = method.generator.mapping.w_avg.clone()
    losses_of(method, "path_length")
    first = float(method.networks.path_length)
    assert first > 0
    assert torch.equal(method.generator.mapping.w_avg, before)
    losses_of(method, "generator")
    assert not torch.equal(method.generator.mapping.w_avg, before)
    assert method.metrics() == {"images": 4, "mean_path_length": first}


def test_styles_are_mixed_at_a_layer():
    method = make_method(style_mixing=1.0)
    styles = method._styles(200, None, generator_for(0, "mix"))
    changes = (styles[:, 1:] != styles[:, :-1]).any(dim=2)
    assert (changes.sum(dim=1) == 1).all()
    assert changes.any(dim=0).all()
    plain = make_method(style_mixing=0.0)._styles(50, None, generator_for(0, "mix"))
    assert (plain == plain[:, :1]).all()
    some = make_method(style_mixing=0.5)._styles(400, None, generator_for(0, "mix"))
    assert 0.4 < (some != some[:, :1]).any(dim=2).any(dim=1).float().mean() < 0.6


def test_the_discriminator_sees_augmented_images_only():
    seen = []

    def augment(images, generator):
        assert generator.device.type == "cpu"
        seen.append(images.detach().clone())
        return torch.zeros_like(images) + 0 * images

    method = make_method(augment=augment)
    found = [losses_of(method, phase) for phase in ("generator", "discriminator")]
    blank = method.discriminator(torch.zeros(4, 1, 8, 8))
    torch.testing.assert_close(found[0]["g_fake"], F.softplus(-blank))
    torch.testing.assert_close(found[1]["d_fake"], F.softplus(blank))
    assert len(seen) == 3
    assert losses_of(method, "r1")["r1"].abs().max() == 0


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(before, module):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


class Bright:
    """Real images: nearly white."""

    def batch(self, size, generator):
        return {"image": 0.85 + 0.1 * torch.rand(size, 1, 8, 8, generator=generator)}


def test_training_moves_images_to_the_data_and_ends_in_an_expert(tmp_path):
    method = make_method(r1_gamma=0.1, learning_rate=0.01)

    def brightness():
        expert = StyleGAN2.from_networks(method.generator, method.discriminator)
        w = expert.draw("w", 30, generator=generator_for(0, "w"))
        return expert.decode(w, "w").mean().item()

    before = brightness()
    Trainer(method, Bright(), Settings(steps=40, batch_size=8, ema_decay=0.5), tmp_path, device="cpu").run()
    assert before < 0.7
    assert brightness() == pytest.approx(0.9, abs=0.1)
    assert int(method.networks.images) == 40 * 8


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    def run(folder, stop=None):
        method = make_method(critics=[Brightness(warmup=12)])
        settings = Settings(steps=6, batch_size=4, checkpoint_every=2)
        trainer = Trainer(method, Greys(labelled=False), settings, folder, device="cpu")
        if stop:

            def kill(step, weights):
                if step == stop:
                    raise RuntimeError("killed")

            with pytest.raises(RuntimeError):
                trainer.run(snapshot=kill)
        return method, trainer

    whole, trainer = run(tmp_path / "whole")
    trainer.run()
    _, _ = run(tmp_path / "cut", stop=4)
    resumed, trainer = run(tmp_path / "cut")
    trainer.run(resume=True)
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    assert not changed(snapshot(whole.networks), resumed.networks)
    assert int(resumed.networks.images) == 24


def test_a_frozen_expert_can_be_trained_on(tmp_path):
    start = make_method(3)
    expert = StyleGAN2.from_networks(start.generator, start.discriminator)
    networks = copy.deepcopy(expert.networks)
    method = AdversarialStyleGAN2(networks["generator"], networks["discriminator"])
    before = snapshot(expert)
    Trainer(method, Greys(), Settings(steps=2, batch_size=4, ema_decay=0), tmp_path, device="cpu").run()
    assert not changed(before, expert)
    assert "synthesis.b8.conv0.weight" in changed(snapshot(start.generator), method.generator)


def test_every_phase_moves_its_own_network_alone(tmp_path):
    critic = Brightness()
    method = make_method(critics=[critic])
    frozen = snapshot(critic.frozen)
    Trainer(method, Greys(), Settings(steps=1, batch_size=4, ema_decay=0), tmp_path, device="cpu")
    for phase in method.phases():
        for parameter in method.networks.parameters():
            parameter.requires_grad_(any(parameter is moved for moved in phase.parameters))
        sum(value.mean() for value in losses_of(method, phase.name).values()).backward()
        with_gradient = {name for name, p in method.networks.named_parameters() if p.grad is not None}
        place = {"generator": "generator", "path_length": "generator", "critics": "heads"}.get(
            phase.name, "discriminator"
        )
        assert with_gradient
        assert all(name.startswith(place) for name in with_gradient)
        method.zero_grad()
    assert not changed(frozen, critic.frozen)


def test_further_critics_join_with_heads_of_their_own(tmp_path):
    critics = [Brightness("one"), Brightness("two", warmup=8)]
    method = make_method(critics=critics, head_rate=0.05)
    heads = next(phase for phase in method.phases() if phase.name == "critics")
    assert heads.learning_rate == 0.05
    assert {id(p) for p in heads.parameters} == {id(p) for critic in critics for p in critic.heads.parameters()}
    assert not [name for name in method.trained().state_dict() if "frozen" in name]
    before = [snapshot(critic) for critic in critics]
    result = Trainer(method, Greys(), Settings(steps=4, batch_size=4), tmp_path, device="cpu").run()
    assert {"g_one", "one_real", "one_fake", "g_two", "two_real", "two_fake"} <= set(result.losses)
    assert critics[1].seen == [0, 4, 8, 12]
    for critic, old in zip(critics, before, strict=True):
        assert changed(old, critic) == {"heads.weight", "heads.bias"}


def test_a_critic_that_warms_up_has_no_say(tmp_path):
    method = make_method(critics=[Brightness(warmup=4)])
    assert set(losses_of(method, "generator")) == {"g_fake"}
    assert set(losses_of(method, "generator")) == {"g_fake", "g_brightness"}


def test_critics_of_one_name_are_refused():
    method = make_method(critics=[Brightness(), Brightness()])
    with pytest.raises(InputError, match="Two critics have a loss 'g_brightness'"):
        losses_of(method, "generator")


def test_critics_without_losses_say_so():
    class Silent(FurtherDiscriminator):
        def __init__(self):
            super().__init__()
            self.heads = nn.Linear(1, 1)

    with pytest.raises(NotImplementedError, match="Silent has no losses for the generator"):
        losses_of(make_method(critics=[Silent()]), "generator")
    with pytest.raises(NotImplementedError, match="Silent has no losses for its heads"):
        losses_of(make_method(critics=[Silent()]), "critics")


def test_networks_that_do_not_fit_are_refused():
    small, large = make_method(0), make_method(3)
    with pytest.raises(InputError, match="generator has num_classes 0, but the discriminator 3"):
        AdversarialStyleGAN2(small.generator, large.discriminator)


def test_data_without_labels_are_refused_by_conditional_networks():
    with pytest.raises(InputError, match="trained on images with labels"):
        make_method(3)("generator", Greys(labelled=False).batch(2, generator_for(0)), generator_for(0))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    method = make_method()
    with torch.no_grad():
        method.discriminator.b4.out.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="became nan at step 0"):
        Trainer(method, Greys(), Settings(steps=1, batch_size=4), tmp_path, device="cpu").run()
