"""The upload half of the xet protocol: what the stock client speaks whenever its package ``hf_xet`` is installed."""

from __future__ import annotations

import os
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dragoman_registry.hub.ahead import WriteBehind
from dragoman_registry.hub.call import Call, guarded, params
from dragoman_registry.hub.holdings import hold
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.names import is_sha256
from dragoman_registry.hub.receiving import pour
from dragoman_registry.hub.refusal import RequestError, bad
from dragoman_registry.hub.xet_format import FileRecipe, read_shard, scan_xorb
from dragoman_registry.hub.xet_index import Assembler, xorb_path

__all__ = ["routes", "write_token"]

_MAX_XORB, _MAX_SHARD = 80 << 20, 128 << 20
_SECONDS = 3600


def write_token(call: Call) -> Response:
    """Where to send chunks, and a token that is good for this repository only.

    Clients remember by this address what they have sent, so it changes when the server forgets.
    """
    with call.hub.database.reading() as db:
        repository = call.writable(db)
    token, until = call.hub.signer.sign_until("xet", _SECONDS, repository=repository.id, epoch=repository.epoch)
    url = f"{call.hub.url}/_cas/{repository.id}-{repository.epoch}"
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(until)}
    return JSONResponse({"casUrl": url, "accessToken": token, "exp": until}, headers=headers)


def routes(hub: Hub) -> list[Route]:
    """Addresses below the one that :func:`write_token` gives out."""

    async def xorb(request: Request) -> Response:
        repository, name = _permitted(hub, request), params(request)["hash"]
        if not is_sha256(name):
            raise bad("The name of a xorb is a hash.")
        place = hub.blobs.partial / os.urandom(16).hex()
        try:
            with place.open("xb") as file:
                await pour(request, file.write, _MAX_XORB)
            with place.open("rb", buffering=0) as file:  # a buffer would read a page for each header of 8 bytes
                await to_thread.run_sync(scan_xorb, file)
            place.rename(xorb_path(hub, repository, name))
        finally:
            place.unlink(missing_ok=True)
        return JSONResponse({"was_inserted": True})

    async def shard(request: Request) -> Response:
        repository = _permitted(hub, request)
        place = hub.blobs.partial / os.urandom(16).hex()
        try:
            with place.open("x+b") as file:
                await pour(request, file.write, _MAX_SHARD)
                file.seek(0)
                await to_thread.run_sync(_assemble, hub, repository, list(read_shard(file)))
        finally:
            place.unlink(missing_ok=True)
        return JSONResponse({"result": 1})

    async def telemetry(request: Request) -> Response:
        return JSONResponse({})

    return [
        Route("/_cas/{place}/v1/xorbs/default/{hash}", guarded(xorb), methods=["POST"]),
        Route("/_cas/{place}/v1/shards", guarded(shard), methods=["POST"]),
        Route("/v1/telemetry", telemetry, methods=["POST"]),
    ]


def _permitted(hub: Hub, request: Request) -> int:
    """Id of the repository that the bearer may send chunks to."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        raise RequestError(401, "Sending chunks needs the token that came with this address.")
    claims: dict[str, Any] = hub.signer.check("xet", token.strip())
    if params(request)["place"] != f"{claims['repository']}-{claims['epoch']}":
        raise RequestError(403, "The token is for another repository.")
    repository: int = claims["repository"]
    return repository


def _assemble(hub: Hub, repository: int, recipes: list[FileRecipe]) -> None:
    """Make the files of a shard, check their sha256, and remember that they were sent to the repository."""
    with Assembler(hub, repository) as assembler:
        sizes = {recipe.sha256: _make(hub, assembler, recipe) for recipe in recipes}
        with hub.database.writing() as db:
            if db.execute("SELECT 1 FROM repositories WHERE id = ?", (repository,)).fetchone() is None:
                raise bad("The repository was deleted in the meantime.")
            for sha256, size in sizes.items():
                hold(db, repository, sha256, size, committed=False)
            assembler.save(db)
        assembler.drop()


def _make(hub: Hub, assembler: Assembler, recipe: FileRecipe) -> int:
    lengths: list[int] = []
    with hub.blobs.writing() as writer:
        with WriteBehind(writer) as behind:
            for term in recipe.terms:
                first = len(lengths)
                for number in range(term.start, term.end):
                    data = assembler.chunk(term.xorb, number)
                    behind.write(data)
                    lengths.append(len(data))
                if sum(lengths[first:]) != term.size:
                    raise bad("The shard is damaged: a term has another length than its chunks.")
        if writer.sha256 != recipe.sha256:
            raise bad(f"The chunks that were sent make up a file with sha256 {writer.sha256}, not {recipe.sha256}.")
        writer.keep()
        assembler.placed(recipe.sha256, recipe.terms, lengths)
        return writer.size
