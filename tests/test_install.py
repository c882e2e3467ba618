"""Plugins that come and go: in real environments, by the real installer."""

from __future__ import annotations

import json
import re
import sys
import sysconfig
from shutil import which

import pytest

from dragoman import installer, switches
from dragoman.cards import ExpertCard
from dragoman.errors import PluginError
from dragoman.plugins import discover
from dragoman.ports import Port
from dragoman.requirement import fits, requirement_of
from dragoman.scaffold import render
from fresh import PATH, Environment, wheel
from plugin_fixtures import dragoman, install, offering

HOOK = "from dragoman import CriticCard, ExpertCard, hookimpl\n@hookimpl\n"
UNSTOPPABLE = "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass\n"
FOREVER = "import time\nwhile True:\n    try: time.sleep(9)\n    except Exception: pass\n"
#: Source of the module, versions of Dragoman it asks for, state, and a word of the reason.
BROKEN = {
    "import-error": ("import not_installed_anywhere", "", "broken", "ModuleNotFoundError"),
    "syntax-error": ("def (", "", "broken", "SyntaxError"),
    "takes-for-ever": (FOREVER, "", "broken", "more than 2 seconds"),
    "unstoppable": (UNSTOPPABLE, "", "broken", "does not let itself be interrupted"),
    "ends-all": ("import os\nos._exit(0)", "", "broken", "ends the process"),
    "wrong-signature": (HOOK + "def register_experts(register, colour): pass", "", "incompatible", "colour"),
    "unknown-hook": (HOOK + "def register_unicorns(register): pass", "", "incompatible", "register_unicorns"),
    "hook-raises": (HOOK + "def register_experts(register): 1 / 0", "", "broken", "ZeroDivisionError"),
    "hook-for-ever": (HOOK + "def register_experts(register):\n    while True: pass", "", "broken", "more than 2 sec"),
    "no-card": (HOOK + "def register_experts(register): register(1)", "", "broken", "ExpertCard"),
    "duplicate-name": (offering("bert"), "", "conflict", "dragoman-bert"),
    "newer-dragoman": ("1 / 0", ">=99", "incompatible", "needs dragoman>=99"),
}


#: Those that stop whatever loads the zoo, until they are disabled.
DEADLY = {"unstoppable", "ends-all"}
#: What a card can promise in vain: a word in its file and another one, the file, and what is said when it is used.
LIES = {
    "port": ("__init__", 'Port("pooled"', 'Port("summary"', "liar has no port 'summary'; its ports are pooled"),
    "shape": ("expert", "torch.stack(rows)", "torch.stack(rows)[:, 1:]", "has shape [7] for each sample, but its port"),
    "modality": ("expert", "torch.stack(rows)", '["text"]', "is no vector, as its port says"),
}


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Environment:
    return Environment(tmp_path_factory.mktemp("environment") / "venv")


def states(environment: Environment, **variables: str) -> dict[str, dict[str, str]]:
    ran = environment.dragoman("plugins", "--json", **variables)
    assert ran.returncode == 0, ran.stderr
    return {row["name"]: row for row in json.loads(ran.stdout)}


@pytest.mark.parametrize("case", BROKEN)
def test_whatever_is_broken_nothing_else_is_and_it_can_be_uninstalled(case, environment, tmp_path):
    source, requires, state, word = BROKEN[case]
    assert environment.dragoman("install", wheel(tmp_path, f"x-{case}", source, requires=requires)).returncode == 0
    limit = {"DRAGOMAN_PLUGIN_SECONDS": "2"}
    plugins = states(environment, **limit)
    assert (plugins[f"x-{case}"]["state"], plugins["biggan"]["state"]) == (state, "ok")
    assert word in plugins[f"x-{case}"]["reason"]
    if case in DEADLY:
        assert environment.dragoman("disable", f"x-{case}").returncode == 0
    listed = environment.dragoman("experts", **limit)
    assert (listed.returncode, "biggan" in listed.stdout) == (0, True)
    assert environment.dragoman("--help").returncode == 0
    gone = environment.dragoman("uninstall", f"x-{case}")
    assert (gone.returncode, gone.stdout) == (0, "")
    left = states(environment)
    assert (f"x-{case}" in left, left["bert"]["state"]) == (False, "ok")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("lie", LIES)
