"""The conformance suite: a sound plugin passes all of it, and each fault is found by its check."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace

import pytest
import torch

import dragoman_registry
from dragoman import builtin
from dragoman.scaffold import KINDS, render
from dragoman.testing import assert_light, critics, expert_tests, experts, methods, translators
from dragoman.testing.suite import find_offer

NAMES = {kind: f"sound-{kind}" for kind in KINDS}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The rendered templates, importable."""
    folder = tmp_path_factory.mktemp("rendered")
    for kind, name in NAMES.items():
        render(name, kind, folder / kind)
        sys.path.insert(0, str(folder / kind))
    yield {kind: importlib.import_module(f"dragoman_sound_{kind}") for kind in KINDS}
    del sys.path[: len(KINDS)]


@pytest.fixture(autouse=True)
def zoo(dragoman_zoo, packages):
    return dragoman_zoo(builtin, dragoman_registry, *packages.values())


@pytest.fixture
def subject(tmp_path):
    """Makes the subject of one kind anew, after whatever a test has broken."""

    def make(kind: str):
        offer = find_offer(kind, NAMES[kind])
        module = importlib.import_module(f"dragoman_sound_{kind}.{kind}")
        if kind == "expert":
            torch.manual_seed(0)
            module.SoundExpert({"model_type": NAMES[kind], "width": 8}).save_pretrained(tmp_path)
            return experts.Subject(offer, tmp_path, None, {})
        if kind == "translator":
            return translators.Subject(offer, None, None, offer.card.load().build, True)
        if kind == "critic":
            return critics.Subject(offer, "", None, None)
        translator = translators.PORTS["vector"]
        made = importlib.import_module("dragoman_sound_translator.translator").SoundTranslator.build(
            translator, translator
        )
        batch = {"target": torch.ones(3, 6), "condition": torch.ones(3, 6)}
        return methods.Subject(offer, module.SoundMethod(made), batch)

    return make


CHECKS = {"expert": experts, "translator": translators, "critic": critics, "method": methods}


@pytest.mark.parametrize(
    ("kind", "check"), [(kind, check) for kind, module in CHECKS.items() for check in module.CHECKS]
)
def test_what_is_sound_passes(kind, check, subject):
    try:
        CHECKS[kind].CHECKS[check](subject(kind))
    except pytest.skip.Exception:
        assert check in ("draws", "gradient", "inversion")


def wrapped(method, change):
    return lambda self, *args, **kwargs: change(method(self, *args, **kwargs))


def global_noise(value):
    torch.rand(1)
    return value


def ignoring_ports(self, inputs, port, **options):
    return torch.stack([self.embedding.weight[len(text)] for text in inputs])


def moving(self, inputs, port, **options):
    self.embedding.weight.data += 1
    return ignoring_ports(self, inputs, port)


def of_one_loss(change):
    return lambda losses: {name: change(value) for name, value in losses.items()}


