"""New plugins from templates: what is written works as it stands."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from click.testing import CliRunner

from dragoman import __version__
from dragoman.cli.main import main
from dragoman.errors import InputError
from dragoman.plugins import discover
from dragoman.requirement import fits
from dragoman.scaffold import KINDS, render
from fresh import Environment


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_installed_passes_its_own_tests_and_is_uninstalled(kind, tmp_path):
    environment = Environment(tmp_path / "venv")
    folder = tmp_path / "dragoman-made-up"
    assert environment.dragoman("new", "plugin", "made-up", "--kind", kind, "--out", folder).returncode == 0
    installed = environment.dragoman("install", folder)
    assert installed.returncode == 0, installed.stderr
    tested = environment.run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"\d+ passed", tested.stdout)
    rows = {row["name"]: row for row in json.loads(environment.dragoman("plugins", "--json").stdout)}
    assert (rows["made-up"]["state"], rows["made-up"]["offers"]) == ("ok", [f"{kind}:made-up"])
    assert environment.dragoman("uninstall", "made-up").returncode == 0
    assert "made-up" not in environment.dragoman("plugins").stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_complete(kind, tmp_path):
    written = render("two-words", kind, tmp_path / "out")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in written}
    package = {f"dragoman_two_words/{name}" for name in ("__init__.py", "py.typed", f"{kind}.py")}
    assert names == package | {"pyproject.toml", "README.md", ".github/workflows/test.yml", f"tests/test_{kind}.py"}
    for path in written:
        assert not re.search(r"MY_|MyClass", path.read_text()), path
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")
    project = tomllib.loads((tmp_path / "out" / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["entry-points"]["dragoman"]) == (
        "dragoman-two-words",
        {"two-words": "dragoman_two_words"},
    )
    assert fits(__version__, project["dependencies"][0].removeprefix("dragoman"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_is_discovered_and_its_class_loads(kind, tmp_path, monkeypatch):
    render(f"found-{kind}", kind, tmp_path)
    info = tmp_path / f"dragoman_found_{kind}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: dragoman-found-{kind}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[dragoman]\nfound-{kind} = dragoman_found_{kind}\n")
    monkeypatch.syspath_prepend(tmp_path)
    zoo = discover([str(tmp_path)])
    assert [(plugin.state, plugin.offers) for plugin in zoo.plugins] == [("ok", [f"{kind}:found-{kind}"])]
    (catalogue,) = (catalogue for catalogue in zoo.catalogues if len(catalogue))
    assert catalogue[f"found-{kind}"].load().__name__ == f"Found{kind.capitalize()}"


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-x", "1st", "a--b", "../x", "dragoman-"])
def test_odd_names_are_refused(name, tmp_path):
    with pytest.raises(InputError, match="no name for a plugin"):
        render(name, "expert", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "mine.py").write_text("precious")
    ran = CliRunner().invoke(main, ["new", "plugin", "x", "--out", str(tmp_path)])
    assert (ran.exit_code, "holds something already" in ran.output) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_the_prefix_is_not_doubled(tmp_path):
    render("dragoman-x", "critic", tmp_path / "out")
    assert (tmp_path / "out" / "dragoman_x" / "critic.py").is_file()