def test_a_card_that_lies_is_found_out_by_its_tests_and_when_it_is_used(lie, environment, tmp_path):
    file, true, false, said = LIES[lie]
    folder = tmp_path / "dragoman-liar"
    render("liar", "expert", folder)
    path = folder / "dragoman_liar" / f"{file}.py"
    path.write_text(path.read_text().replace(true, false))
    assert environment.dragoman("install", folder).returncode == 0
    tested = environment.run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert (tested.returncode, re.search(r"test_conformance\[(ports|shapes)\]", tested.stdout) is not None) == (1, True)
    write = (
        "import sys; sys.path[:0] = ['tests']; import pathlib, test_expert as t; t.write_checkpoint(pathlib.Path('w'))"
    )
    (tmp_path / "write.py").write_text(write)
    assert environment.run("write", cwd=folder, PYTHONPATH=str(tmp_path)).returncode == 0
    port = "summary" if lie == "port" else "pooled"
    recipe = ["--from", f"liar={folder / 'w'}:{port}", "--to", "biggan-fashion", "--steps", 1, "--count", 8]
    used = environment.dragoman("fuse", *recipe, "--device", "cpu", "--out", tmp_path / "run")
    assert (used.returncode, "Traceback" in used.stderr) == (1, False), used.stderr
    assert said.lower() in used.stderr.lower()
    assert states(environment)["bert"]["state"] == "ok"
    assert environment.dragoman("uninstall", "liar").returncode == 0


@pytest.mark.parametrize("maker", ["pip", "uv"])
def test_a_frozen_list_installs_again_and_switches_survive(maker, environment, tmp_path):
    """By pip where venv made the environment, and by uv where uv did."""
    if maker == "uv":
        if which("uv", path=PATH) is None:
            pytest.skip("uv is not installed")
        environment = Environment(tmp_path / "venv", maker="uv")
    path = wheel(tmp_path, "x-listed", offering("listed"))
    installed = environment.dragoman("install", path)
    assert installed.returncode == 0, installed.stderr
    assert "Installed x-listed 1.0; `dragoman plugins`" in installed.stderr
    again = environment.dragoman("install", path)
    assert (again.returncode, "no plugin came" in again.stderr) == (0, True)
    site = next(environment.folder.glob("lib/python*/site-packages"))
    assert (site / "x_listed-1.0.dist-info" / "INSTALLER").read_text().strip() == maker
    frozen = environment.dragoman("plugins", "freeze").stdout
    mine = [line for line in frozen.splitlines() if "x-listed" in line]
    assert mine == [f"x-listed @ {path.as_uri()}"]
    assert environment.dragoman("disable", "x-listed").returncode == 0
    assert states(environment)["x-listed"]["state"] == "disabled"
    environment.dragoman("uninstall", "x-listed")
    assert "`dragoman enable x-listed`" in environment.dragoman("install", path).stderr
    assert "listed" not in environment.dragoman("experts").stdout
    assert environment.dragoman("enable", "x-listed").returncode == 0
    assert "listed" in environment.dragoman("experts").stdout
    assert environment.dragoman("uninstall", "x-listed").returncode == 0
    assert "x-listed" not in states(environment)
    (tmp_path / "plugins.txt").write_text(mine[0])
    assert environment.dragoman("install", "-r", tmp_path / "plugins.txt").returncode == 0
    assert "listed" in environment.dragoman("experts").stdout
    assert environment.dragoman("uninstall", "x-listed").returncode == 0


