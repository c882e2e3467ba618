"""Calls that prepare and make commits, branches and tags."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.committing import apply, receive
from dragoman_registry.hub.history import BRANCHES, REQUESTS, TAGS, create_ref, delete_ref, resolve, squash
from dragoman_registry.hub.modes import upload_mode
from dragoman_registry.hub.names import check_path
from dragoman_registry.hub.reading import base64_field, field
from dragoman_registry.hub.refusal import bad
from dragoman_registry.hub.trees import Files, read_files

__all__ = ["commit", "create_branch", "create_tag", "delete_branch", "delete_tag", "preupload", "super_squash"]

#: Largest commit in bytes, with what it carries; more goes by LFS.
MAX_COMMIT = 256 << 20


def preupload(call: Call) -> dict[str, Any]:
    """How each file is to be sent, and what is there under its path already."""
    entries = field(call.json(), "files", list)
    if len(entries) > 1000 or not all(isinstance(entry, dict) for entry in entries):
        raise bad("The field 'files' must be a list of at most 1000 objects.")
    with call.hub.database.reading() as db:
        repository = call.writable(db)
        files = read_files(db, resolve(db, repository, call.params["revision"]).tree)
    return {"files": [_mode(entry, files) for entry in entries]}


def _mode(entry: dict[str, Any], files: Files) -> dict[str, Any]:
    path, size = check_path(field(entry, "path", str)), field(entry, "size", int)
    mode = upload_mode(path, size, base64_field(entry, "sample") if entry.get("sample") else b"")
    answer: dict[str, Any] = {"path": path, "uploadMode": mode, "shouldIgnore": False}
    before = files.get(path)
    if before is not None and before.lfs == (mode == "lfs"):
        answer["oid"] = before.etag
    return answer


def commit(call: Call) -> dict[str, Any]:
    """Make a commit; when this is answered, it survives a crash."""
    revision, request = call.params["revision"], call.flag("create_pr")
    with call.hub.database.reading() as db:
        call.writable(db)  # before anything is written
    change = receive(call.hub.blobs, call.body)
    with call.hub.database.writing() as db:
        repository = call.writable(db)
        made, name = apply(db, call.hub.blobs, call.caller, repository, revision, change, request=request)
    page = f"{call.hub.url}/{repository.address}"
    answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{page}/commit/{made.oid}", "hookOutput": ""}
    if request:
        answer["pullRequestUrl"] = f"{page}/discussions/{name.removeprefix(REQUESTS)}"
    return answer


def create_branch(call: Call) -> Response:
    """Make a branch at a revision, ``main`` when none is named."""
    body = call.body.read(1)
    call.body.seek(0)
    source = field(call.json(), "startingPoint", str, "main") if body else "main"
    with call.hub.database.writing() as db:
        repository = call.writable(db)
        target = resolve(db, repository, source)
        create_ref(db, call.caller, repository, BRANCHES + call.params["branch"], target.oid)
    return Response("OK", media_type="text/plain")


def delete_branch(call: Call) -> Response:
    """Remove a branch."""
    with call.hub.database.writing() as db:
        delete_ref(db, call.caller, call.writable(db), BRANCHES + call.params["branch"])
    return Response("OK", media_type="text/plain")


def create_tag(call: Call) -> Response:
    """Make a tag at a revision."""
    data = call.json()
    tag, message = field(data, "tag", str), field(data, "message", str, "")
    with call.hub.database.writing() as db:
        repository = call.writable(db)
        target = resolve(db, repository, call.params["revision"])
        create_ref(db, call.caller, repository, TAGS + tag, target.oid, message)
    return Response("OK", media_type="text/plain")


def delete_tag(call: Call) -> Response:
    """Remove a tag."""
    with call.hub.database.writing() as db:
        delete_ref(db, call.caller, call.writable(db), TAGS + call.params["revision"])
    return Response("OK", media_type="text/plain")


def super_squash(call: Call) -> Response:
    """Replace the history of a branch by one commit."""
    message = field(call.json(), "message", str, "") or f"Super-squash branch '{call.params['branch']}'"
    with call.hub.database.writing() as db:
        squash(db, call.caller, call.writable(db), call.params["branch"], message[:500])
    return Response("OK", media_type="text/plain")
