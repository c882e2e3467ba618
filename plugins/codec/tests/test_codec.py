import json

import pytest
import torch

from dragoman.errors import InputError, PackageError
from dragoman.knobs import Knob
from dragoman_codec.architectures import network_of
from dragoman_codec.expert import Codec


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


SIZES = [(64, 64), (1, 1), (65, 63), (3, 200), (130, 20)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_stream_decodes_to_what_the_encoder_saw(codec, size, channels, picture):
    image = picture(*size, channels)
    for quality in (0, 60, 100):
        stream = codec.compress(image, {"quality": quality})
        decoded = codec.decompress(stream)
        assert decoded.shape == image.shape
        assert decoded.dtype == torch.uint8
        assert torch.equal(decoded, codec.at({"quality": quality}).reconstruct(image))


def test_another_process_would_decode_the_same(codec, tmp_path, picture):
    image = picture(70, 90)
    stream = codec.compress(image, {"quality": 80})
    codec.save_pretrained(tmp_path)
    again = Codec.from_pretrained(tmp_path)
    assert torch.equal(again.decompress(stream), codec.decompress(stream))
    assert again.compress(image, {"quality": 80}) == stream
    described = json.loads((tmp_path / "config.json").read_text())["knobs"]
    assert again.knobs() == tuple(Knob.from_dict(one) for one in described)


@pytest.mark.parametrize("quality", [20, 50, 100])
def test_bytes_are_within_one_percent_of_the_estimated_rate(codec, quality, picture):
    image = picture(384, 384)
    bits = 8 * len(codec.compress(image, {"quality": quality}))
    estimated = codec.at({"quality": quality}).estimated_bits(image)
    assert estimated > 2e4
    assert bits == pytest.approx(estimated, rel=0.01)


def test_a_setting_is_the_modulated_network(codec):
    images = torch.rand(2, 3, 64, 64, generator=seeded())
    for value in (0.001, 0.02, 0.1):
        fixed = codec.at({"lambda": value}).network
        with torch.no_grad(), codec.conditioned.using(codec.conditioned.family.values({"lambda": value})):
            expected = codec.network(images, seeded(1))
        with torch.no_grad():
            found = fixed(images, seeded(1))
        # The knob is written to the stream in steps of half a percent.
        torch.testing.assert_close(found.images, expected.images, atol=5e-3, rtol=1e-3)
        torch.testing.assert_close(found.bits(), expected.bits(), rtol=1e-3, atol=1)


def test_quality_is_lambda_by_another_name(codec, picture):
    image = picture(64, 64)
    assert codec.compress(image, {"quality": 50}) == codec.compress(image, {"lambda": 0.01}) == codec.compress(image)
    assert codec.compress(image, {"quality": 0}) == codec.compress(image, {"lambda": 0.001})
    assert codec.compress(image, {"quality": 0}) != codec.compress(image, {"quality": 100})


def test_a_codec_of_one_quality_has_no_knob(scale_codec, tmp_path, picture):
    network = scale_codec.at({"quality": 10}).network
    fixed = Codec({"architecture": "scale-hyperprior", "N": 8, "M": 12}, network)
    image = picture(64, 80)
    stream = fixed.compress(image)
    assert torch.equal(fixed.decompress(stream), scale_codec.at({"quality": 10}).reconstruct(image))
    assert fixed.knobs() == ()
    with pytest.raises(InputError, match="no knob 'quality'"):
        fixed.compress(image, {"quality": 10})
    with pytest.raises(InputError, match="another codec"):
        scale_codec.decompress(stream)


def test_latents_decode_to_the_reconstruction(scale_codec, picture):
    image = picture(64, 128)
    latents = scale_codec.encode(image.unsqueeze(0).float() / 255, "latent")
    assert latents.shape == (1, 12, 4, 8)
    assert torch.equal(latents, latents.round())
    images = scale_codec.decode(latents, "latent")
    torch.testing.assert_close((images[0] * 255).round().byte(), scale_codec.at().reconstruct(image))
    assert (scale_codec.decode(latents, "latent", quality=100.0) - images).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"quality": 101}, "takes 0 to 100"),
        ({"quality": float("nan")}, "takes 0 to 100"),
        ({"lambda": 1.0}, "lambda takes 0.001 to 0.1"),
        ({"quality": 1, "lambda": 0.01}, "one of them"),
        ({"speed": 1}, "no knob 'speed'"),
    ],
)
def test_knobs_that_cannot_be_are_refused(scale_codec, knobs, message, picture):
    with pytest.raises(InputError, match=message):
        scale_codec.compress(picture(8, 8), knobs)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(4, 8, 8, dtype=torch.uint8),
        torch.zeros(8, 8, dtype=torch.uint8),
        torch.zeros(3, 0, 8, dtype=torch.uint8),
        torch.zeros(1, 1, 1, dtype=torch.uint8).expand(1, 1, 20000),
    ],
)
def test_images_that_cannot_be_are_refused(scale_codec, image):
    with pytest.raises(InputError, match="The codec takes"):
        scale_codec.compress(image)


