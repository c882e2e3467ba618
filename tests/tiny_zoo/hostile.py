"""A Hub that lies, and a place where stolen tokens would arrive."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tiny_zoo.hub import COMMIT, Hub


class HostileHub(Hub):
    """The small Hub, with answers that a test replaces."""

    #: Headers that replace or join those of files.
    file_headers: ClassVar[dict[str, str]] = {}
    #: Paths of the API and what they answer: status, headers, body.
    api_answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}
    #: Bytes that are sent instead of the true ones, by path in the repository.
    exchanged: ClassVar[dict[str, bytes]] = {}
    #: Where the connection ends in files, by path in the repository.
    cut: ClassVar[dict[str, int]] = {}
    #: Whether the rest of a file can be asked for.
    ranges: ClassVar[bool] = False
    #: Files that are sent without end, by path in the repository.
    endless: ClassVar[tuple[str, ...]] = ()
    #: Where transfers began, by path in the repository.
    begun: ClassVar[list[tuple[str, int]]] = []
    #: Entries of the list of files, appended as they are.
    more_siblings: ClassVar[list[dict[str, Any]]] = []
    #: Where files are said to be.
    redirect: ClassVar[str] = ""

    def _api(self, path: str) -> None:
        for part, (status, headers, body) in self.api_answers.items():
            if part in path:
                self._send(status, body, headers)
                return
        super()._api(path)

    def _json(self, data: Any) -> None:
        if isinstance(data, dict) and "siblings" in data:
            data = {**data, "siblings": [*data["siblings"], *self.more_siblings]}
        super()._json(data)

    def _file(self, path: str) -> None:
        name = path.partition("/resolve/")[2].partition("/")[2]
        if self.redirect and self.command == "GET":
            self._send(302, b"", {"Location": self.redirect, "X-Repo-Commit": COMMIT})
        elif name in self.endless and self.command == "GET":
            self._pour()
        elif name in self.cut and self.command == "GET":
            self._cut(path, name)
        elif self.ranges and "Range" in self.headers:
            self._rest(path, name)
        else:
            super()._file(path)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        if "ETag" in headers:
            headers = {**headers, **self.file_headers}
            name = self.path.partition("/resolve/")[2].partition("/")[2]
            content = self.exchanged.get(name, content)
        super()._send(status, content, headers)

    def _pour(self) -> None:
        """Send and never end, without saying how much."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            for _ in range(1000):
                self.wfile.write(b"w" * 100_000)
        except OSError:
            return

    def _rest(self, path: str, name: str) -> None:
        content = self.repositories[path.partition("/resolve/")[0]][name]
        start = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        self.begun.append((name, start))
        said = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "X-Repo-Commit": COMMIT}
        super()._send(206, content[start:], said)

    def _cut(self, path: str, name: str) -> None:
        """Say how long the file is, send a part of it, and go away; a second request for the rest gets nothing."""
        content = self.repositories[path.partition("/resolve/")[0]][name]
        if "Range" not in self.headers:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: self.cut[name]])
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        if self.connection.fileno() >= 0:
            super().finish()


class Thief(BaseHTTPRequestHandler):
    """Another server: keeps the ``authorization`` of every request, or ``None``, and answers with ``content``."""

    tokens: list[str | None]
    content: ClassVar[bytes] = b"[]"

    def do_GET(self) -> None:
        self._take()

    def do_HEAD(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def _take(self) -> None:
        self.tokens.append(self.headers.get("Authorization"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.send_header("ETag", '"a/b+c="')
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler], **settings: Any) -> Iterator[tuple[Any, str]]:
    """A server on loopback for the block: its handler's class, with these attributes, and its address."""
    kind: Any = type("Handler", (handler,), settings)
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kind, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
