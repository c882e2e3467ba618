"""What a repository is and holds at one revision."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.cards import CardError, front_matter
from dragoman_registry.hub.dates import iso
from dragoman_registry.hub.description import card_text
from dragoman_registry.hub.gitids import pointer
from dragoman_registry.hub.history import BRANCHES, REQUESTS, TAGS, log, refs, resolve
from dragoman_registry.hub.listing import summary
from dragoman_registry.hub.paging import page, sliced
from dragoman_registry.hub.tensors import tensor_facts
from dragoman_registry.hub.trees import File, Files, read_files

__all__ = ["list_commits", "list_refs", "repository_info"]


def repository_info(call: Call) -> dict[str, Any]:
    """All about a repository at a revision."""
    with call.hub.database.reading() as db:
        repository = call.find(db)
        commit = resolve(db, repository, call.params.get("revision", "main"))
        files = read_files(db, commit.tree)
        row = db.execute("SELECT * FROM repositories WHERE id = ?", (repository.id,)).fetchone()
        used = db.execute("SELECT sum(size) FROM holdings WHERE repository = ?", (repository.id,)).fetchone()[0]
    info = {**summary(row), "sha": commit.oid, "lastModified": iso(commit.created), "usedStorage": used or 0}
    info["siblings"] = [_sibling(path, file, call.flag("blobs")) for path, file in files.items()]
    info["cardData"] = _card(call, files)
    if repository.type == "model" and (facts := tensor_facts(call.hub, files)) is not None:
        info["safetensors"] = facts
    wanted = set(call.query.getlist("expand"))
    return {name: value for name, value in info.items() if name in wanted | {"id", "_id"}} if wanted else info


def _card(call: Call, files: Files) -> dict[str, Any]:
    try:
        return front_matter(card_text(call.hub.blobs, files))
    except CardError:
        return {}


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    entry = {"rfilename": path, "size": file.size, "blobId": file.oid}
    return {**entry, "lfs": lfs_facts(file, "sha256")} if file.lfs else entry


def lfs_facts(file: File, name: str) -> dict[str, Any]:
    """What git keeps of a file in LFS; ``name`` is what the answer calls its sha256."""
    return {name: file.sha256, "size": file.size, "pointerSize": len(pointer(file.sha256, file.size))}


def list_refs(call: Call) -> dict[str, Any]:
    """Branches, tags and pull requests."""
    with call.hub.database.reading() as db:
        repository = call.find(db)
        found = {prefix: refs(db, repository, prefix) for prefix in (BRANCHES, TAGS, REQUESTS)}

    def entries(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": row["name"].removeprefix(prefix), "ref": row["name"], "targetCommit": row["target"]}
            for row in found[prefix]
        ]

    answer: dict[str, Any] = {"branches": entries(BRANCHES), "tags": entries(TAGS), "converts": []}
    if call.flag("include_prs"):
        answer["pullRequests"] = [{**entry, "name": entry["ref"]} for entry in entries(REQUESTS)]
    return answer


def list_commits(call: Call) -> Response:
    """One page of the history of a revision, newest first."""
    with call.hub.database.reading() as db:
        repository = call.find(db)
        commits = log(db, repository, resolve(db, repository, call.params["revision"]))
    shown, cursor = sliced(call, commits, 100)
    entries = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.description,
            "date": iso(commit.created),
            "authors": [{"user": commit.author}],
        }
        for commit in shown
    ]
    path = f"/api/{repository.type}s/{repository.full_name}/commits/{call.params['revision'].replace('/', '%2F')}"
    return page(call, path, entries, cursor)
