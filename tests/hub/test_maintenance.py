"""The command line: serving, tokens, garbage collection and backup."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from dragoman.errors import DragomanError, InputError, PluginError
from dragoman_registry.hub.backup import back_up
from dragoman_registry.hub.collecting import collect
from dragoman_registry.hub.commands import hub as command
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.locking import MAINTENANCE, locked
from dragoman_registry.hub.serving import Running, running, serve


def run(*arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def blob(hub: Running, content: bytes) -> bool:
    return hub.hub.blobs.size(hashlib.sha256(content).hexdigest()) is not None


def test_help_imports_nothing_of_the_server() -> None:
    code = (
        "import sys; from dragoman_registry.hub.commands import hub; hub.main(['--help'], standalone_mode=False);"
        "assert not {'starlette', 'uvicorn', 'sqlite3', 'yaml', 'huggingface_hub', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else name)
    with pytest.raises(PluginError, match=r"needs uvicorn; install it with: pip install 'dragoman\[hub\]'"):
        run("serve", "--root", tmp_path)


def test_tokens_by_the_command_line(hub: Running) -> None:
    root = hub.hub.root
    token = run(
        "token", "create", "--root", root, "--user", "zoe", "--org", "lab", "--days", 3, "--label", "mine"
    ).strip()
    api = HfApi(endpoint=hub.url, token=token)
    assert api.whoami()["orgs"][0]["name"] == "lab"
    (line,) = [line for line in run("token", "list", "--root", root).splitlines() if "zoe" in line]
    assert token not in line
    run("token", "revoke", "--root", root, line.split("\t")[0])
    with pytest.raises(Exception, match="Invalid user token"):
        api.whoami()
    with pytest.raises(DragomanError, match="no token 999"):
        run("token", "revoke", "--root", root, "999")
    with pytest.raises(DragomanError, match="differs from it only in case"):
        run("token", "create", "--root", root, "--user", "ZOE")


def test_garbage_is_collected_while_serving(hub: Running, alice: HfApi, repo: str) -> None:
    kept, dropped, shared = os.urandom(3000), os.urandom(3000), os.urandom(3000)
    alice.create_commit(repo, [CommitOperationAdd("kept.bin", kept)], commit_message="1")
    alice.create_branch(repo, branch="side")
    operations = [CommitOperationAdd("dropped.bin", dropped), CommitOperationAdd("shared.bin", shared)]
    alice.create_commit(repo, operations, commit_message="2", revision="side")
    other = alice.create_repo(f"{repo}other").repo_id
    alice.upload_file(path_or_fileobj=shared, path_in_repo="shared.bin", repo_id=other)
    assert collect(hub.hub, grace=0).commits == 0
    alice.delete_branch(repo, branch="side")
    assert collect(hub.hub, grace=3600).commits == 0
    found = collect(hub.hub, grace=0)
    assert found.commits == 1
    assert found.blobs == 1
    assert blob(hub, kept)
    assert blob(hub, shared)
    assert not blob(hub, dropped)


def test_history_is_no_garbage(hub: Running, alice: HfApi, repo: str, tmp_path: Path) -> None:
    content = os.urandom(3000)
    first = alice.create_commit(repo, [CommitOperationAdd("a.bin", content)], commit_message="1")
    alice.create_tag(repo, tag="v1")
    alice.create_commit(repo, [CommitOperationDelete("a.bin")], commit_message="2")
    collect(hub.hub, grace=0)
    got = alice.hf_hub_download(repo, "a.bin", revision=first.oid, cache_dir=tmp_path)
    assert Path(got).read_bytes() == content
    alice.super_squash_history(repo)
    collect(hub.hub, grace=0)
    assert blob(hub, content)  # the tag leads to it
    alice.delete_tag(repo, tag="v1")
    assert "Removed" in run("gc", "--root", hub.hub.root, "--grace-hours", 0)
    assert not blob(hub, content)


def test_what_was_collected_is_sent_again(hub: Running, alice: HfApi, repo: str, tmp_path: Path) -> None:
    content = os.urandom(200_000)
    alice.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    alice.delete_file("a.bin", repo)
    alice.super_squash_history(repo)
    collect(hub.hub, grace=0)
    assert not blob(hub, content)
    alice.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    assert Path(alice.hf_hub_download(repo, "a.bin", cache_dir=tmp_path)).read_bytes() == content


def test_uploads_on_their_way_are_no_garbage(hub: Running, alice: HfApi, repo: str, ask: Callable[..., Any]) -> None:
    content = os.urandom(999)
    oid = hashlib.sha256(content).hexdigest()
    asked = {"operation": "upload", "objects": [{"oid": oid, "size": 999}]}
    (entry,) = ask("POST", f"/{repo}.git/info/lfs/objects/batch", asked, api=alice).json()["objects"]
    ask("PUT", entry["actions"]["upload"]["href"], content)
    collect(hub.hub, grace=3600)
    assert blob(hub, content)
    collect(hub.hub, grace=0)
    assert not blob(hub, content)


def test_a_backup_is_a_hub(hub: Running, alice: HfApi, repo: str, tmp_path: Path) -> None:
    first, second = os.urandom(30_000), os.urandom(30_000)
    alice.upload_file(path_or_fileobj=first, path_in_repo="a.bin", repo_id=repo)
    target = tmp_path / "backup"
    assert "Copied" in run("backup", "--root", hub.hub.root, "--to", target)
    alice.upload_file(path_or_fileobj=second, path_in_repo="b.bin", repo_id=repo)
    assert back_up(hub.hub, target) == 1  # only what is new
    alice.delete_repo(repo)
    with running(target) as copy:
        api = HfApi(endpoint=copy.url, token=alice.token)
        folder = Path(api.snapshot_download(repo, cache_dir=tmp_path / "cache"))
        assert (folder / "a.bin").read_bytes() == first
        assert (folder / "b.bin").read_bytes() == second
        api.upload_file(path_or_fileobj=first + second, path_in_repo="c.bin", repo_id=repo)
        with pytest.raises(InputError, match="Another server"):
            back_up(hub.hub, target)


def test_a_damaged_blob_is_not_backed_up(tmp_path: Path, hub: Running, alice: HfApi, repo: str) -> None:
    content = os.urandom(3000)
    alice.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=repo)
    path = hub.hub.blobs.path(hashlib.sha256(content).hexdigest())
    path.chmod(0o644)
    path.write_bytes(content[::-1])
    with pytest.raises(InputError, match="is damaged"):
        back_up(hub.hub, tmp_path / "backup")
    assert not (tmp_path / "backup/hub.sqlite").exists()
    path.write_bytes(content)


def test_who_works_on_a_folder_is_alone(hub: Running, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Another server works on"), running(hub.hub.root):
        pass
    with locked(hub.hub.root, MAINTENANCE), pytest.raises(InputError, match="Another garbage collection"):
        collect(hub.hub, 0)
    with pytest.raises(InputError, match="is the Hub itself"):
        back_up(hub.hub, hub.hub.root)


def test_only_loopback_without_a_url(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.0\.0\.0 is reached by others"):
        serve(tmp_path, "0.0.0.0", 0)


def test_a_port_that_is_taken(hub: Running, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        serve(tmp_path, "127.0.0.1", int(hub.url.rpartition(":")[2]))


def test_a_folder_of_the_future(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    with hub.database.writing() as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(InputError, match="newer version"):
        Hub(tmp_path)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="cannot be used as the database"):
        Hub(tmp_path)


def test_a_folder_that_is_no_hub(tmp_path: Path) -> None:
    for arguments in (["gc"], ["backup", "--to", tmp_path / "copy"], ["token", "list"], ["token", "revoke", 1]):
        with pytest.raises(InputError, match="is not the folder of a Hub"):
            run(*arguments, "--root", tmp_path / "typo")
    assert not list(tmp_path.iterdir())


def test_health(hub: Running, ask: Callable[..., Any]) -> None:
    assert ask("GET", "/healthz").json()["status"] == "ok"
