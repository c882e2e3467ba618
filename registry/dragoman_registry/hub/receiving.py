"""Bodies of requests, in constant memory: while one piece is hashed and written, the next one arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request

from dragoman_registry.hub.refusal import RequestError

__all__ = ["PIECE", "pour"]

#: Bytes that are gathered before a thread is asked to write them.
PIECE = 2 << 20
#: Chunks that are gathered at most, since tiny ones would take more memory for themselves than for their bytes.
_MOST = 1024


async def pour(request: Request, write: Callable[[bytes], Any], limit: int) -> int:
    """Hand the body of a request to ``write``, which runs in a thread, in pieces and in order.

    Returns:
        Number of bytes.

    Raises:
        RequestError: 413; there are more than ``limit``.
        ClientDisconnect: the connection ended before the body did.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise RequestError(413, f"The body of this request has at most {limit} bytes.")
    total, gathered, size, pending = 0, list[bytes](), 0, None
    try:
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                raise RequestError(413, f"The body of this request has at most {limit} bytes.")
            gathered.append(chunk)
            size += len(chunk)
            if size >= PIECE or len(gathered) >= _MOST:
                if pending is not None:
                    await pending
                pending = asyncio.ensure_future(asyncio.to_thread(_write_all, write, gathered))
                gathered, size = [], 0
    finally:
        if pending is not None:
            await pending
    if total > PIECE // 8:
        await asyncio.to_thread(_write_all, write, gathered)
    else:
        _write_all(write, gathered)
    return total


def _write_all(write: Callable[[bytes], Any], pieces: list[bytes]) -> None:
    for piece in pieces:
        write(piece)
