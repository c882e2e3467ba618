"""Large files by git's LFS protocol (git-lfs, docs/api): asked for in batches, sent to signed addresses."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dragoman_registry.hub.blobs import BlobWriter
from dragoman_registry.hub.call import Call, Endpoint, guarded, params
from dragoman_registry.hub.holdings import hold, may_refer
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.multipart import multipart_action
from dragoman_registry.hub.names import is_sha256
from dragoman_registry.hub.reading import field
from dragoman_registry.hub.receiving import pour
from dragoman_registry.hub.refusal import bad
from dragoman_registry.hub.repositories import Repository

__all__ = ["MAX_FILE", "batch", "keep", "put"]

#: Largest file in bytes.
MAX_FILE = 1 << 40
_TYPE = "application/vnd.git-lfs+json"


def batch(call: Call) -> Response:
    """Where each object is to be sent; nowhere when the caller could read it anyway."""
    data = call.json()
    if field(data, "operation", str, "upload") != "upload":
        raise bad("Files are downloaded from their addresses under /resolve/.")
    objects = field(data, "objects", list)
    if len(objects) > 1000 or not all(isinstance(entry, dict) for entry in objects):
        raise bad("The field 'objects' must be a list of at most 1000 objects.")
    with call.hub.database.reading() as db:
        repository = call.writable(db)
        known = {oid: may_refer(db, call.hub.blobs, call.caller, repository, oid) for oid, _ in map(_object, objects)}
    multipart = False
    answers = []
    for oid, size in map(_object, objects):
        answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
        if known[oid] is None:
            answer["actions"] = {"upload": _action(call, repository, oid, size)}
            multipart |= "header" in answer["actions"]["upload"]
        answers.append(answer)
    transfer = "multipart" if multipart else "basic"
    return JSONResponse({"transfer": transfer, "objects": answers, "hash_algo": "sha256"}, media_type=_TYPE)


def _object(entry: dict[str, Any]) -> tuple[str, int]:
    oid, size = field(entry, "oid", str), field(entry, "size", int)
    if not is_sha256(oid) or not 0 <= size <= MAX_FILE:
        raise bad(f"An object has a sha256 and at most {MAX_FILE} bytes.")
    return oid, size


def _action(call: Call, repository: Repository, oid: str, size: int) -> dict[str, Any]:
    if size > call.hub.multipart_above:
        return multipart_action(call, repository, oid, size)
    signed = call.hub.signer.sign("put", repository=repository.id, oid=oid, size=size)
    return {"href": f"{call.hub.url}/_lfs/put/{signed}"}


def put(hub: Hub) -> Endpoint:
    """Endpoint that receives one object at a signed address, in constant memory."""

    async def answer(request: Request) -> Response:
        claims = hub.signer.check("put", params(request)["signed"])
        with hub.blobs.writing() as writer:
            await pour(request, writer.write, claims["size"])
            await to_thread.run_sync(keep, hub, writer, claims)
        return Response(headers={"ETag": f'"{claims["oid"]}"'})

    return guarded(answer)


def keep(hub: Hub, writer: BlobWriter, claims: dict[str, Any]) -> None:
    """Keep what was sent as the object that was promised.

    Raises:
        RequestError: it is something else, or the repository is gone.
    """
    if writer.size != claims["size"] or writer.sha256 != claims["oid"]:
        raise bad(f"What was sent has {writer.size} bytes and sha256 {writer.sha256}, which is not {claims['oid']}.")
    writer.keep()
    with hub.database.writing() as db:
        repository = db.execute("SELECT id FROM repositories WHERE id = ?", (claims["repository"],)).fetchone()
        if repository is None:
            raise bad("The repository was deleted in the meantime.")
        hold(db, claims["repository"], writer.sha256, writer.size, committed=False)
