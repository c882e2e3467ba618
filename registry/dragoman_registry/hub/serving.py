"""Running the server: in the foreground for people, in a thread for tests and demonstrations."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from dragoman.errors import InputError
from dragoman_registry.hub.app import application
from dragoman_registry.hub.hub import Hub
from dragoman_registry.hub.locking import SERVING, locked
from dragoman_registry.hub.tokens import create_token

__all__ = ["Running", "running", "serve"]

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        url: its address, for ``HF_ENDPOINT`` or ``endpoint=``.
        token: one that may write in every namespace.
        user: whose token it is.
        hub: what is served.
    """

    url: str
    token: str = field(repr=False)
    user: str
    hub: Hub


@contextmanager
def running(root: Path, *, user: str = "tester", port: int = 0, multipart_above: int = 5 << 30) -> Iterator[Running]:
    """Serve a folder on loopback, in a thread of this process, until the block ends.

    Args:
        root: the folder of the Hub; it is made when it is missing.
        user: who the token is made for.
        port: 0 takes any that is free.
        multipart_above: bytes from which LFS uploads are sent in parts.

    Raises:
        InputError: the folder or the port cannot be used.
    """
    with locked(root, SERVING), _listening("127.0.0.1", port) as listener:
        hub = Hub(root, f"http://127.0.0.1:{listener.getsockname()[1]}", multipart_above=multipart_above)
        hub.blobs.sweep()
        server = _server(hub, access_log=False)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            with hub.database.writing() as db:
                token = create_token(db, user, "admin", label="running")
            yield Running(hub.url, token, user, hub)
        finally:
            server.should_exit = True
            thread.join(timeout=_START_SECONDS)
            hub.close()


def serve(root: Path, host: str, port: int, url: str | None = None) -> None:
    """Serve a folder until the process is told to end.

    Args:
        root: the folder of the Hub; it is made when it is missing.
        host: address to listen on.
        port: 0 takes any that is free.
        url: where clients reach the server, when a proxy stands before it.

    Raises:
        InputError: the folder or the port cannot be used, or the address is not loopback and no URL is given.
    """
    if url is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise InputError(f"{host} is reached by others: put a proxy with TLS before it and name its address by --url.")
    with locked(root, SERVING), _listening(host, port) as listener:
        at = f"[{host}]" if ":" in host else host
        hub = Hub(root, (url or f"http://{at}:{listener.getsockname()[1]}").rstrip("/"))
        hub.blobs.sweep()
        print(f"Serving {root} at {hub.url}", flush=True)
        try:
            _server(hub, access_log=True).run(sockets=[listener])
        finally:
            hub.close()


def _server(hub: Hub, *, access_log: bool) -> uvicorn.Server:
    config = uvicorn.Config(
        application(hub),
        log_level="info" if access_log else "warning",
        access_log=access_log,
        lifespan="off",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + _START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise InputError("The server did not start.")
        time.sleep(0.005)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except (OSError, OverflowError) as error:
        raise InputError(f"The server cannot listen on {host}, port {port}: {error}.") from error
    with listener:
        # Connections inherit it. asyncio sets it only on sockets that name their protocol; without it, an answer's body
        # waits up to 40 ms for the client's acknowledgement of the head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener
