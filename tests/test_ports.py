"""Ports fit or do not fit from their descriptions alone, and endpoints name them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dragoman import plugins
from dragoman.cards import ExpertCard
from dragoman.catalogue import Plugin
from dragoman.endpoint import Endpoint, EndpointSpec, load_expert
from dragoman.errors import DragomanError, InputError, PortError, UnknownNameError
from dragoman.ports import MODALITIES, Port, check_fit, choose_port
from dragoman.representation import Representation

VECTOR = Port("pooled", "vector", (384,), gives=True)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (VECTOR, Port("condition", "vector", (384,))),
        (VECTOR, Port("condition", "vector", ("any",))),
        (Port("pooled", "vector", ("hidden",)), Port("condition", "vector", (7,))),
        (Port("tokens", "tokens", ("length", 384)), Port("context", "tokens", (77, 384))),
        (Port("image", "image", (3, 32, 32)), Port("image", "image", (3, "height", "width"))),
        (Port("label", "label", (), "int64"), Port("class", "label", (), "int64")),
        (VECTOR, replace(VECTOR, normalisation="unit norm", summary="other words")),
    ],
)
def test_ports_that_fit(given, taken):
    check_fit(given, "a", taken, "b")
    check_fit(taken, "b", given, "a")


@pytest.mark.parametrize(
    ("given", "taken", "words"),
    [
        (VECTOR, Port("z", "vector", (128,)), ["pooled", "z", "[384]", "[128]"]),
        (VECTOR, Port("text", "text"), ["vector [384]", "text []"]),
        (VECTOR, Port("z", "vector", (384,), "float64"), ["float32", "float64"]),
        (VECTOR, Port("z", "vector", (384, 1)), ["[384]", "[384, 1]"]),
        (Port("image", "image", (1, "h", "w")), Port("image", "image", (3, "h", "w")), ["[1, h, w]", "[3, h, w]"]),
    ],
)
def test_ports_that_do_not_fit_are_named_with_their_experts_and_shapes(given, taken, words):
    with pytest.raises(PortError) as caught:
        check_fit(given, "bert", taken, "biggan")
    assert all(word in str(caught.value) for word in ["bert", "biggan", *words])


def test_a_modality_has_to_be_known():
    with pytest.raises(PortError, match=r"'smell'.*vector"):
        Port("nose", "smell")


@pytest.mark.parametrize("modality", MODALITIES)
def test_ports_survive_json(modality):
    port = Port("p", modality, ("n", 3), "float16", "unit norm", gives=True, takes=True, summary="s")
    assert Port.from_dict(json.loads(json.dumps(port.to_dict()))) == port


def test_an_unknown_field_of_a_port_is_an_error():
    with pytest.raises(TypeError, match="colour"):
        Port.from_dict(VECTOR.to_dict() | {"colour": "red"})


def test_a_missing_port_names_those_that_exist():
    with pytest.raises(PortError, match=r"bert has no port 'pool'.*pooled, cls"):
        choose_port({"pooled": VECTOR, "cls": VECTOR}, "pool", "bert")
    with pytest.raises(PortError, match="none"):
        choose_port({}, "pool", "bert")


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("bert", EndpointSpec("bert")),
        ("bert:cls", EndpointSpec("bert", port="cls")),
        ("dragoman-bert/bert:cls", EndpointSpec("dragoman-bert/bert", port="cls")),
        ("bert=google-bert/bert-base-uncased", EndpointSpec("bert", "google-bert/bert-base-uncased")),
        ("bert=./runs/a@main:hidden.3", EndpointSpec("bert", "./runs/a@main", "hidden.3")),
    ],
)
def test_endpoints_are_read_and_written_alike(text, spec):
    assert EndpointSpec.parse(text) == spec
    assert str(spec) == text


@pytest.mark.parametrize("text", ["", ":cls", "=folder", "=folder:cls"])
def test_an_endpoint_without_an_expert_is_refused(text):
    with pytest.raises(InputError, match="names no expert"):
        EndpointSpec.parse(text)


class TestEndpoint:
    @pytest.fixture(autouse=True)
    def expert(self, monkeypatch, tmp_path):
        """A zoo with one expert, ``two-way``, that gives at one port and takes at another."""
        from dragoman.expert import Expert

        class TwoWay(Expert):
            @classmethod
            def describe(cls, config):
                return {"in": Port("in", "vector", (2,), takes=True), "out": Port("out", "vector", (3,), gives=True)}

            @classmethod
            def from_pretrained(cls, address, **where):
                return cls({"address": address})

            def encode(self, inputs, port, *, generator=None) -> Representation:
                raise NotImplementedError

        zoo = plugins.Zoo()
        plugin = Plugin("test", "test", "1")
        monkeypatch.setattr(ExpertCard, "load", lambda card: TwoWay)
        zoo.experts.add(ExpertCard("two-way", "a:B", "", repo="default"), plugin)
        zoo.experts.add(ExpertCard("no-default", "a:B", ""), plugin)
        monkeypatch.setattr("dragoman.endpoint.zoo", lambda: zoo)

    @pytest.mark.parametrize(("giving", "port"), [(True, "out"), (False, "in")])
    def test_the_port_follows_from_the_direction(self, giving, port):
        endpoint = Endpoint.load(EndpointSpec("two-way"), giving=giving)
        assert (endpoint.port.name, endpoint.expert.config) == (port, {"address": "default"})

    def test_a_port_of_the_other_direction_is_refused(self):
        with pytest.raises(PortError, match=r"'in' of 'two-way' does not give.*out"):
            Endpoint.load(EndpointSpec("two-way", port="in"), giving=True)

    def test_an_address_replaces_the_default(self):
        assert load_expert("two-way", "mine").config == {"address": "mine"}

    @pytest.mark.parametrize(
        ("spec", "error", "words"),
        [
            ("three-way", UnknownNameError, "'three-way'.*'two-way'"),
            ("two-way:side", PortError, "side"),
            ("no-default", InputError, "no-default=ADDRESS"),
        ],
    )
    def test_what_is_missing_is_named(self, spec, error, words):
        with pytest.raises(error, match=words) as caught:
            Endpoint.load(EndpointSpec.parse(spec), giving=True)
        assert isinstance(caught.value, DragomanError)
