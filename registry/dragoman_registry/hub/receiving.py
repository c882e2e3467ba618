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


async def pour(request: Request, write: Callable[[bytearray], Any], limit: int) -> int:
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
    total, gathered, pending = 0, bytearray(), None
    try:
        async for chunk in request.stream():
            total += len(chunk)
            if total > limit:
                raise RequestError(413, f"The body of this request has at most {limit} bytes.")
            gathered += chunk
            if len(gathered) >= PIECE:
                if pending is not None:
                    await pending
                pending = asyncio.ensure_future(asyncio.to_thread(write, gathered))
                gathered = bytearray()
    finally:
        if pending is not None:
            await pending
    if gathered:
        await (asyncio.to_thread(write, gathered) if total > PIECE // 8 else _now(write, gathered))
    return total


async def _now(write: Callable[[bytearray], Any], data: bytearray) -> None:
    write(data)
