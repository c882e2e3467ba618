"""Who sees what, who changes what, and that knowing a hash gives nobody the bytes."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from dragoman_registry.hub.serving import Running
from dragoman_registry.hub.signing import LIFETIME

Send = Callable[..., Any]


@pytest.fixture
def secret(alice: HfApi) -> tuple[str, bytes]:
    """A private repository of alice's, and the content of its weights."""
    content = os.urandom(50_000)
    repo = alice.create_repo(f"alice/secret{os.urandom(4).hex()}", private=True).repo_id
    operations = [CommitOperationAdd("model.safetensors", content), CommitOperationAdd("README.md", b"secret card")]
    alice.create_commit(repo, operations, commit_message="secret")
    return repo, content


def test_a_private_repository_looks_like_none(secret: tuple[str, bytes], ask: Send, bob: HfApi) -> None:
    repo, _ = secret
    calls = ["/api/models/{}", "/api/models/{}/tree/main", "/api/models/{}/refs", "/api/models/{}/commits/main", "/{}"]
    calls += ["/api/models/{}/revision/main", "/api/models/{}/auth-check", "/{}/resolve/main/README.md"]
    for api in (bob, None):
        for call in calls:
            hidden = ask("GET", call.format(repo), api=api)
            missing = ask("GET", call.format("alice/missing"), api=api)
            assert hidden.status == missing.status == (404 if api else 401), call
            assert hidden.headers["x-error-code"] == missing.headers["x-error-code"] == "RepoNotFound"
            assert hidden.body.replace(repo.encode(), b"") == missing.body.replace(b"alice/missing", b"")


def test_its_owner_sees_it_with_any_token(secret: tuple[str, bytes], login: Send, tmp_path: Path) -> None:
    repo, content = secret
    reader: HfApi = login("alice", "read")
    assert Path(reader.hf_hub_download(repo, "model.safetensors", cache_dir=tmp_path)).read_bytes() == content
    assert repo in {model.id for model in reader.list_models(author="alice")}


def test_it_is_in_no_list_of_others(secret: tuple[str, bytes], bob: HfApi, anonymous: HfApi) -> None:
    for api in (bob, anonymous):
        assert secret[0] not in {model.id for model in api.list_models()}


def test_a_hash_is_not_a_permission(
    secret: tuple[str, bytes], commit: Send, ask: Send, bob: HfApi, tmp_path: Path
) -> None:
    _, content = secret
    sha256 = hashlib.sha256(content).hexdigest()
    mine = bob.create_repo(f"bob/mine{os.urandom(4).hex()}").repo_id
    reference = ("lfsFile", {"path": "stolen.bin", "algo": "sha256", "oid": sha256, "size": len(content)})
    assert commit(mine, reference, api=bob).status == 400
    asked = {"operation": "upload", "objects": [{"oid": sha256, "size": len(content)}, {"oid": "0" * 64, "size": 1}]}
    known, unknown = ask("POST", f"/{mine}.git/info/lfs/objects/batch", asked, api=bob).json()["objects"]
    assert known.keys() == unknown.keys()
    assert "actions" in known
    # Who has the bytes may send them, and then refer to them.
    assert ask("PUT", known["actions"]["upload"]["href"], content).status == 200
    assert commit(mine, reference, api=bob).status == 200
    assert Path(bob.hf_hub_download(mine, "stolen.bin", cache_dir=tmp_path)).read_bytes() == content


def test_public_bytes_are_not_sent_again(alice: HfApi, bob: HfApi, repo: str, commit: Send) -> None:
    content = os.urandom(20_000)
    alice.upload_file(path_or_fileobj=content, path_in_repo="model.safetensors", repo_id=repo)
    mine = bob.create_repo(f"bob/mine{os.urandom(4).hex()}").repo_id
    reference = ("lfsFile", {"path": "model.bin", "algo": "sha256", "oid": hashlib.sha256(content).hexdigest()})
    alice.update_repo_settings(repo, private=True)
    assert commit(mine, reference, api=bob).status == 400
    alice.update_repo_settings(repo, private=False)
    assert commit(mine, reference, api=bob).status == 200


def test_uncommitted_bytes_are_nobody_elses(alice: HfApi, bob: HfApi, repo: str, ask: Send, commit: Send) -> None:
    content = os.urandom(999)
    oid = hashlib.sha256(content).hexdigest()
    asked = {"operation": "upload", "objects": [{"oid": oid, "size": 999}]}
    (entry,) = ask("POST", f"/{repo}.git/info/lfs/objects/batch", asked, api=alice).json()["objects"]
    assert ask("PUT", entry["actions"]["upload"]["href"], content).status == 200
    mine = bob.create_repo(f"bob/mine{os.urandom(4).hex()}").repo_id
    assert commit(mine, ("lfsFile", {"path": "a.bin", "oid": oid}), api=bob).status == 400


