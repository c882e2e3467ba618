"""VGG and Swin: checkpoints as any other of timm, and good classifiers."""

import pytest
import torch
from safetensors.torch import load_file

import dragoman_timm.library
from dragoman.endpoint import load_expert
from dragoman.training.method import Phase
from dragoman_minizoo.classification import Classification
from dragoman_minizoo.data import LABELS
from dragoman_minizoo.judging import reference_images
from dragoman_minizoo.store import MODELS
from dragoman_timm.perceptual import Perceptual

NAMES = ("vgg-fashion", "swin-fashion")


@pytest.fixture(scope="module")
def real():
    data = reference_images()
    return data.images.float() / 255, data.labels


@pytest.mark.parametrize("name", NAMES)
def test_garments_are_known(name, real):
    images, labels = real
    assert (load_expert(name).encode(images, "label") == labels).float().mean() > LEAST[name]


@pytest.mark.parametrize("name", NAMES)
def test_timm_alone_reads_the_checkpoint_and_agrees(name, real):
    expert = load_expert(name)
    options = dict(expert.config["model_args"])
    weights = {key: value.float() for key, value in load_file(MODELS / name / "model.safetensors").items()}
    timm = dragoman_timm.library.timm
    if name == "vgg-fashion":
        network = timm.models.vgg.VGG(**options, num_classes=len(LABELS), norm_layer=torch.nn.BatchNorm2d)
    else:
        network = timm.create_model(expert.config["architecture"], num_classes=len(LABELS), **options)
    network.load_state_dict(weights)
    known = expert.config["pretrained_cfg"]
    pixels = (real[0][:8] - known["mean"][0]) / known["std"][0]
    logits = network.eval()(pixels)
    assert torch.allclose(expert.encode(real[0][:8], "logits"), logits, atol=1e-5, rtol=1e-5)


def test_features_tell_garments_of_a_class_from_others(real):
    images, labels = real
    critic = Perceptual(load_expert("vgg-fashion"), {"stage.2": 1.0})
    bags, boots = images[labels == 8][:40], images[labels == 9][:40]
    same = critic.losses(boots[:20], boots[20:])["content.stage.2"]
    other = critic.losses(boots[:20], bags[20:])["content.stage.2"]
    assert (same < other).float().mean() > 0.8


def test_a_teacher_is_followed_and_stays_as_it_is():
    generator = torch.Generator().manual_seed(0)
    image, label = torch.rand(16, 4, generator=generator), torch.randint(3, (16,), generator=generator)
    teacher, pupil = torch.nn.Linear(4, 3).requires_grad_(False), torch.nn.Linear(4, 3)
    method = Classification(pupil, learning_rate=1e-2, teacher=teacher, trust=1.0)
    (phase,) = method.phases()
    assert isinstance(phase, Phase)
    assert phase.weights == {"cross_entropy": 0.0, "teacher": 1.0}
    optimizer = torch.optim.Adam(phase.parameters, lr=0.1)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    for _ in range(300):
        losses = method("classify", {"image": image, "label": label}, generator)
        assert losses["teacher"].shape == losses["cross_entropy"].shape == (16,)
        losses["teacher"].mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.allclose(pupil(image).softmax(1), teacher(image).softmax(1), atol=0.02)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


LEAST = {"vgg-fashion": 0.91, "swin-fashion": 0.87}
