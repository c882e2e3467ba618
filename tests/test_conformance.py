"""What the core and the registry offer passes the suite, and everything that the tree offers is put through it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from dragoman.plugins import discover
from dragoman.ports import Port
from dragoman.testing import method_tests, translator_tests
from dragoman.training.paired import Paired
from dragoman_cinn.translator import CINN
from dragoman_registry.chain import Chain

ROOT = Path(__file__).parents[1]
SMALL = {"depth": 2, "width": 16, "embedding": 8, "embedder_width": 12, "embedder_layers": 1}
VECTOR, LATENT = Port("vector", "vector", (6,)), Port("latent", "vector", (4,))
TRAINED = "a chain is made of trained translators"


def chain(source: Port, target: Port) -> Chain:
    parts = [CINN.build(source, LATENT, **SMALL), CINN.build(LATENT, target, **SMALL)]
    return Chain.of(parts, ["cinn", "cinn"])


def paired() -> Paired:
    return Paired(CINN.build(VECTOR, LATENT, **SMALL))


def pairs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"target": torch.randn(5, 4, generator=generator), "condition": torch.randn(5, 6, generator=generator)}


test_chain = translator_tests(
    "chain", source=VECTOR, target=VECTOR, build=chain, skip={"losses": TRAINED, "learning": TRAINED}
)
test_paired = method_tests("paired", paired, pairs)


def _tested() -> set[str]:
    """``kind:name`` of everything that a test of the tree hands to the suite."""
    found = set()
    for path in [*ROOT.glob("tests/test_*.py"), *ROOT.glob("plugins/*/tests/test_*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("_tests"):
                name = node.args[0] if node.args else None
                if isinstance(name, ast.Constant):
                    found.add(f"{node.func.id.removesuffix('_tests')}:{name.value}")
    return found


@pytest.mark.parametrize("plugin", discover().plugins, ids=lambda plugin: plugin.name)
def test_everything_that_the_tree_offers_is_put_through_the_suite(plugin):
    offers = {offer for offer in plugin.offers if offer.split(":")[0] in ("expert", "translator", "critic", "method")}
    assert offers <= _tested()
