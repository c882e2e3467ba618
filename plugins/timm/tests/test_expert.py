import pytest
import torch
from torch import nn

from dragoman.errors import InputError, PortError
from dragoman_timm.expert import Timm
from dragoman_timm.library import timm

NAMES = ["swin", "vgg", "vgg_bn", "resnet", "vit", "convnext"]
#: Configurations that timm's own factory can build.
TIMMS_OWN = ["swin", "resnet", "vit", "convnext"]


def timms(folder, **options):
    return timm.create_model(f"local-dir:{folder}", pretrained=True, **options).eval()


@pytest.mark.parametrize("name", TIMMS_OWN)
def test_values_agree_with_timm(name, experts, folders, tiny):
    expert, reference, images = experts[name], timms(folders[name]), tiny.images(3, height=40, width=50)
    pixels = expert.preprocessing(images)
    found = expert.encode_many(images, list(expert.ports))
    with torch.no_grad():
        features = reference.forward_features(pixels)
        torch.testing.assert_close(found["logits"], reference(pixels), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            found["pooled"], reference.forward_head(features, pre_logits=True), atol=1e-5, rtol=0
        )
    assert torch.equal(found["label"], found["logits"].argmax(dim=1))
    assert found["logits"].std() > 1e-3


@pytest.mark.parametrize("name", TIMMS_OWN)
def test_stages_are_timms_feature_maps(name, experts, folders, tiny):
    expert, images = experts[name], tiny.images(2)
    stages = [port for port in expert.ports if port.startswith("stage.")]
    # Of a ViT, timm returns three of its blocks unless it is asked for all.
    reference = timms(folders[name], features_only=True, out_indices=list(range(len(stages))))
    with torch.no_grad():
        maps = reference(expert.preprocessing(images))
    for stage, value in zip(stages, maps, strict=True):
        expected = value.permute(0, 3, 1, 2) if name == "swin" else value  # timm's Swin is channels last
        torch.testing.assert_close(expert.encode(images, stage), expected, atol=1e-5, rtol=0)


def test_stages_of_a_vgg_end_before_each_pooling(experts, tiny):
    expert, images = experts["vgg"], tiny.images()
    value = expert.preprocessing(images)
    stages = []
    for layer in expert.network.features:
        if isinstance(layer, nn.MaxPool2d):
            stages.append(value.clone())
        value = layer(value)
    stages.append(value)
    assert [port for port in expert.ports if port.startswith("stage.")] == [f"stage.{k}" for k in range(len(stages))]
    for number, stage in enumerate(stages):
        torch.testing.assert_close(expert.encode(images, f"stage.{number}"), stage, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_types_are_those_of_the_ports(name, experts, tiny):
    expert = experts[name]
    assert ("features" in expert.ports) == (name != "vit")
    for port in expert.ports.values():
        found = expert.encode(tiny.images(3), port.name)
        assert tuple(found.shape[1:]) == port.shape
        assert str(found.dtype) == f"torch.{port.dtype}"


@pytest.mark.parametrize("name", NAMES)
def test_many_ports_at_once_give_what_each_gives_alone(name, experts, tiny):
    expert = experts[name]
    for chosen in (list(expert.ports), ["stage.1", "stage.0"], ["pooled"], ["stage.0", "pooled"]):
        together = expert.encode_many(tiny.images(), chosen)
        assert list(together) == chosen
        for port in chosen:
            torch.testing.assert_close(together[port], expert.encode(tiny.images(), port), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_maps_are_where_the_picture_is(name, corner, experts, tiny):
    """A change in one corner of the picture changes that corner of the first map most: catches scrambled layouts."""
    expert = experts[name]
    row, column = (slice(2, 8) if side == 0 else slice(24, 30) for side in corner)
    before = tiny.images(1)
    after = before.clone()
    after[:, :, row, column] = 1 - after[:, :, row, column]
    change = (expert.encode(after, "stage.0") - expert.encode(before, "stage.0")).square().sum(dim=1)[0]
    half = change.shape[0] // 2
    quarters = change[: 2 * half, : 2 * half].unflatten(0, (2, half)).unflatten(2, (2, half)).sum(dim=(1, 3))
    assert quarters.argmax() == 2 * corner[0] + corner[1]
    assert quarters[corner] > 2 * quarters.flatten().sort().values[2]


def test_swin_features_are_channels_first(experts, folders, tiny):
    reference = timms(folders["swin"])
    with torch.no_grad():
        last = reference.forward_features(experts["swin"].preprocessing(tiny.images()))
    found = experts["swin"].encode(tiny.images(), "features")
    assert last.shape == (2, 8, 8, 24)
    assert found.shape == (2, 24, 8, 8)
    torch.testing.assert_close(found[1, 5, 2, 7], last[1, 2, 7, 5], atol=1e-6, rtol=0)
    torch.testing.assert_close(found.mean(dim=(2, 3)), experts["swin"].encode(tiny.images(), "pooled"))


@pytest.mark.parametrize("name", NAMES)
def test_results_do_not_depend_on_the_rest_of_the_batch(name, experts, tiny):
    images = tiny.images(5, height=36)
    for port in ("pooled", "stage.1"):
        together = experts[name].encode(images, port)
        alone = torch.cat([experts[name].encode(image[None], port) for image in images])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_image_and_nothing_else(name, experts, tiny):
    expert = experts[name]
    images = tiny.images(1, height=48, width=40).requires_grad_()
    found = expert.encode_many(images, ["pooled", "stage.0"])
    sum(value.square().sum() for value in found.values()).backward()
    assert (images.grad != 0).float().mean() > 0.5
    assert all(parameter.grad is None for parameter in expert.parameters())
    assert not any(module.training for module in expert.train().modules())


def test_the_gradient_is_right(experts, tiny):
    expert = Timm(experts["convnext"].config, experts["convnext"].network)
    images = tiny.images(1, height=40, width=44)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    images, step = 0.25 + images / 2, 1e-3
    leaf = images.clone().requires_grad_()
    expert.encode(leaf, "pooled").sum().backward()
    ends = [expert.encode(images + sign * step * direction, "pooled").double().sum() for sign in (1, -1)]
    assert torch.isclose((leaf.grad * direction).sum().double(), (ends[0] - ends[1]) / (2 * step), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_of_weights(dtype, folders, tiny):
    expert = Timm.from_pretrained(folders["swin"], dtype=dtype, device="cpu")
    assert {parameter.dtype for parameter in expert.parameters()} == {dtype}
    full = tiny.load(folders["swin"])
    found, expected = expert.encode(tiny.images(), "stage.1"), full.encode(tiny.images(), "stage.1")
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()


def test_no_images_give_no_rows(experts):
    assert experts["vgg"].encode(torch.empty(0, 3, 32, 32), "stage.0").shape == (0, 8, 32, 32)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["a red bag"], "takes a tensor .* not list"),
        (torch.rand(3, 32, 32), r"not \[3, 32, 32\]"),
        (torch.rand(1, 4, 32, 32), r"not \[1, 4, 32, 32\]"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "divide bytes by 255"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(inputs, message, experts):
    with pytest.raises(InputError, match=message):
        experts["resnet"].encode(inputs, "pooled")


def test_unknown_ports_are_named(experts, tiny):
    with pytest.raises(PortError, match=r"no port 'stage.9'.*stage.3"):
        experts["resnet"].encode(tiny.images(), "stage.9")