#: What is broken (kind, method and how), the check that finds it, and a word of what it says.
FAULTS = {
    "too-narrow": ("expert", "encode", lambda rows: rows[:, 1:], "shapes", r"shape \[7\].*says \[8\]"),
    "double": ("expert", "encode", torch.Tensor.double, "shapes", "float64"),
    "not-finite": ("expert", "encode", lambda rows: rows / 0, "shapes", "not finite"),
    "one-row-less": ("expert", "encode", lambda rows: rows[1:], "shapes", "2 samples for 3"),
    "half": ("expert", "encode", torch.Tensor.bfloat16, "dtype", "bfloat16"),
    "global-generator": ("expert", "encode", global_noise, "determinism", "global generator"),
    "random": ("expert", "encode", lambda rows: rows + id(rows) % 997, "determinism", "twice the same"),
    "of-the-batch": ("expert", "encode", lambda rows: rows - rows.mean(0), "batch", "alone and in a batch"),
    "thawed": ("expert", "freeze", lambda expert: expert.requires_grad_(True), "frozen", "requires gradients"),
    "moving": ("expert", "encode", moving, "frozen", "embedding.weight"),
    "any-port": ("expert", "encode", ignoring_ports, "errors", "no PortError"),
    "scalar-loss": ("critic", "losses", of_one_loss(torch.Tensor.mean), "losses", r"shape \(\)"),
    "other-loss": ("critic", "losses", lambda losses: {"other": losses["blur"]}, "losses", "promises the loss"),
    "detached": ("critic", "losses", of_one_loss(torch.Tensor.detach), "gradient", "no gradient"),
    "relative": ("critic", "losses", of_one_loss(lambda loss: loss - loss.mean()), "batch", "alone and in"),
    "mean-nll": ("translator", "losses", of_one_loss(lambda x: x.mean().expand(len(x))), "losses", "beside others"),
    "shared-nll": ("translator", "losses", of_one_loss(lambda x: x / len(x)), "losses", "alone"),
    "no-draw": ("translator", "sample", torch.zeros_like, "sampling", "every seed"),
    "draws-globally": ("translator", "sample", global_noise, "sampling", "global generator"),
    "narrow-sample": ("translator", "sample", lambda rows: rows[:, 1:], "sampling", r"\[3, 5\], not \[3, 6\]"),
    "summed": ("method", "forward", of_one_loss(torch.Tensor.sum), "losses", "not one value for each"),
    "unmoved": ("method", "forward", of_one_loss(torch.Tensor.detach), "gradient", "no gradient"),
    "unnamed": ("method", "forward", lambda losses: losses["distance"], "losses", "no losses by name"),
    "no-phase": ("method", "phases", lambda phases: [], "phases", "no phase"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, subject, monkeypatch):
    kind, method, change, check, words = FAULTS[fault]
    made = subject(kind)
    network = made.card.load()
    replaced = change if change in (moving, ignoring_ports) else wrapped(getattr(network, method), change)
    monkeypatch.setattr(network, method, replaced)
    with pytest.raises(Exception, match=words):
        CHECKS[kind].CHECKS[check](made)


def test_a_score_above_the_ceiling_is_found(subject, monkeypatch):
    made = subject("critic")
    monkeypatch.setattr(made.card.load(), "ceiling", -100.0)
    with pytest.raises(Exception, match=r"above its ceiling of -100"):
        critics.CHECKS["losses"](made)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"name": "elsewhere"}, "promises the port 'elsewhere'"),
        ({"modality": "map"}, "says modality 'map'"),
        ({"dtype": "float16"}, "says dtype 'float16'"),
        ({"takes": True}, "says takes True"),
        ({"shape": ("rows", "columns")}, "columns"),
    ],
)
def test_a_card_that_lies_about_its_ports_is_found(lie, words, subject):
    made = subject("expert")
    made.card = replace(made.card, ports=(replace(made.card.ports[0], **lie),))
    with pytest.raises(AssertionError, match=words):
        experts.check_ports(made)


def test_pickled_weights_are_found(subject, monkeypatch):
    made = subject("expert")
    monkeypatch.setattr(made.card.load(), "save_pretrained", lambda self, folder: _pickle(self, folder))
    with pytest.raises(AssertionError, match=r"pytorch_model\.bin"):
        experts.check_files(made)


def _pickle(expert, folder):
    folder.mkdir()
    torch.save(expert.state_dict(), folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("source", "words"),
    [("import numpy", "imports.*numpy"), ("print('hello')", "prints 'hello"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_module_that_is_not_light_is_found(source, words, tmp_path, monkeypatch):
    (tmp_path / "not_light_at_all.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match=words):
        assert_light("not_light_at_all")
    assert_light("dragoman_registry")


def test_a_check_to_skip_has_to_exist():
    with pytest.raises(ValueError, match="no check 'gradients'"):
        expert_tests("bert", skip={"gradients": "typing error"})


def test_pytest_learns_of_the_suite_without_torch():
    assert_light("dragoman.testing.plugin")
