"""Files of a revision: whole, in ranges, or only their headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import FileIO
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from dragoman_registry.hub.call import Call
from dragoman_registry.hub.history import resolve
from dragoman_registry.hub.refusal import RequestError, no_entry
from dragoman_registry.hub.trees import read_files

__all__ = ["parse_range", "resolve_file"]

#: Bytes that are read and sent at once; smaller pieces cost more CPU.
_PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
#: Pictures that a page may show. Whatever else there is, is only ever offered as a download.
_PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


def resolve_file(call: Call) -> Response:
    """The file that the address names at the revision that it names."""
    path = call.params["path"]
    with call.hub.database.reading() as db:
        repository = call.find(db)
        commit = resolve(db, repository, call.params["revision"])
        file = read_files(db, commit.tree).get(path)
    if file is None:
        raise no_entry(path, commit.oid)
    headers = {
        "ETag": f'"{file.etag}"',
        "X-Repo-Commit": commit.oid,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(PurePosixPath(path).name, safe='')}",
    }
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    if headers["ETag"] in call.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    kind = _PICTURES.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")
    wanted = None if call.headers.get("if-range", headers["ETag"]) != headers["ETag"] else call.headers.get("range")
    return _content(call, call.hub.blobs.path(file.sha256), file.size, wanted, headers, kind)


def _content(call: Call, blob: Path, size: int, wanted: str | None, headers: dict[str, str], kind: str) -> Response:
    span = parse_range(wanted, size)
    start, end = span or (0, size)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 206 if span is not None else 200
    if call.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    file = blob.open("rb", buffering=0)  # from here on, collecting the blob does not matter
    return StreamingResponse(_pieces(file, start, end), status, headers, media_type=kind)


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last of a ``Range`` header; None means the whole file (RFC 9110, 14.2).

    Raises:
        RequestError: 416; nothing of the range is in the file.
    """
    found = _RANGE.fullmatch(text.strip()) if text else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise RequestError(416, f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    return start, end


def _pieces(file: FileIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while start < end:
            piece = file.read(min(_PIECE, end - start))
            if not piece:
                return  # the blob is shorter than it was: the client sees that bytes are missing
            start += len(piece)
            yield piece
