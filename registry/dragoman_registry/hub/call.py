"""From a request to a call of a plain function in a thread, and from its result to an answer."""

from __future__ import annotations

import errno
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import IO, Any, TypeAlias
from urllib.parse import unquote

from anyio import to_thread
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.reading import object_of
from dragoman_registry.hub.receiving import pour
from dragoman_registry.hub.refusal import RequestError, bad
from dragoman_registry.hub.repositories import Repository, find, writable
from dragoman_registry.hub.tokens import ANONYMOUS, Caller, authenticate

__all__ = ["MAX_BODY", "Call", "Handler", "endpoint", "guarded"]

#: Largest body of an ordinary request, in bytes.
MAX_BODY = 2 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Call:
    """One request, read and authenticated.

    Attributes:
        hub: what it is asked of.
        caller: who asks.
        kind: type of the repository that the address names, ``"model"``, ``"dataset"`` or ``"space"``.
        method: of HTTP.
        params: parts of the address, decoded.
        query: after the question mark.
        headers: of the request.
        body: of the request, on disk when it is large.
    """

    hub: Hub
    caller: Caller
    kind: str
    method: str
    params: dict[str, str]
    query: QueryParams
    headers: Headers
    body: IO[bytes]

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            RequestError: it is none.
        """
        return object_of(self.body.read())

    def find(self, db: sqlite3.Connection) -> Repository:
        """The repository that the address names, if the caller may see it."""
        return find(db, self.caller, self.kind, self.params["namespace"], self.params["name"])

    def writable(self, db: sqlite3.Connection) -> Repository:
        """The repository that the address names, if the caller may change it."""
        return writable(db, self.caller, self.kind, self.params["namespace"], self.params["name"])

    def flag(self, name: str) -> bool:
        """Whether a parameter after the question mark is set to something true."""
        return self.query.get(name, "").lower() in ("1", "true", "yes")


Handler: TypeAlias = Callable[[Call], Response | dict[str, Any] | list[Any]]
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def endpoint(
    hub: Hub, handler: Handler, kind: str = "model", *, limit: int = MAX_BODY, signed: bool = False
) -> Endpoint:
    """An endpoint that reads the body, finds the caller, and runs a handler in a thread.

    Args:
        hub: what handlers are given.
        handler: returns a response, or data to be sent as JSON.
        kind: type of the repositories of the address.
        limit: largest body in bytes.
        signed: the address or its bearer carry their own permission; no token of a user is looked for.
    """

    async def answer(request: Request) -> Response:
        with tempfile.SpooledTemporaryFile(max_size=1 << 20, dir=str(hub.blobs.partial)) as body:
            caller = ANONYMOUS if signed else await to_thread.run_sync(_authenticate, hub, request)
            if limit > MAX_BODY and caller.anonymous and not signed:
                raise RequestError(401, "Sending files needs a token.")
            await pour(request, body.write, limit)
            body.seek(0)
            call = Call(hub, caller, kind, request.method, params(request), request.query_params, request.headers, body)
            result = await to_thread.run_sync(handler, call)
        return result if isinstance(result, Response) else JSONResponse(result)

    return guarded(answer)


def guarded(answer: Endpoint) -> Endpoint:
    """Turn refusals and full disks into answers."""

    async def guard(request: Request) -> Response:
        try:
            return await answer(request)
        except RequestError as refusal:
            return refusal.response()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except (OSError, sqlite3.OperationalError) as error:
            if getattr(error, "errno", None) in _FULL or "disk is full" in str(error):
                return RequestError(507, "The disk of the server is full; nothing was changed.").response()
            raise

    return guard


def _authenticate(hub: Hub, request: Request) -> Caller:
    with hub.database.reading() as db:
        return authenticate(db, request.headers.get("authorization"))


def params(request: Request) -> dict[str, str]:
    """Parts of the address, decoded; they are routed as they were sent, so that ``%2F`` is no slash.

    Raises:
        RequestError: they are not UTF-8.
    """
    try:
        return {name: unquote(value, errors="strict") for name, value in request.path_params.items()}
    except UnicodeDecodeError as error:
        raise bad("The address is not UTF-8.") from error
