"""``dragoman plugins`` looks at plugins in a child process: whatever one does there, the others are listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dragoman import inspection, plugins
from dragoman.catalogue import Plugin
from dragoman.errors import PluginError
from plugin_fixtures import dragoman, environment, install, offering

UNSTOPPABLE = "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass\n"
#: Source of the module, and a word of the reason.
DEADLY = {
    "exits": ("import os\nos._exit(0)", "ends the process"),
    "crashes": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "ends the process"),
    "interrupts": ("raise KeyboardInterrupt", "ends the process"),
    "unstoppable": (UNSTOPPABLE, "does not let itself be interrupted"),
    "exits-in-its-hook": (
        "from dragoman import hookimpl\n@hookimpl\ndef register_experts(register):\n    import os; os._exit(1)",
        "ends the process",
    ),
}


def listed(site, **variables: str) -> dict[str, dict[str, object]]:
    ran = dragoman("plugins", "--json", site=site, DRAGOMAN_PLUGIN_SECONDS="2", **variables)
    assert ran.returncode == 0, ran.stderr
    return {row["name"]: row for row in json.loads(ran.stdout)}


@pytest.mark.parametrize("case", DEADLY)
def test_a_deadly_plugin_is_named_and_the_others_are_listed(case, tmp_path):
    source, word = DEADLY[case]
    install(tmp_path, "aaa-good", offering("first"))
    install(tmp_path, f"mmm-{case}", source, plugin="deadly")
    install(tmp_path, "zzz-good", offering("last"))
    rows = listed(tmp_path)
    assert (rows["deadly"]["state"], word in rows["deadly"]["reason"]) == ("broken", True)
    assert "`dragoman disable deadly`" in rows["deadly"]["reason"]
    assert [rows[name]["state"] for name in ("aaa_good", "zzz_good")] == ["ok", "ok"]
    assert listed(tmp_path, DRAGOMAN_DISABLE="deadly")["deadly"]["state"] == "disabled"


def test_all_that_are_deadly_are_named_together(tmp_path):
    for case, (source, _) in DEADLY.items():
        install(tmp_path, f"x-{case}", source)
    rows = listed(tmp_path)
    assert {rows[f"x_{case.replace('-', '_')}"]["state"] for case in DEADLY} == {"broken"}


def test_no_plugin_is_imported_by_the_command_itself(tmp_path):
    told = tmp_path / "told"
    install(tmp_path, "x-tells", f"import os\nopen({str(told)!r}, 'w').write(str(os.getpid()))\n")
    code = "import os, sys; sys.argv = ['dragoman', 'plugins']; print(os.getpid(), file=sys.stderr)\n"
    ran = subprocess.run(
        [sys.executable, "-c", code + "from dragoman.cli.main import main; main()"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.read_text() != ran.stderr.split()[0]


def test_what_a_plugin_writes_to_the_terminal_stays_out_of_the_list(tmp_path):
    install(tmp_path, "x-chatty", "import os\nos.write(1, b'noise from below')\nprint('noise')\n" + offering("talker"))
    ran = dragoman("plugins", "--json", site=tmp_path)
    assert "noise" not in ran.stdout
    assert ("noise from below" in ran.stderr, len(json.loads(ran.stdout)) > 1) == (True, True)


def test_it_finds_what_discovery_finds():
    assert inspection.inspect() == plugins.discover().plugins


def test_without_fork_plugins_are_loaded_here(monkeypatch):
    monkeypatch.delattr(os, "fork")
    found = [Plugin("only", "one", "1")]
    monkeypatch.setattr(plugins, "discover", lambda: type("Zoo", (), {"plugins": found}))
    assert inspection.inspect() is found


def test_a_child_that_ends_before_any_plugin_is_one_sentence(monkeypatch):
    def fail(**_: object) -> None:
        raise RuntimeError("odd day")

    monkeypatch.setattr(plugins, "discover", fail)
    with pytest.raises(PluginError, match="has ended"):
        inspection.inspect()


def test_debugging_shows_where_a_plugin_broke(tmp_path):
    install(tmp_path, "x-broken", "def f():\n    return 1 / 0\nf()\n")
    assert "Traceback" not in dragoman("plugins", site=tmp_path).stderr
    shown = dragoman("plugins", site=tmp_path, DRAGOMAN_DEBUG="1").stderr
    assert ("Traceback" in shown, "in f" in shown) == (True, True)