def test_others_and_readers_change_nothing(repo: str, bob: HfApi, login: Send, anonymous: HfApi, commit: Send) -> None:
    add = ("file", {"path": "a.txt", "content": "YQ==", "encoding": "base64"})
    for api in (bob, login("alice", "read")):
        assert commit(repo, add, api=api).status == 403
        changes: list[tuple[Callable[..., object], dict[str, Any]]] = [
            (api.create_tag, {"repo_id": repo, "tag": "x"}),
            (api.create_branch, {"repo_id": repo, "branch": "x"}),
            (api.update_repo_settings, {"repo_id": repo, "private": True}),
            (api.delete_repo, {"repo_id": repo}),
            (api.super_squash_history, {"repo_id": repo}),
            (api.move_repo, {"from_id": repo, "to_id": "bob/taken"}),
            (api.create_repo, {"repo_id": "alice/other"}),
        ]
        for change, arguments in changes:
            with pytest.raises(HfHubHTTPError, match="403"):
                change(**arguments)
    with pytest.raises(HfHubHTTPError):
        anonymous.create_repo("alice/other")
    assert anonymous.list_repo_files(repo) == []


def test_an_organisation_is_shared(login: Send, bob: HfApi) -> None:
    carol, dave = (login(user, organizations=("lab",)) for user in ("carol", "dave"))
    repo = carol.create_repo("lab/shared", private=True).repo_id
    dave.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    assert carol.list_repo_files(repo) == ["a.txt"]
    assert [entry["name"] for entry in carol.whoami()["orgs"]] == ["lab"]
    with pytest.raises(RepositoryNotFoundError):
        bob.list_repo_files(repo)


def test_tokens_end(hub: Running, login: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    from dragoman_registry.hub.tokens import create_token, list_tokens, revoke_token

    erin: HfApi = login("erin")
    with hub.hub.database.writing() as db:
        short = HfApi(endpoint=hub.url, token=create_token(db, "erin", days=1))
        number = next(row["id"] for row in list_tokens(db) if row["user"] == "erin")
    assert erin.whoami()
    assert short.whoami()
    with hub.hub.database.writing() as db:
        revoke_token(db, number)
    with pytest.raises(HfHubHTTPError):
        erin.whoami()
    later = time.time() + 2 * 86400
    monkeypatch.setattr("dragoman_registry.hub.tokens.time.time", lambda: later)
    with pytest.raises(HfHubHTTPError):
        short.whoami()


def test_no_token_is_on_the_disk(hub: Running, alice: HfApi) -> None:
    assert isinstance(alice.token, str)
    assert alice.whoami()["name"] == "alice"
    for path in hub.hub.root.glob("hub.sqlite*"):
        assert alice.token.encode() not in path.read_bytes()
    assert (hub.hub.root / "hub.sqlite").stat().st_mode & 0o077 == 0


def test_signed_addresses(hub: Running, alice: HfApi, repo: str, ask: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"operation": "upload", "objects": [{"oid": hashlib.sha256(b"x").hexdigest(), "size": 1}]}
    (entry,) = ask("POST", f"/{repo}.git/info/lfs/objects/batch", asked, api=alice).json()["objects"]
    href = entry["actions"]["upload"]["href"]
    body, _, mac = href.rpartition(".")
    for other in (f"{body}.{mac[:-2]}AA", f"{body[:-2]}AA.{mac}", href.replace("/put/", "/part/"), f"{href}%FF", body):
        assert ask("PUT", other, b"x").status in (400, 403)
    later = time.time() + LIFETIME + 1
    with monkeypatch.context() as patch:
        patch.setattr("dragoman_registry.hub.signing.time.time", lambda: later)
        assert ask("PUT", href, b"x").status == 403
    assert ask("PUT", href, b"x").status == 200


def test_changes_are_in_the_audit_log(hub: Running, alice: HfApi, repo: str) -> None:
    made = alice.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
    alice.update_repo_settings(repo, private=True)
    with sqlite3.connect(hub.hub.root / "hub.sqlite") as db:
        rows = db.execute("SELECT user, action, detail FROM audit WHERE subject = ?", (f"model:{repo}",)).fetchall()
    assert [row[:2] for row in rows] == [
        ("alice", "repository.create"),
        ("alice", "commit"),
        ("alice", "repository.visibility"),
    ]
    assert made.oid in rows[1][2]