def varying(*losses):
    ranges = [{"loss": loss, "low": 1, "high": 1 + (loss in losses)} for loss in ("rate", "distortion")]
    return {"coefficients": ranges}


def test_checkpoints_that_do_not_fit_are_refused(scale_codec, tmp_path):
    scale_codec.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"architecture": "jpeg"}, "architecture is 'jpeg'; known are scale-hyperprior, mean-scale-hyperprior"),
        ({"architecture": "mean-scale-hyperprior"}, "of shape|another architecture"),
        ({"N": 16}, "N or M in its config.json is wrong|tables"),
        ({"M": True}, "not whole numbers"),
        ({"family": {}}, "knob cannot be loaded"),
        ({"film": {**config["film"], "hidden": 3}}, "knob cannot be loaded"),
        ({"film": {**config["film"], "spatial": True}}, "no option 'spatial'"),
        ({"film": {**config["film"], "strength": "much"}}, "strength is a finite number"),
        ({"family": varying("distortion", "rate")}, "one coefficient that varies"),
        ({"family": varying()}, "one coefficient that varies"),
        ({"family": {"coefficients": [{"loss": "quality", "low": 1, "high": 2}]}}, "not called quality"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(PackageError, match=message):
            Codec.from_pretrained(tmp_path)


def test_weights_in_compressais_layout_load_by_name(scale_codec, picture):
    """Its three ways to call the bottleneck's parameters; tables of no length are made."""
    from dragoman_codec.checkpoint import load_network

    image = picture(64, 64)
    fixed = scale_codec.at()
    state = fixed.network.state_dict()
    for old in ("entropy_bottleneck._{plural}.{n}", "entropy_bottleneck.{plural}.{n}"):
        theirs = {}
        for name, value in state.items():
            for kind, plural in (("matrix", "matrices"), ("bias", "biases"), ("factor", "factors")):
                if name.startswith(f"entropy_bottleneck._{kind}"):
                    name = old.format(plural=plural, n=name[-1])
            empty = name.endswith(("_offset", "_quantized_cdf", "_cdf_length"))
            theirs[name] = torch.empty(0, dtype=torch.int32) if empty else value
        network = network_of(scale_codec.config)
        load_network(network, theirs)
        again = Codec({"architecture": "scale-hyperprior", "N": 8, "M": 12}, network)
        assert torch.equal(again.at().reconstruct(image), fixed.reconstruct(image))
        assert torch.equal(again.decompress(again.compress(image)), fixed.reconstruct(image))
    # The names that CompressAI 1.2 gives to a scale hyperprior's state.
    layers = {name.rsplit(".", 1)[0] for name in state if name.startswith("g_a")}
    assert layers == {
        *(f"g_a.{n}" for n in range(7)),
        *(f"g_a.{n}.{part}" for n in (1, 3, 5) for part in ("beta_reparam", "gamma_reparam")),
        *(f"g_a.{n}.{part}.lower_bound" for n in (1, 3, 5) for part in ("beta_reparam", "gamma_reparam")),
    }
    assert {"entropy_bottleneck.quantiles", "entropy_bottleneck.target", "gaussian_conditional.scale_table"} <= set(
        state
    )
    with pytest.raises(PackageError, match=r"lacks g_a\.0\.weight"):
        load_network(network, {name: value for name, value in state.items() if name != "g_a.0.weight"})
    with pytest.raises(PackageError, match=r"has g_a\.9\.weight too many"):
        load_network(network, {**state, "g_a.9.weight": torch.zeros(1)})


@pytest.mark.parametrize("latents", [torch.zeros(1, 13, 4, 4), torch.zeros(12, 4, 4), [0.0]])
def test_latents_that_cannot_be_are_refused(scale_codec, latents):
    with pytest.raises(InputError, match=r"decodes latents \[B, 12, h, w\], not"):
        scale_codec.decode(latents, "latent")
