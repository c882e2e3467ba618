"""Schedules, predictions, thresholds, samplers and the expert for pixels."""

import pytest
import torch
from diffusers import DDPMScheduler

from dragoman.endpoint import Endpoint, EndpointSpec
from dragoman.errors import InputError, PackageError, PortError
from dragoman.stores import locate
from dragoman_diffusion.lowres import crop_rows, degrade, prior_of
from dragoman_diffusion.pixels import Pixels
from dragoman_diffusion.prediction import PREDICTIONS, Prior, clean_from, loss_weight, prediction_target
from dragoman_diffusion.sampling import SAMPLERS, denoise
from dragoman_diffusion.schedule import SCHEDULES, Schedule
from dragoman_diffusion.thresholding import dynamic_threshold


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_go_from_clean_to_noise_and_keep_the_variance(name):
    t = torch.linspace(0, 1, 101)
    alpha, sigma = Schedule(name).alpha_sigma(t)
    torch.testing.assert_close(alpha.square() + sigma.square(), torch.ones(101))
    assert (alpha.diff() < 0).all()
    assert alpha[0] > 0.999
    assert alpha[-1] < 0.01


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance"), [("cosine", "squaredcos_cap_v2", 1e-3), ("linear", "linear", 0.08)]
)
def test_schedules_are_those_of_diffusers(ours, theirs, tolerance):
    """The linear one is a continuous limit, which differs by the squares of the betas."""
    expected = DDPMScheduler(beta_schedule=theirs).alphas_cumprod[:990]
    alpha, _ = Schedule(ours).alpha_sigma((torch.arange(990) + 1) / 1000)
    torch.testing.assert_close(alpha.square(), expected, rtol=tolerance, atol=1e-4)
    grid = DDPMScheduler(trained_betas=Schedule(ours).betas()).alphas_cumprod[:990]
    torch.testing.assert_close(grid, alpha.square(), rtol=1e-3, atol=1e-6)


def test_times_are_continuous_or_on_the_grid():
    generator = torch.Generator().manual_seed(0)
    continuous, discrete = (Schedule("cosine", steps).draw(5000, generator) for steps in (0, 4))
    assert len(continuous.unique()) > 4900
    assert 0 < continuous.min() < 0.01
    assert continuous.max() <= 1
    assert discrete.unique().tolist() == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_predictions_invert_and_their_weights_agree(kind):
    generator = torch.Generator().manual_seed(0)
    clean, noise, error = (torch.randn(50, 3, dtype=torch.float64, generator=generator) for _ in range(3))
    alpha, sigma = (
        value.unsqueeze(1) for value in Schedule("cosine").alpha_sigma(torch.linspace(0.02, 0.98, 50).double())
    )
    noisy = alpha * clean + sigma * noise
    target = prediction_target(kind, clean, noise, alpha, sigma)
    torch.testing.assert_close(clean_from(kind, target, noisy, alpha, sigma), clean)
    # An error of the clean sample has the same weighted loss, whatever is predicted.
    wrong = prediction_target(kind, clean + error, (noisy - alpha * (clean + error)) / sigma, alpha, sigma)
    loss = loss_weight(kind, alpha, sigma, 5.0) * (wrong - target).square()
    torch.testing.assert_close(loss, (alpha / sigma).square().clamp(max=5) * error.square())
    assert (loss_weight(kind, alpha, sigma, 0.0) == 1).all()


def test_a_residual_is_minus_v_without_a_prior_and_small_with_a_good_one():
    generator = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(50, 1, 4, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    t = torch.linspace(0.02, 0.98, 50).double()
    alpha, sigma = (value.view(-1, 1, 1, 1) for value in Schedule("cosine").alpha_sigma(t))
    velocity = prediction_target("v_prediction", clean, noise, alpha, sigma)
    torch.testing.assert_close(prediction_target("residual", clean, noise, alpha, sigma), -velocity)
    noisy, prior = alpha * clean + sigma * noise, Prior(clean, torch.full((50, 1, 1, 1), 0.25).double())
    residual = prediction_target("residual", clean, noise, alpha, sigma, prior)
    torch.testing.assert_close(clean_from("residual", residual, noisy, alpha, sigma, prior), clean)
    # The prior's mean is right, so all that is left is the noise that the posterior lets in.
    estimate = clean_from("residual", torch.zeros_like(clean), noisy, alpha, sigma, prior)
    assert (estimate - clean).abs().mean() < 0.1 < (alpha * noisy - clean).abs().mean()
    weight = loss_weight("residual", alpha, sigma, 5.0, prior)
    error = weight * (residual - 0).square()
    torch.testing.assert_close(error, (alpha / sigma).square().clamp(max=5) * (estimate - clean).square())


def test_the_prior_of_a_stage_is_the_smaller_image_and_less_so_with_noise():
    low, noise = torch.rand(2, 1, 4, 4), torch.zeros(2, 1, 8, 8)
    degraded = degrade(low, (8, 8), torch.tensor([0.0, 1.0]), noise, Schedule("cosine"))
    prior = prior_of(degraded, Schedule("cosine"))
    torch.testing.assert_close(prior.mean[0], degraded.images[0])
    assert prior.mean[1].abs().max() < 1e-3
    assert prior.std[0].item() == pytest.approx(0.25, abs=0.01)
    assert prior.std[1].item() > 1


def test_dynamic_thresholding_is_active_and_differs_from_clipping():
    images = torch.stack([torch.linspace(-3, 3, 64).view(1, 8, 8), torch.linspace(-0.5, 0.5, 64).view(1, 8, 8)])
    dynamic, static = dynamic_threshold(images, 0.9), dynamic_threshold(images, 0.0)
    assert dynamic.abs().max() == 1
    torch.testing.assert_close(static, images.clamp(-1, 1))
    assert (dynamic[0] - static[0]).abs().max() > 0.3  # a saturated image moves inwards
    assert torch.equal(dynamic[1], images[1])  # one within bounds stays


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULES)
def test_samplers_reach_the_distribution_of_an_exact_denoiser(sampler, name):
    """For a normal distribution the best estimate is known, and so is what a perfect sampler makes of noise."""
    mean, std, schedule = 0.4, 0.3, Schedule(name)

    def exact(z, t):
        alpha, sigma = (value.unsqueeze(1) for value in schedule.alpha_sigma(t))
        return mean + alpha * std**2 / (alpha**2 * std**2 + sigma**2) * (z - alpha * mean)

    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    steps, trace = {"ddim": 150}.get(sampler, 25), []  # DDIM is of first order
    sample = denoise(exact, noise, schedule, sampler, steps, trace)
    assert sample.mean().item() == pytest.approx(mean, abs=0.02)
    assert sample.std().item() == pytest.approx(std, rel=0.12)
    assert torch.corrcoef(torch.stack([sample[:, 0], noise[:, 0]]))[0, 1] > 0.999
    assert len(trace) >= 25


