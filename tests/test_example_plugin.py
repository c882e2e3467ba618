"""The plugin of the tutorial, installed and used as a stranger's would be: nothing else is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dragoman.scaffold import render
from fresh import Environment

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "dragoman-gpt2"
TUTORIAL = ROOT / "docs" / "tutorial.md"
WRITE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.write_checkpoint(sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_it_is_installed_tested_fused_sampled_and_uninstalled(tmp_path):
    environment = Environment(tmp_path / "venv")
    installed = environment.dragoman("install", EXAMPLE)
    assert installed.returncode == 0, installed.stderr
    tested = environment.run("pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, EXAMPLE / "tests")
    assert tested.returncode == 0, tested.stdout
    (tmp_path / "write.py").write_text(WRITE)
    written = environment.run("write", EXAMPLE / "tests" / "test_expert.py", tmp_path / "gpt2", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    recipe = ["--from", f"gpt2={tmp_path / 'gpt2'}:pooled", "--to", "biggan-fashion", "--steps", 3, "--count", 64]
    fused = environment.dragoman("fuse", *recipe, "--device", "cpu", "--out", tmp_path / "run")
    assert fused.returncode == 0, fused.stderr
    picture = tmp_path / "bag.png"
    sampled = environment.dragoman("sample", tmp_path / "run" / "model", "a red bag", "--out", picture)
    assert (sampled.returncode, picture.is_file()) == (0, True), sampled.stderr
    shown = json.loads(environment.dragoman("show", "gpt2", "--json").stdout)
    assert (shown["licence"], shown["citation"][:7]) == ("mit", "Radford")
    assert environment.dragoman("uninstall", "gpt2").returncode == 0
    missing = environment.dragoman("sample", tmp_path / "run" / "model", "a red bag", "--out", tmp_path / "no.png")
    assert (missing.returncode, "gpt2" in missing.stderr, "Traceback" in missing.stderr) == (1, True, False)


def test_the_tutorial_shows_the_files_as_they_are():
    text = TUTORIAL.read_text()
    shown = dict(re.findall(r"^`dragoman-gpt2/([\w./]+)`\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    for name, content in shown.items():
        assert content == (EXAMPLE / name).read_text(), name


def test_the_template_and_the_files_that_the_tutorial_shows_are_the_whole_plugin(tmp_path):
    """Whoever follows it has nothing left over of the template but README and CI, and misses nothing."""
    template = {path.relative_to(tmp_path / "x").as_posix() for path in render("gpt2", "expert", tmp_path / "x")}
    example = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if "__pycache__" not in path.parts}
    example = {name for name in example if (EXAMPLE / name).is_file()}
    shown = set(re.findall(r"^`dragoman-gpt2/([\w./]+)`$", TUTORIAL.read_text(), re.MULTILINE))
    assert shown == {"pyproject.toml", "dragoman_gpt2/__init__.py", "dragoman_gpt2/expert.py", "tests/test_expert.py"}
    assert template - shown == {"README.md", ".github/workflows/test.yml", "dragoman_gpt2/py.typed"}
    assert example - shown == {"README.md", "dragoman_gpt2/py.typed"}
