"""Endpoints: how they are written, and which port they lead to."""

from __future__ import annotations

import pytest

import dragoman_registry
import tiny_zoo
from dragoman import builtin
from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.errors import InputError, PortError, UnknownNameError
from tiny_zoo import training


class TestSpelling:
    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("bert", ("bert", "", "")),
            ("bert:cls", ("bert", "", "cls")),
            ("bert:hidden.3", ("bert", "", "hidden.3")),
            ("bert=org/name", ("bert", "org/name", "")),
            ("bert=org/name:cls", ("bert", "org/name", "cls")),
            ("bert=org/name@main:cls", ("bert", "org/name@main", "cls")),
            ("dragoman-bert/bert:cls", ("dragoman-bert/bert", "", "cls")),
            ("bert=./a=b:cls", ("bert", "./a=b", "cls")),
            (r"bert=C:\models", ("bert", r"C:\models", "")),
            (r"bert=C:\models:cls", ("bert", r"C:\models", "cls")),
            ("bert=lab:8000/name", ("bert", "lab:8000/name", "")),
            ("bert=lab:8000/name:cls", ("bert", "lab:8000/name", "cls")),
        ],
    )
    def test_is_read_and_written_alike(self, text, parts):
        spec = EndpointSpec.parse(text)
        assert (spec.expert, spec.address, spec.port) == parts
        assert str(spec) == text

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("timm:resnet50.a1_in1k", ("timm", "resnet50.a1_in1k", "")),
            ("timm:resnet50", ("timm", "resnet50", "")),
            ("timm:resnet50.a1_in1k:stage.2", ("timm", "resnet50.a1_in1k", "stage.2")),
            ("timm:pooled", ("timm", "", "pooled")),
            ("vgg16:stage.7", ("vgg16", "", "stage.7")),
            ("nobody:x", ("nobody", "", "x")),
        ],
    )
    def test_what_follows_an_expert_without_a_default_checkpoint_is_one(self, text, parts):
        spec = EndpointSpec.parse(text)
        assert (spec.expert, spec.address, spec.port) == parts
        assert EndpointSpec.parse(str(spec)) == spec

    @pytest.mark.parametrize("text", ["", ":cls", "=org/name", "bert=", "bert:", "bert=:cls", "bert=org/name:", ":"])
    def test_what_is_incomplete_is_one_sentence(self, text):
        with pytest.raises(InputError, match="names no expert; write NAME, NAME:PORT or NAME=ADDRESS:PORT"):
            EndpointSpec.parse(text)


class TestLoading:
    @pytest.fixture(autouse=True)
    def zoo(self, make_zoo):
        return make_zoo(builtin, dragoman_registry, tiny_zoo, (training, training.plugin()))

    @pytest.fixture
    def address(self, tmp_path):
        training.write_experts(tmp_path)
        return lambda name, port="": f"tiny-{name}={tmp_path / name}" + (f":{port}" if port else "")

    def load(self, text, giving):
        return Endpoint.load(EndpointSpec.parse(text), giving=giving)

    def test_finds_expert_and_port(self, address):
        endpoint = self.load(address("text", "tokens"), giving=True)
        assert (endpoint.name, endpoint.port) == ("tiny-text", endpoint.expert.port("tokens"))
        assert endpoint.port.shape == ("T", 6)

    def test_without_a_port_takes_the_first_of_the_right_direction(self, address):
        assert self.load(address("text"), giving=True).port.name == "pooled"
        assert self.load(address("generator"), giving=False).port.name == "z"

    @pytest.mark.parametrize(
        ("name", "port", "giving", "words"),
        [
            ("generator", "z", True, "Port 'z' of 'tiny-generator' does not give; ports that do: none"),
            ("text", "pooled", False, "Port 'pooled' of 'tiny-text' does not take; ports that do: none"),
            ("text", "cls", True, "TinyText has no port 'cls'; its ports are pooled, tokens"),
            ("text", "", False, "Expert 'tiny-text' has no port that can take"),
        ],
    )
    def test_a_port_that_cannot_be_is_one_sentence(self, address, name, port, giving, words):
        with pytest.raises(PortError, match=words):
            self.load(address(name, port), giving)

    def test_an_unknown_expert_is_one_sentence(self):
        with pytest.raises(
            UnknownNameError, match="No installed plugin offers the expert 'tiny-txt'; did you mean 'tiny-text'"
        ):
            load_expert("tiny-txt")

    def test_an_expert_without_checkpoint_says_how_to_name_one(self):
        with pytest.raises(InputError, match="no default checkpoint; write tiny-text=ADDRESS"):
            load_expert("tiny-text")

    def test_the_card_knows_ports_before_anything_is_loaded(self):
        assert EndpointSpec("tiny-text").port_on_card(giving=True).name == "pooled"
        assert EndpointSpec("tiny-generator", port="label").port_on_card(giving=False).modality == "label"
        assert EndpointSpec("tiny-text", port="tokens").port_on_card(giving=True) is None
