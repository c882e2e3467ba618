"""A plugin for tests: an expert with a port that gives and takes, so that translators can meet there."""

from __future__ import annotations

from collections.abc import Callable

from dragoman import ExpertCard, Port, hookimpl


@hookimpl
def register_experts(register: Callable[[ExpertCard], None]) -> None:
    code = Port("code", "vector", ("code",), gives=True, takes=True)
    register(ExpertCard("tiny-relay", "tiny_zoo.relay:TinyRelay", "One linear layer both ways", (code,), licence="mit"))
    register(ExpertCard("tiny-relay-two", "tiny_zoo.relay:TinyRelay", "The same network, trained otherwise", (code,)))
