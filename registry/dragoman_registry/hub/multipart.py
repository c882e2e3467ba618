"""Very large files in parts: each to its own signed address, then joined, hashed and kept as one object."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from dragoman_registry.hub.call import Call, Endpoint, guarded, params
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.receiving import PIECE, pour
from dragoman_registry.hub.refusal import bad
from dragoman_registry.hub.repositories import Repository

__all__ = ["complete", "multipart_action", "put_part"]

_MOST_PARTS = 1000
_SMALLEST_PART = 64 << 20


def multipart_action(call: Call, repository: Repository, oid: str, size: int) -> dict[str, Any]:
    """Addresses of the parts, and the one that says that all were sent."""
    part = min(max(_SMALLEST_PART, -(-size // _MOST_PARTS)), call.hub.multipart_above)
    upload = os.urandom(16).hex()
    header = {"chunk_size": str(part)}
    for number in range(1, -(-size // part) + 1):
        length = min(part, size - (number - 1) * part)
        signed = call.hub.signer.sign("part", upload=upload, number=number, size=length)
        header[str(number)] = f"{call.hub.url}/_lfs/part/{signed}"
    parts = len(header) - 1
    signed = call.hub.signer.sign("join", repository=repository.id, oid=oid, size=size, upload=upload, parts=parts)
    return {"href": f"{call.hub.url}/_lfs/join/{signed}", "header": header}


def put_part(hub: Hub) -> Endpoint:
    """Endpoint that receives one part."""

    async def answer(request: Request) -> Response:
        claims = hub.signer.check("part", params(request)["signed"])
        folder = _folder(hub, claims["upload"])
        folder.mkdir(exist_ok=True)
        place = folder / f"{claims['number']}-{os.urandom(8).hex()}"
        with place.open("xb") as file:
            total = await pour(request, file.write, claims["size"])
        if total != claims["size"]:
            place.unlink()
            raise bad(f"The part has {total} bytes, not {claims['size']}.")
        place.rename(folder / str(claims["number"]))
        return Response(headers={"ETag": f'"{claims["upload"]}-{claims["number"]}"'})

    return guarded(answer)


def complete(hub: Hub) -> Endpoint:
    """Endpoint that joins the parts."""

    async def answer(request: Request) -> Response:
        claims = hub.signer.check("join", params(request)["signed"])
        await pour(request, lambda _: None, 1 << 20)
        await to_thread.run_sync(_join, hub, claims)
        return Response("{}", media_type="application/json")

    return guarded(answer)


def _join(hub: Hub, claims: dict[str, Any]) -> None:
    from dragoman_registry.hub.lfs import keep

    folder = _folder(hub, claims["upload"])
    with hub.blobs.writing() as writer:
        for number in range(1, claims["parts"] + 1):
            try:
                with (folder / str(number)).open("rb") as part:
                    while piece := part.read(PIECE):
                        writer.write(piece)
            except FileNotFoundError as error:
                raise bad(f"Part {number} was not sent.") from error
        keep(hub, writer, claims)
    shutil.rmtree(folder, ignore_errors=True)


def _folder(hub: Hub, upload: str) -> Path:
    return hub.blobs.partial / f"{upload}.parts"