def test_samplers_that_do_not_exist():
    with pytest.raises(InputError, match="sampler must be 'ddim' or 'dpm\\+\\+' or 'edm', not 'plms'"):
        denoise(lambda z, t: z, torch.zeros(1, 2), Schedule("cosine"), "plms", 5)
    with pytest.raises(InputError, match="num_inference_steps"):
        denoise(lambda z, t: z, torch.zeros(1, 2), Schedule("cosine"), "ddim", 1001)
    with pytest.raises(InputError, match="schedule must be"):
        Schedule("sigmoid")


def test_augmentation_level_zero_keeps_the_image_and_one_drowns_it():
    generator = torch.Generator().manual_seed(0)
    low, noise = torch.rand(2, 1, 4, 4, generator=generator), torch.randn(2, 1, 8, 8, generator=generator)
    images, level = degrade(low, (8, 8), torch.tensor([0.0, 1.0]), noise, Schedule("cosine"))
    torch.testing.assert_close(images[0].mean(), low[0].mean(), atol=0.1, rtol=0)
    assert low[0].min() - 1e-3 <= images[0].min() <= images[0].max() <= low[0].max() + 1e-3
    torch.testing.assert_close(images[1], noise[1], atol=1e-3, rtol=0)
    assert level.tolist() == [0.0, 1.0]


def test_crops_are_the_same_square_of_both_and_differ_between_rows():
    grid = torch.arange(64.0).view(1, 1, 8, 8).expand(40, 1, 8, 8)
    one, other = crop_rows((grid, grid + 100), 4, torch.Generator().manual_seed(0))
    assert one.shape == (40, 1, 4, 4)
    assert torch.equal(one + 100, other)
    assert len(one[:, 0, 0, 0].unique()) > 10


def test_pixels_are_an_expert_that_a_package_can_name(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    endpoint = Endpoint.load(EndpointSpec.parse("pixels=pixels/1x16x16"), giving=False)
    assert endpoint.port.shape == (1, 16, 16)
    assert endpoint.expert.origin.address == "pixels/1x16x16"
    images = torch.linspace(-0.5, 1.5, 256).view(1, 1, 16, 16)
    assert torch.equal(endpoint.expert.decode(images, "image", truncation=0.5), images.clamp(0, 1))
    assert torch.equal(endpoint.expert.encode(images, "image"), images)
    endpoint.expert.save_pretrained(tmp_path / "copy")
    assert Pixels.from_pretrained(tmp_path / "copy").ports == endpoint.expert.ports


def test_pixels_refuse_what_is_no_image_of_their_size(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expert = Pixels({"channels": 1, "height": 8, "width": 8})
    with pytest.raises(InputError, match=r"images \[B, 1, 8, 8\], not \[2, 3, 8, 8\]"):
        expert.decode(torch.zeros(2, 3, 8, 8), "image")
    with pytest.raises(PortError, match="latent"):
        expert.decode(torch.zeros(2, 1, 8, 8), "latent")
    with pytest.raises(InputError, match="no knob 'zoom'"):
        expert.decode(torch.zeros(2, 1, 8, 8), "image", zoom=2)
    for address in ("pixels/2x8x8", "pixels/../x", "pixels/1x0x8", "pixels/1x8x8x8"):
        with pytest.raises(PackageError, match="no size of images"):
            locate(address)
    for config in (
        {"channels": 1},
        {"channels": 1, "height": 5000, "width": 8},
        {"channels": 2, "height": 8, "width": 8},
    ):
        with pytest.raises(PackageError, match="1 or 3 channels"):
            Pixels(config)