def test_an_installer_that_fails_is_one_sentence(environment):
    failed = environment.dragoman("install", "no-such-distribution-anywhere")
    assert failed.returncode == 1
    assert "Error: pip install failed with status 1" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_recovery_imports_no_plugin(tmp_path):
    """The module writes a file when it is imported; none of these commands makes it appear."""
    install(tmp_path, "x-tells", f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    commands = ["--help", "--version", "plugins freeze", "install", "install --help", "uninstall nobody"]
    for command in [*commands, "enable nobody", "disable nobody", "plugins --help", "new --help"]:
        ran = dragoman(*command.split(), site=tmp_path)
        assert "Traceback" not in ran.stderr
        assert not (tmp_path / "imported").exists(), command
    dragoman("experts", site=tmp_path)
    assert (tmp_path / "imported").exists()


def test_freezing_names_versions_addresses_and_editable_folders(tmp_path):
    origins = {
        "a-index": None,
        "b-file": {"url": "file:///tmp/b.whl", "archive_info": {}},
        "c-editable": {"url": "file:///tmp/c", "dir_info": {"editable": True}},
        "d-git": {"url": "https://host/d", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
        "e-odd": "no json",
    }
    for name, origin in origins.items():
        install(tmp_path, name, "1 / 0", version="2.5")
        info = tmp_path / f"{name.replace('-', '_')}-2.5.dist-info"
        if origin:
            (info / "direct_url.json").write_text(origin if isinstance(origin, str) else json.dumps(origin))
    lines = dragoman("plugins", "freeze", site=tmp_path).stdout.splitlines()
    expected = ["a-index==2.5", "b-file @ file:///tmp/b.whl", "-e file:///tmp/c"]
    expected += ["d-git @ git+https://host/d@abc", "e-odd==2.5"]
    assert [line for line in lines if line in expected] == expected
    assert not [line for line in lines if line.startswith("dragoman==")]


class TestInstaller:
    @pytest.fixture
    def prefix(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def tools(self, monkeypatch):
        """Choose which installers there are."""

        def choose(*, uv: bool, pip: bool) -> None:
            monkeypatch.setattr("shutil.which", lambda name: "/bin/uv" if uv and name == "uv" else None)
            monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if pip and name == "pip" else None)

        return choose

    def test_uv_where_uv_made_the_environment(self, prefix, tools):
        (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\n")
        tools(uv=True, pip=True)
        assert installer.installer("install") == ["/bin/uv", "pip", "install", "--python", sys.executable]

    def test_pip_where_venv_made_it(self, prefix, tools):
        (prefix / "pyvenv.cfg").write_text("home = /usr/bin\nprompt = uv\n")
        tools(uv=True, pip=True)
        assert installer.installer("uninstall")[:3] == [sys.executable, "-m", "pip"]
        assert installer.installer("uninstall")[-1] == "--yes"

    def test_whatever_is_there_otherwise(self, prefix, tools):
        tools(uv=True, pip=False)
        assert installer.installer("install")[0] == "/bin/uv"
        (prefix / "pyvenv.cfg").write_text("uv = 0.9.1\n")
        tools(uv=False, pip=True)
        assert "pip" in installer.installer("install")

    def test_neither_is_one_sentence_with_the_way_out(self, prefix, tools):
        tools(uv=False, pip=False)
        with pytest.raises(PluginError, match="ensurepip"):
            installer.installer("install")
        (prefix / "pyvenv.cfg").write_text("uv = 0.9.1\n")
        with pytest.raises(PluginError, match="put uv on PATH"):
            installer.installer("install")

    def test_an_environment_of_the_operating_system_is_left_alone(self, prefix, monkeypatch):
        (prefix / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(prefix))
        installer.check_environment()  # an environment made from it is not managed
        monkeypatch.setattr(sys, "base_prefix", str(prefix))
        with pytest.raises(PluginError, match=r"operating system manages .*python3 -m venv"):
            installer.run_installer("install", ["x"])

    @pytest.mark.parametrize(
        ("receipt", "hint"),
        [
            ("uv-receipt.toml", "uv tool install dragoman --with a --with b"),
            ("pipx_metadata.json", "inject dragoman a b"),
        ],
    )
    def test_tools_that_forget_plugins_get_a_hint(self, prefix, receipt, hint):
        assert installer.keeping_hint(["a", "b"]) == ""
        (prefix / receipt).write_text("")
        assert hint in installer.keeping_hint(["a", "b"])


class TestSwitches:
    @pytest.fixture(autouse=True)
    def prefix(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
        monkeypatch.delenv("DRAGOMAN_DISABLE", raising=False)
        return tmp_path / "env"

    def test_what_is_switched_off_is_not_imported_until_it_is_on_again(self, tmp_path):
        install(tmp_path, "x-off", "1 / 0")
        switches.switch("X_off", on=False)
        plugin = discover([str(tmp_path)]).plugins[0]
        assert (plugin.state, plugin.reason) == ("disabled", "switched off by `dragoman disable x_off`")
        switches.switch("x-off", on=True)
        assert discover([str(tmp_path)]).plugins[0].state == "broken"

    def test_the_names_of_others_stay(self):
        for name in ("a", "b"):
            switches.switch(name, on=False)
        switches.switch("a", on=True)
        assert switches.switched_off() == {"b"}

    def test_an_environment_that_cannot_be_written_is_one_sentence(self, prefix):
        prefix.write_text("a file where a folder has to be")
        with pytest.raises(PluginError, match=r"cannot be written.*DRAGOMAN_DISABLE=bert"):
            switches.switch("bert", on=False)


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("0.1.0", "", True),
        ("0.1.0", ">=0.1,<0.2", True),
        ("0.2", "<0.2", False),
        ("0.2.0", "==0.2", True),
        ("0.10", ">=0.9", True),
        ("0.1", "~=0.1.3", False),
        ("0.1.4", "~=0.1.3", True),
        ("0.2.0", "~=0.1.3", False),
        ("0.1", "!=0.1", False),
        ("0.1", "==0.*", True),  # not understood, so the installer's judgement counts
    ],
)
def test_versions_are_compared_as_numbers(version, specifier, expected):
    assert fits(version, specifier) is expected


def test_plain_comparisons_agree_with_packaging():
    from packaging.specifiers import SpecifierSet

    versions = ["0.0.9", "0.1", "0.1.0", "0.1.3", "0.2", "0.10.1", "1.0", "2"]
    for comparison in (">=", "<=", ">", "<", "==", "!=", "~="):
        for bound in ("0.1", "0.1.3", "0.10", "1.0"):
            for version in versions:
                specifier = f"{comparison}{bound}"
                assert fits(version, specifier) == SpecifierSet(specifier).contains(version), (version, specifier)


def test_the_requirement_of_another_project_is_not_ours():
    metadata = "Requires-Dist: dragoman-bert>=3\nRequires-Dist: Dragoman (<0.2,>=0.1) ; python_version > '3'\n"
    assert requirement_of(metadata) == "<0.2,>=0.1"
    assert requirement_of("Requires-Dist: dragoman\n") == ""


@pytest.mark.parametrize("source", [FOREVER, HOOK + "def register_experts(register):\n    while True: pass"])
def test_a_plugin_that_takes_for_ever_is_interrupted(source, tmp_path):
    install(tmp_path, "x-slow", source)
    install(tmp_path, "zz-good", offering("still-there"))
    listed = dragoman("experts", site=tmp_path, DRAGOMAN_PLUGIN_SECONDS="0.5")
    assert (listed.returncode, "still-there" in listed.stdout) == (0, True)
    assert "more than 0.5 seconds" in listed.stderr


def test_experts_are_filtered_by_what_they_read_and_by_ports(make_zoo, tmp_path):
    from types import ModuleType

    from click.testing import CliRunner

    from dragoman.cli.main import main
    from dragoman.hookspecs import hookimpl

    module = ModuleType("filtered")
    pooled, z, image = Port("pooled", "vector", (4,)), Port("z", "vector", (4,)), Port("image", "image", (3, 8, 8))
    cards = [
        ExpertCard("writer", "a:B", "", (pooled,), reads=("text",)),
        ExpertCard("painter", "a:B", "", (z, image)),
        ExpertCard("seer", "a:B", "", (pooled,), reads=("image",)),
    ]
    module.register_experts = hookimpl(lambda register: [register(card) for card in cards] and None)
    module.register_experts.__name__ = "register_experts"
    make_zoo(module)

    def names(*arguments: str) -> list[str]:
        ran = CliRunner().invoke(main, ["experts", "--json", *arguments])
        return [row["name"] for row in json.loads(ran.stdout)]

    assert names("--modality", "text") == ["writer"]
    assert names("--modality", "image") == ["painter", "seer"]
    assert names("--port", "pooled") == ["writer", "seer"]
    assert names("--port", "pooled", "--modality", "image") == ["seer"]
    assert names("--port", "nothing") == []
