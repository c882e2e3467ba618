"""What the Hub's client believes of a server, this module checks first.

The client builds paths in its cache from the ETag and the commit that a server sends, hands a server's storage address
to a library that also understands ``local:///``, and would send a token wherever a link in an answer leads. A hostile
endpoint, or somebody between it and us, could so write outside of the cache or collect tokens. Within :func:`guarded`
every request and answer of the client passes through here; outside, the client is as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from dragoman.errors import PackageError

__all__ = ["guarded"]

_ACTIVE: ContextVar[bool] = ContextVar("dragoman_guard", default=False)
# Git's and SHA-256's hexadecimal digits, and what object stores in between make of several parts ("HEX-12").
_ETAG = re.compile(r"[0-9A-Za-z_-]{1,128}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Bytes of the largest answer that is no file; the largest honest ones list ten thousand files.
_LARGEST_ANSWER = 64 << 20
_DEFAULT_PORTS = {"http": 80, "https": 443}


@contextmanager
def guarded() -> Iterator[None]:
    """Check everything that the Hub's client sends and receives in this thread meanwhile."""
    _install()
    token = _ACTIVE.set(True)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def _install() -> None:
    """Have the client's sessions call us; whatever a user configured for them stays."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    before: Callable[[], Any] = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)
    if getattr(before, "checked_by_dragoman", False):
        return

    def factory() -> Any:
        client = before()
        hooks = client.event_hooks
        hooks["request"].append(_check_request)
        hooks["response"].append(_check_response)
        client.event_hooks = hooks
        return client

    factory.checked_by_dragoman = True  # type: ignore[attr-defined]
    set_client_factory(factory)


def _check_request(request: Any) -> None:
    if _ACTIVE.get() and "authorization" in request.headers and _origin(str(request.url)) != _home():
        raise PackageError(
            f"The Hub's answer leads to {request.url.host}, where your token must not go; it was not sent."
        )


def _check_response(response: Any) -> None:
    if not _ACTIVE.get():
        return
    headers = response.headers
    _check_storage(response, headers.get("x-xet-cas-url", ""))
    if urlsplit(str(response.request.url)).path.startswith("/api/"):
        response.stream = _bounded(response)
    if _origin(str(response.request.url)) != _home():
        return  # where a file's bytes come from; the client names nothing after what such a server says
    for name in ("etag", "x-linked-etag"):
        value = headers.get(name, "").removeprefix("W/").strip('"')
        if value and not _ETAG.fullmatch(value):
            raise _refused(response, name, value)
    commit = headers.get("x-repo-commit", "")
    if commit and not _COMMIT.fullmatch(commit):
        raise _refused(response, "x-repo-commit", commit)


def _bounded(response: Any) -> Any:
    """The stream of an answer, which the client would read into memory however long it is."""
    kind: Any = import_module(type(response).__module__.partition(".")[0]).SyncByteStream
    inner, host = response.stream, response.request.url.host

    class Bounded(kind):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            left = _LARGEST_ANSWER
            for chunk in inner:
                left -= len(chunk)
                if left < 0:
                    raise PackageError(f"{host} answers a question without end; check HF_ENDPOINT.")
                yield chunk

        def close(self) -> None:
            inner.close()

    return Bounded()


def _check_storage(response: Any, address: str) -> None:
    """The storage behind the Hub: any https server, or the Hub's own host where the Hub itself is not encrypted."""
    if not address:
        return
    scheme, host, _ = _origin(address)
    own_scheme, own_host, _ = _home()
    if scheme != "https" and (scheme, host) != (own_scheme, own_host):
        raise _refused(response, "x-xet-cas-url", address)


def _refused(response: Any, name: str, value: str) -> PackageError:
    return PackageError(
        f"{response.request.url.host} answered with the {name} {value[:80]!r}, which no sound Hub sends; nothing was"
        " written, check HF_ENDPOINT."
    )


def _home() -> tuple[str, str, int]:
    from huggingface_hub import constants

    return _origin(constants.ENDPOINT)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
