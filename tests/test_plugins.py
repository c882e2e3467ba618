"""Discovery: every way in which a plugin can be broken stays with that plugin."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import re
import shutil
import subprocess
import sys
import textwrap
import types
import venv
from pathlib import Path

import click
import pluggy
import pytest

from dragoman import cards, hookspecs
from dragoman.cards import ExpertCard
from dragoman.catalogue import Plugin
from dragoman.entrypoints import entry_points
from dragoman.errors import PluginError, UnknownNameError
from dragoman.hookspecs import hookimpl
from dragoman.plugins import Zoo, discover
from plugin_fixtures import dragoman, install, offering

ROOT = Path(__file__).parents[1]
SPECS = sorted(name for name in hookspecs.__all__ if name.startswith("register_"))
HOOK = "from dragoman import CriticCard, ExpertCard, hookimpl\n@hookimpl\n"
EXPERTS = HOOK + "def register_experts(register): "

#: Source of the module, state, and a word of the reason.
BROKEN = {
    "import-error": ("import not_installed_anywhere", "broken", "ModuleNotFoundError"),
    "syntax-error": ("def (", "broken", "SyntaxError"),
    "raises": ("1 / 0", "broken", "ZeroDivisionError"),
    "system-exit": ("raise SystemExit(3)", "broken", "SystemExit"),
    "base-exception": ("class Odd(BaseException): pass\nraise Odd('x')", "broken", "Odd"),
    "wrong-signature": (HOOK + "def register_experts(register, colour): pass", "incompatible", "colour"),
    "unknown-hook": (HOOK + "def register_unicorns(register): pass", "incompatible", "register_unicorns"),
    "hook-raises": (EXPERTS + "raise ValueError('odd\\nday')", "broken", "odd day"),
    "hook-exits": (EXPERTS + "raise SystemExit", "broken", "SystemExit"),
    "half-way": (offering("half") + "    raise ValueError('then')", "broken", "then"),
    "wrong-card": (EXPERTS + "register(CriticCard('a', 'b:c', ''))", "broken", "ExpertCard"),
    "no-card": (EXPERTS + "register('bert')", "broken", "'bert'"),
    "odd-name": (offering("a/b"), "broken", "a/b"),
    "empty-name": (offering(""), "broken", "name"),
    "odd-target": (EXPERTS + "register(ExpertCard('a', 'b', ''))", "broken", "module:Class"),
    "odd-port": (EXPERTS + "register(ExpertCard('a', 'b:c', '', ports=('z',)))", "broken", "Port"),
    "twice": (offering("same", "same"), "broken", "twice"),
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder for distributions, on the import path while the test runs."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def found_in(site: Path) -> dict[str, Plugin]:
    return {plugin.name: plugin for plugin in discover([str(site)]).plugins}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_harms_only_itself(site, case):
    source, state, word = BROKEN[case]
    install(site, "aaa-good", offering("first"))
    install(site, "mmm-bad", source)
    install(site, "zzz-good", offering("last"))
    zoo = discover([str(site)])
    assert list(zoo.experts) == ["first", "last"]
    bad = next(plugin for plugin in zoo.plugins if plugin.distribution == "mmm-bad")
    assert (bad.state, bad.offers) == (state, [])
    assert word in bad.reason
    assert "\n" not in bad.reason


@pytest.mark.parametrize("case", [case for case in BROKEN if "register" in BROKEN[case][0]])
def test_a_broken_module_harms_only_itself_in_process(case):
    source, state, word = BROKEN[case]
    bad, good = types.ModuleType("bad"), types.ModuleType("good")
    exec(source, bad.__dict__)
    exec(offering("good"), good.__dict__)
    zoo, broken = Zoo(), Plugin("bad", "bad", "1")
    zoo.add(bad, broken)
    zoo.add(good, Plugin("good", "good", "1"))
    assert (broken.state, list(zoo.experts)) == (state, ["good"])
    assert word in broken.reason


def test_the_command_line_lives_with_all_broken_plugins_at_once(tmp_path):
    for case, (source, _, _) in BROKEN.items():
        install(tmp_path, f"bad-{case}", source)
    install(tmp_path, "good", offering("made-up-expert"))
    plugins = dragoman("plugins", "--json", site=tmp_path)
    assert (plugins.returncode, "Traceback" in plugins.stderr) == (0, False)
    states = {plugin["distribution"]: plugin["state"] for plugin in json.loads(plugins.stdout)}
    assert {f"bad-{case}": state for case, (_, state, _) in BROKEN.items()}.items() <= states.items()
    experts = dragoman("experts", site=tmp_path)
    assert (experts.returncode, "made-up-expert" in experts.stdout) == (0, True)
    assert "ZeroDivisionError" in experts.stderr


def test_an_interrupt_during_discovery_is_not_swallowed(site):
    install(site, "interrupts", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover([str(site)])


def test_what_a_plugin_prints_does_not_reach_stdout(site, capsys):
    install(site, "chatty", "print('hello')\n" + offering("talker"))
    discover([str(site)])
    assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize("name", ["quiet", "dragoman-quiet", "dragoman_quiet", " other , quiet"])
def test_a_disabled_plugin_is_not_imported(site, monkeypatch, name):
    install(site, "dragoman-quiet", "raise SystemExit('imported')")
    assert found_in(site)["quiet"].state == "broken"
    monkeypatch.setenv("DRAGOMAN_DISABLE", name)
    plugin = found_in(site)["quiet"]
    assert (plugin.state, "DRAGOMAN_DISABLE" in plugin.reason) == ("disabled", True)


def test_disabling_one_plugin_leaves_the_others(site, monkeypatch):
    install(site, "one", offering("a"))
    install(site, "two", offering("b"))
    monkeypatch.setenv("DRAGOMAN_DISABLE", "one,,")
    assert list(discover([str(site)]).experts) == ["b"]


class TestConflict:
    @pytest.fixture(params=[("alpha", "beta"), ("beta", "alpha")], ids=["alpha-first", "beta-first"])
    def zoo(self, site, request):
        first, second = request.param
        install(site, first, offering("bert", f"only-{first}"), version="1.0", plugin="a")
        install(site, second, offering("bert", f"only-{second}"), version="2.5", plugin="b")
        return discover([str(site)])

    def test_the_plain_name_names_both_and_the_ways_out(self, zoo):
        with pytest.raises(PluginError, match="'bert'") as caught:
            zoo.experts.find("bert")
        words = ["alpha", "beta", "1.0", "2.5", "'alpha/bert'", "'beta/bert'"]
        assert all(word in str(caught.value) for word in words)
        assert not isinstance(caught.value, UnknownNameError)

    def test_qualified_names_settle_it(self, zoo):
        assert zoo.experts.find("alpha/bert").plugin.distribution == "alpha"
        assert zoo.experts["beta/bert"] is zoo.experts.find("beta/bert").card

    def test_the_rest_of_both_stays_reachable(self, zoo):
        assert {"only-alpha", "only-beta", "alpha/bert", "beta/bert"} == set(zoo.experts)
        assert "bert" not in zoo.experts
        assert "only-alpha" in zoo.experts

    def test_both_plugins_show_it(self, zoo):
        assert [plugin.state for plugin in zoo.plugins] == ["conflict", "conflict"]
        assert all("alpha 1.0" in plugin.reason or "alpha 2.5" in plugin.reason for plugin in zoo.plugins)
        assert all("expert:bert" in plugin.offers for plugin in zoo.plugins)


def test_one_distribution_cannot_offer_a_qualified_name_twice(site):
    module = install(site, "double", offering("bert"))
    (site / "double_2.py").write_text(offering("bert"))
    entries = f"[dragoman]\nfirst = {module}\nsecond = double_2\n"
    (site / "double-1.0.dist-info" / "entry_points.txt").write_text(entries)
    zoo = discover([str(site)])
    assert [plugin.state for plugin in zoo.plugins] == ["ok", "broken"]
    assert zoo.experts.find("bert") is zoo.experts.find("double/bert")


def test_one_name_in_two_kinds_is_no_conflict(site):
    source = HOOK + "def register_critics(register): register(CriticCard('clip', 'a:B', ''))"
    install(site, "one", source)
    install(site, "two", offering("clip"))
    zoo = discover([str(site)])
    assert {plugin.state for plugin in zoo.plugins} == {"ok"}
    assert zoo.critics.find("clip").plugin is not zoo.experts.find("clip").plugin


def test_an_unknown_name_gets_a_suggestion_and_the_plugins_that_failed(site):
    install(site, "one", offering("biggan"))
    install(site, "two", "1 / 0")
    with pytest.raises(UnknownNameError, match=r"'bigan'.*did you mean 'biggan'.*two \(broken\)"):
        discover([str(site)]).experts.find("bigan")


@pytest.mark.parametrize(
    ("source", "word"),
    [("import not_installed_anywhere", "not_installed_anywhere"), ("1 / 0", "ZeroDivisionError"), ("", "Gone")],
)
def test_a_target_that_does_not_load_is_one_sentence(site, source, word):
    (site / "target_module.py").write_text(source)
    card = ExpertCard("bert", "target_module:Gone", "")
    with pytest.raises(PluginError, match=f"'bert'.*target_module:Gone.*{word}"):
        card.load()


def test_entry_points_agree_with_importlib_metadata():
    for group in ("dragoman", "dragoman.commands", "console_scripts"):
        known = importlib.metadata.entry_points(group=group)
        expected = {(entry.name, entry.value, entry.dist.name, entry.dist.version) for entry in known}
        read = {(e.name, e.value, e.distribution, e.version) for e in entry_points(group)}
        assert read == expected
        assert expected


def test_the_first_folder_with_a_distribution_wins(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, version in ((old, "1.0"), (new, "2.0")):
        folder.mkdir()
        install(folder, "Some-Plugin", offering("x"), version=version)
    assert [entry.version for entry in entry_points("dragoman", [str(new), str(old)])] == ["2.0"]
    assert [entry.version for entry in entry_points("dragoman", [str(old), str(new)])] == ["1.0"]


def test_odd_metadata_are_survived(site):
    install(site, "odd", offering("x"))
    info = site / "odd-1.0.dist-info"
    info.joinpath("entry_points.txt").write_bytes(b"\xff\n# a = b\n; c = d\nx\n[dragoman]\n\n odd  =  odd [extra] \n")
    info.joinpath("METADATA").unlink()
    site.joinpath("empty-1.dist-info").mkdir()
    site.joinpath("file.dist-info").write_text("")
    plugins = discover([str(site / "missing"), str(site)]).plugins
    assert [(plugin.name, plugin.state, plugin.version) for plugin in plugins] == [("odd", "ok", "0")]


def test_without_its_metadata_a_plugin_is_gone_and_nothing_else(tmp_path):
    """What ``pip uninstall`` leaves, in process: the metadata folder decides."""
    installed = {entry.distribution for entry in entry_points("dragoman")}
    assert {"dragoman", "dragoman-bert"} <= installed
    for name in installed:
        folder = Path(importlib.metadata.distribution(name)._path)
        shutil.copytree(folder, tmp_path / folder.name)
    everything = offers_by_distribution(tmp_path)
    shutil.rmtree(next(tmp_path.glob("dragoman_bert-*")))
    del everything["dragoman-bert"]
    assert offers_by_distribution(tmp_path) == everything


def offers_by_distribution(site: Path) -> dict[str, set[str]]:
    offers: dict[str, set[str]] = {}
    for plugin in discover([str(site)]).plugins:
        offers.setdefault(plugin.distribution, set()).update(plugin.offers)
    return offers


def test_pip_uninstall_takes_one_plugin_and_nothing_else(tmp_path):
    """From wheels, in an environment without torch: listing needs click and pluggy alone."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    for package in (click, pluggy):
        (site / package.__name__).symlink_to(Path(package.__file__).parent)
    pip = [sys.executable, "-m", "pip", "--quiet"]
    projects = [str(ROOT), *(str(ROOT / "plugins" / name) for name in ("bert", "biggan", "cinn"))]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, *projects], check=True)
    pip += ["--python", str(python)]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", *tmp_path.glob("*.whl")], check=True)

    def names(listing: str) -> list[str]:
        ran = subprocess.run([python, "-m", "dragoman.cli", listing, "--json"], capture_output=True, check=True)
        return [row["name"] for row in json.loads(ran.stdout)]

    before = {listing: names(listing) for listing in ("plugins", "experts", "translators", "critics", "methods")}
    assert "bert" in before["experts"]
    subprocess.run([*pip, "uninstall", "--yes", "dragoman-bert"], check=True)
    assert {listing: names(listing) for listing in before} == {
        listing: [name for name in listed if name != "bert"] for listing, listed in before.items()
    }


