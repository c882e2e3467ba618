"""The command line: data on stdout, talk on stderr, one sentence for what went wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dragoman import __version__
from dragoman.cards import CriticCard, ExpertCard, FormatCard, MethodCard, StoreCard
from dragoman.catalogue import Plugin
from dragoman.cli.main import COMMANDS, main
from dragoman.errors import PackageError
from dragoman.knobs import Knob
from dragoman.ports import Port
from dragoman.stores import Location
from plugin_fixtures import dragoman, environment, install, offering

COMMAND = "import click\n@click.command()\ndef run():\n"
PORT = Port("pooled", "vector", ("hidden",), normalisation="unit norm", gives=True)
BERT = ExpertCard("bert", "a:Bert", "reads text", (PORT,), "org/bert", licence="apache-2.0", citation="Devlin 2018")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="dragoman")


@pytest.fixture
def zoo(make_zoo):
    """An empty zoo in place of the installed one."""
    return make_zoo()


@pytest.fixture
def bert(zoo):
    """A plugin that offers one expert."""
    plugin = Plugin("bert", "dragoman-bert", "1.2")
    zoo.plugins.append(plugin)
    zoo.experts.add(BERT, plugin)
    return plugin


class TestShell:
    def test_version(self):
        assert run("--version").output == f"dragoman {__version__}\n"

    def test_help_names_every_command(self):
        output = run("--help").output
        assert all(name in output and summary[:30] in output for name, _, summary in COMMANDS)

    @pytest.mark.parametrize("name", ["fuse", "sample", "install", "push", "route", "tune", "encode"])
    def test_examples_in_help_stand_on_lines_of_their_own(self, name):
        lines = run(name, "--help").output.splitlines()
        assert any(line.startswith("  dragoman ") for line in lines)
        assert not any("\\b" in line for line in lines)

    @pytest.mark.parametrize("name", [name for name, target, _ in COMMANDS])
    def test_every_command_has_help(self, name):
        result = run(name, "--help")
        assert (result.exit_code, result.output.startswith(f"Usage: dragoman {name}")) == (0, True)

    def test_an_unknown_command_is_a_usage_error(self):
        result = run("exprts")
        assert (result.exit_code, "'exprts'" in result.stderr, result.stdout) == (2, True, "")

    def test_completion_offers_names_and_imports_none_of_them(self, tmp_path):
        install(tmp_path, "other", commands={"experiment": "not_there:run"})
        variables = {"_DRAGOMAN_COMPLETE": "bash_complete", "COMP_WORDS": "dragoman exp", "COMP_CWORD": "1"}
        assert dragoman(site=tmp_path, **variables).stdout.split() == ["plain,experts", "plain,experiment"]


class TestAddedCommands:
    def test_they_are_listed_by_name_and_distribution_without_import(self, tmp_path):
        install(tmp_path, "other-tools", version="3.1", commands={"prune": "not_there:run"})
        result = dragoman("--help", site=tmp_path)
        assert result.returncode == 0
        assert any(line.split() == ["prune", "from", "other-tools", "3.1"] for line in result.stdout.splitlines())

    def test_they_run(self, tmp_path):
        (tmp_path / "tool.py").write_text(COMMAND + "    click.echo('pruned')\n")
        install(tmp_path, "tools", commands={"prune": "tool:run"})
        assert dragoman("prune", site=tmp_path).stdout == "pruned\n"

    @pytest.mark.parametrize(
        ("source", "word"),
        [
            ("import missing_module", "missing_module"),
            ("def (", "SyntaxError"),
            ("raise SystemExit(0)", "SystemExit"),
            ("", "AttributeError"),
            ("run = 3", "no click command"),
        ],
    )
    def test_a_broken_one_is_one_sentence(self, tmp_path, source, word):
        (tmp_path / "tool.py").write_text(source)
        install(tmp_path, "tools", commands={"prune": "tool:run"})
        result = dragoman("prune", site=tmp_path)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: The command 'prune' of tools 1.0 ")
        assert word in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_they_cannot_replace_a_command_of_the_core(self, tmp_path):
        install(tmp_path, "tools", commands={"plugins": "not_there:run"})
        assert dragoman("plugins", site=tmp_path).returncode == 0
        assert "not_there" not in dragoman("plugins", site=tmp_path).stderr

    def test_two_of_one_name_are_a_conflict(self, tmp_path):
        install(tmp_path, "one", version="1.5", commands={"prune": "a:b"})
        install(tmp_path, "two", commands={"prune": "c:d"})
        result = dragoman("prune", site=tmp_path)
        assert result.returncode == 1
        assert "one 1.5 and two 1.0" in result.stderr
        assert "one 1.5 and two 1.0" in dragoman("--help", site=tmp_path).stdout
        assert "a:b" not in dragoman("prune", site=tmp_path, DRAGOMAN_DISABLE="two").stderr

    def test_disabling_a_distribution_takes_its_commands(self, tmp_path):
        install(tmp_path, "tools", commands={"prune": "a:b"})
        assert "prune" not in dragoman("--help", site=tmp_path, DRAGOMAN_DISABLE="tools").stdout
        assert "No such command" in dragoman("prune", site=tmp_path, DRAGOMAN_DISABLE="tools").stderr


class TestErrors:
    @pytest.fixture
    def failing(self, tmp_path):
        """A site with the command ``fail``, whose body is given."""

        def write(body: str) -> Path:
            (tmp_path / "tool.py").write_text(COMMAND + f"    {body}\n")
            install(tmp_path, "tools", commands={"fail": "tool:run"})
            return tmp_path

        return write

    def test_errors_of_dragoman_are_one_sentence(self, failing):
        site = failing("from dragoman.errors import PortError; raise PortError('Ports do not fit.')")
        result = dragoman("fail", site=site)
        assert (result.returncode, result.stdout, result.stderr) == (1, "", "Error: Ports do not fit.\n")

    def test_errors_of_the_system_are_one_sentence(self, failing):
        result = dragoman("fail", site=failing("open('/nowhere/at/all')"))
        assert result.returncode == 1
        assert result.stderr.splitlines() == ["Error: [Errno 2] No such file or directory: '/nowhere/at/all'"]

    def test_the_traceback_is_there_for_who_asks(self, failing):
        site = failing("from dragoman.errors import PortError; raise PortError('Ports do not fit.')")
        result = dragoman("fail", site=site, DRAGOMAN_DEBUG="1")
        assert result.returncode == 1
        assert "Traceback" in result.stderr
        assert "Ports do not fit." in result.stderr

    def test_a_defect_shows_its_traceback(self, failing):
        result = dragoman("fail", site=failing("1 / 0"))
        assert (result.returncode, "Traceback" in result.stderr) == (1, True)

    @pytest.mark.skipif(os.name == "nt", reason="signals")
    def test_an_interrupt_exits_with_130_and_no_traceback(self, failing):
        site = failing("import time; click.echo('ready'); time.sleep(60)")
        command = [sys.executable, "-m", "dragoman.cli", "fail"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment(site, PYTHONUNBUFFERED="1"), **pipes) as process:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=30)
        assert (process.returncode, stderr) == (130, "Interrupted.\n")

    def test_a_closed_pipe_is_no_error_message(self, failing):
        site = failing("[click.echo('x' * 1000) for _ in range(10000)]")
        command = [sys.executable, "-m", "dragoman.cli", "fail"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, env=environment(site), **pipes) as process:
            process.stdout.close()
            assert process.stderr.read() == b""


class TestListings:
    def test_plugins_show_their_offers_and_what_is_wrong(self, zoo, bert):
        zoo.plugins.append(Plugin("vgg", "dragoman-vgg", "0.3", "broken", "it does not import: timm"))
        header, first, second = run("plugins").stdout.splitlines()
        assert header.split()[:4] == ["PLUGIN", "DISTRIBUTION", "VERSION", "STATE"]
        assert first.split() == ["bert", "dragoman-bert", "1.2", "ok", "expert:bert"]
        assert second.split(None, 4) == ["vgg", "dragoman-vgg", "0.3", "broken", "it does not import: timm"]

    def test_plugins_as_json(self, bert):
        assert json.loads(run("plugins", "--json").stdout) == [
            {
                "name": "bert",
                "distribution": "dragoman-bert",
                "version": "1.2",
                "state": "ok",
                "reason": "",
                "offers": ["expert:bert"],
            }
        ]

    def test_experts_as_a_table(self, bert):
        header, row = run("experts").stdout.splitlines()
        assert header.split() == ["EXPERT", "PORTS", "CHECKPOINT", "LICENCE", "SUMMARY"]
        assert row.split(None, 4) == ["bert", "pooled", "org/bert", "apache-2.0", "reads text"]

    def test_experts_as_json_hold_the_whole_card(self, bert):
        (row,) = json.loads(run("experts", "--json").stdout)
        assert row["ports"] == [PORT.to_dict()]
        assert row.items() >= {"name": "bert", "repo": "org/bert", "citation": "Devlin 2018"}.items()
        assert row.items() >= {"qualified_name": "dragoman-bert/bert", "version": "1.2"}.items()

    @pytest.mark.parametrize("listing", ["plugins", "experts", "translators", "critics", "methods"])
    def test_an_empty_zoo_is_an_empty_list(self, zoo, listing):
        assert json.loads(run(listing, "--json").stdout) == []
        assert len(run(listing).stdout.splitlines()) == 1

    def test_talk_about_what_is_missing_stays_off_stdout(self, zoo, bert):
        zoo.plugins.append(Plugin("vgg", "dragoman-vgg", "0.3", "broken", "it does not import: timm"))
        result = run("experts", "--json")
        assert [row["name"] for row in json.loads(result.stdout)] == ["bert"]
        assert "'vgg' of dragoman-vgg is broken: it does not import: timm" in result.stderr

    def test_conflicts_are_listed_by_qualified_names(self, tmp_path):
        install(tmp_path, "one", offering("twin"))
        install(tmp_path, "two", offering("twin"))
        result = dragoman("experts", site=tmp_path)
        names = [line.split()[0] for line in result.stdout.splitlines()]
        assert {"one/twin", "two/twin"} < set(names)
        assert "twin" not in names
        assert "one 1.0 and two 1.0" in result.stderr
        states = {row["name"]: row["state"] for row in json.loads(dragoman("plugins", "--json", site=tmp_path).stdout)}
        assert (states["one"], states["two"]) == ("conflict", "conflict")

    def test_the_last_column_wraps_to_the_terminal(self, monkeypatch):
        from dragoman.cli.table import table

        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "40")
        lines = list(table(["name", "summary"], [["bert", "word " * 20], ["b", "short"]]))
        assert max(map(len, lines)) <= 40
        assert lines[-1] == "b     short"
        assert " ".join(" ".join(lines[1:-1]).split()) == "bert " + "word " * 19 + "word"


class Folders:
    """A store that knows one address."""

    folder = Path()

    def accepts(self, address):
        return address == "lab/model"

    def fetch(self, address, revision):
        return Location(address, self.folder, "a" * 40)


class Notes:
    """A format that knows folders with a file ``note``."""

    def reads(self, folder):
        return (folder / "note").exists()

    def describe(self, folder):
        if not (note := (folder / "note").read_text()):
            raise PackageError(f"{folder} holds an empty note.")
        return {
            "kind": "fusion",
            "parts": {"source": {"expert": "bert", "port": note}},
            "size": 7,
            "recipe": None,
        }


class TestShow:
    def test_a_card(self, bert):
        output = run("show", "bert").stdout
        assert "licence: apache-2.0" in output
        assert "citation: Devlin 2018" in output
        assert "checkpoints" not in output
        ports = output.partition("ports:\n")[2].splitlines()
        assert ports[0].split() == ["NAME", "MODALITY", "SHAPE", "DTYPE", "NORMALISATION", "GIVES"]
        assert ports[1].split(None, 4) == ["pooled", "vector", "hidden", "float32", "unit norm      yes"]

    @pytest.mark.parametrize("name", ["bert", "dragoman-bert/bert", "expert:bert", "expert:dragoman-bert/bert"])
    def test_a_card_as_json_under_all_its_names(self, bert, name):
        shown = json.loads(run("show", name, "--json").stdout)
        assert shown.items() >= {"kind": "expert", "name": "bert", "distribution": "dragoman-bert"}.items()

    def test_a_name_of_two_kinds_has_to_say_which(self, zoo, bert):
        zoo.critics.add(CriticCard("bert", "a:b", ""), bert)
        result = run("show", "bert")
        assert (result.exit_code, "'expert:bert' or 'critic:bert'" in result.stderr) == (1, True)
        assert json.loads(run("show", "critic:bert", "--json").stdout)["kind"] == "critic"

    def test_an_unknown_name_is_one_sentence_with_a_way_out(self, zoo, bert):
        zoo.methods.add(MethodCard("paired", "a:b", ""), bert)
        result = run("show", "pared")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "'pared'" in result.stderr
        assert "did you mean 'paired'?" in result.stderr

    @pytest.fixture
    def package(self, zoo, bert, tmp_path, monkeypatch):
        (tmp_path / "note").write_text("pooled")
        monkeypatch.setattr(Folders, "folder", tmp_path)
        monkeypatch.setattr(StoreCard, "load", lambda card: Folders)
        monkeypatch.setattr(FormatCard, "load", lambda card: Notes)
        zoo.stores.add(StoreCard("folders", "a:b", ""), bert)
        zoo.formats.add(FormatCard("notes", "a:b", ""), bert)
        return tmp_path

    def test_a_package_in_a_folder(self, package):
        lines = run("show", str(package)).stdout.splitlines()
        assert lines[1:] == ["kind: fusion", "parts:", "  source:", "    expert: bert", "    port: pooled", "size: 7"]
        assert not any("recipe" in line or "revision" in line for line in lines)

    def test_a_package_at_an_address(self, package):
        shown = json.loads(run("show", "lab/model", "--json").stdout)
        assert (shown["address"], shown["revision"], shown["size"]) == ("lab/model", "a" * 40, 7)

    @pytest.mark.parametrize("name", ["lab/other", "."])
    def test_what_is_no_package_is_one_sentence(self, package, name, monkeypatch):
        monkeypatch.chdir(package)
        (package / "note").unlink()
        result = run("show", name)
        assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)

    def test_a_damaged_package_is_one_sentence(self, package):
        (package / "note").write_text("")
        assert run("show", str(package)).stderr == f"Error: {package} holds an empty note.\n"


class TestSample:
    @pytest.fixture(autouse=True)
    def calls(self, monkeypatch, tmp_path):
        """A fusion whose pictures are random, in place of any model; what it was asked is recorded."""
        import torch

        from dragoman import fusion

        calls = []

        class Random:
            def knobs(self):
                return (Knob("guidance_scale", 1.0, 0), Knob("sampler", kind="choice", choices=("ddim", "edm")))

            def sample(self, prompts, n, *, generator, **knobs):
                calls.append({"prompts": prompts, "n": n, **knobs})
                return torch.rand(len(prompts) * n, 3, 8, 8, generator=generator)

        def load(address, *, device):
            if address == "missing":
                raise PackageError("'missing' is neither a folder nor a known address.")
            return Random()

        monkeypatch.setattr(fusion, "load", load)
        monkeypatch.chdir(tmp_path)
        return calls

    def test_one_grid_whose_path_is_the_only_output(self, calls, tmp_path):
        result = run("sample", "model", "a shoe", "a bag", "-n", "3")
        assert (result.exit_code, result.stdout) == (0, "grid.png\n")
        assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]
        assert "6 pictures" in result.stderr
        knobs = {"temperature": None, "truncation": None, "candidates": None, "knobs": {}}
        assert calls == [{"prompts": ("a shoe", "a bag"), "n": 3, **knobs}]
        with Image.open("grid.png") as grid:
            assert grid.width > 3 * 96
            assert grid.height > 2 * 96

    def test_the_seed_decides_every_byte(self, tmp_path):
        for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
            run("sample", "model", "a shoe", "-n", "2", "--seed", seed, "--out", f"{name}.png")
        a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
        assert a == b
        assert a != c

    def test_a_folder_gets_every_picture_apart(self, tmp_path):
        result = run("sample", "model", "a shoe", "a bag", "-n", "2", "--out", "made/here")
        assert result.stdout == f"{Path('made/here/grid.png')}\n"
        names = sorted(path.name for path in (tmp_path / "made" / "here").iterdir())
        assert names == ["001-0001.png", "001-0002.png", "002-0001.png", "002-0002.png", "grid.png"]
        with Image.open("made/here/002-0001.png") as picture:
            assert picture.size == (8, 8)

    def test_knobs_reach_the_fusion(self, calls):
        run("sample", "model", "x", "-n", "1", "--temperature", "0.7", "--truncation", "0.5", "--candidates", "4")
        assert calls[0].items() >= {"temperature": 0.7, "truncation": 0.5, "candidates": 4}.items()

    def test_knobs_of_the_model_are_read_as_it_declares_them(self, calls):
        run("sample", "model", "x", "-n", "1", "--knob", "guidance_scale=4", "--knob", "sampler=edm")
        assert calls[0]["knobs"] == {"guidance_scale": 4.0, "sampler": "edm"}

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["missing", "a shoe"], "'missing'"),
            (
                ["model", "a shoe", "--knob", "speed=1"],
                "are guidance_scale (at least 0), sampler (ddim or edm).",
            ),
            (["model", "a shoe", "--knob", "guidance_scale"], "NAME=VALUE"),
            (["model", "a shoe", "--knob", "guidance_scale=fast"], "cannot be 'fast'"),
            (["model", "a shoe", "--knob", "guidance_scale=nan"], "cannot be nan"),
            (["model", "a shoe", "--knob", "sampler=euler"], "cannot be 'euler'"),
            (["model", "a shoe", "--knob", "sampler=edm", "--knob", "sampler=ddim"], "given twice"),
            (["model", "a shoe", "--out", "grid.jpg"], "grid.jpg"),
            (["model", "a shoe", "--device", "abacus"], "'abacus'"),
            (["model", "a shoe", "--device", "cuda:99"], "'cuda:99'"),
            (["model", "a shoe", "--out", "file/grid.png"], "file"),
        ],
    )
    def test_what_cannot_be_is_one_sentence(self, calls, arguments, word):
        Path("file").write_text("not a folder")
        result = run("sample", *arguments)
        assert (result.exit_code, result.stdout, calls) == (1, "", [])
        assert result.stderr.startswith("Error: ")
        assert word in result.stderr
        assert len(result.stderr.splitlines()) == 1

    @pytest.mark.parametrize(
        "option", [["-n", "0"], ["--truncation", "0"], ["--temperature", "-1"], ["--candidates", "0"], ["--seed", "-1"]]
    )
    def test_numbers_out_of_range_are_usage_errors(self, calls, option):
        assert (run("sample", "model", "a shoe", *option).exit_code, calls) == (2, [])

    def test_a_prompt_is_needed(self):
        assert run("sample", "model").exit_code == 2