@pytest.mark.parametrize("hook", SPECS)
def test_every_hook_is_documented_with_its_arguments(hook):
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"`{hook}({arguments})`" in (ROOT / "docs" / "plugins.md").read_text()


@pytest.mark.parametrize("hook", SPECS)
def test_the_example_of_every_hook_works(hook):
    """It is run as a plugin, and offers one card."""
    example = getattr(hookspecs, hook).__doc__.partition("Example::")[2].partition("Since")[0]
    module = types.ModuleType("example")
    module.__dict__.update(vars(cards), Port=cards.Port, hookimpl=hookimpl)
    exec(textwrap.dedent(example), module.__dict__)
    zoo, plugin = Zoo(), Plugin("example", "example", "1")
    zoo.add(module, plugin)
    assert (plugin.state, plugin.reason) == ("ok", "")
    assert [offer.split(":")[0] for offer in plugin.offers] == [hook.removeprefix("register_").removesuffix("s")]


def test_every_hook_has_a_catalogue():
    manager = pluggy.PluginManager("dragoman")
    manager.add_hookspecs(hookspecs)
    assert sorted(f"register_{catalogue.kind}s" for catalogue in Zoo().catalogues) == SPECS
    assert all(getattr(manager.hook, name).spec is not None for name in SPECS)


def test_the_plugin_in_the_documentation_works(site):
    """Its files are written as they stand there, found by discovery, built from two ports and sampled."""
    import torch

    from dragoman import Port

    text = (ROOT / "docs" / "plugins.md").read_text()
    files = dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert list(files) == ["pyproject.toml", "dragoman_linear/__init__.py", "dragoman_linear/translator.py"]
    for name, content in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(content)
    (site / "dragoman_linear-0.1.0.dist-info").mkdir()
    section = files["pyproject.toml"].partition("[project.entry-points.dragoman]")[2]
    entries = "[dragoman]" + section.replace('"', "")
    (site / "dragoman_linear-0.1.0.dist-info" / "entry_points.txt").write_text(entries)

    zoo = discover([str(site)])
    assert [(plugin.state, plugin.reason) for plugin in zoo.plugins] == [("ok", "")]
    build = zoo.translators["linear-gaussian"].load().build
    translator = build(Port("text", "vector", (5,)), Port("latent", "vector", (3,)))
    condition = torch.ones(4, 5)
    assert translator.losses(torch.zeros(4, 3), condition)["nll"].shape == (4,)
    one, two = (translator.sample(condition, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])
