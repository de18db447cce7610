"""Serves the same texts to many viewers with Starlette's own streams, as a measure for ours.

Each viewer has a queue, and every text is put into all of them: the usual way.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from benchmarks import loopback

TEXTS_PER_S = 3
"""As many as a viewer of the gateway gets."""
QUEUED_MAX = 100
_queues: set[asyncio.Queue[bytes]] = set()


async def feed(_request: Request) -> StreamingResponse:
    """Stream what comes."""
    queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED_MAX)

    async def texts() -> AsyncIterator[bytes]:
        _queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            _queues.discard(queue)

    return StreamingResponse(texts(), media_type="text/event-stream")


async def ready(_request: Request) -> PlainTextResponse:
    """Answer who waits for the start."""
    return PlainTextResponse("ready")


async def _speak(size: int) -> None:
    while True:
        begun = time.monotonic()
        stamp = b"played-%d" % time.monotonic_ns()
        text = b"event: delta\ndata: " + stamp + b" " * (size - len(stamp) - 21) + b"\n\n"
        for queue in _queues:
            if not queue.full():
                queue.put_nowait(text)
        await asyncio.sleep(max(0.0, begun + 1 / TEXTS_PER_S - time.monotonic()))


async def _serve(port: int, size: int) -> None:
    app = Starlette(routes=[Route("/feed", feed), Route("/readyz", ready)])
    config = uvicorn.Config(app, host=loopback.HOST, port=port, access_log=False, log_level="error")
    async with asyncio.TaskGroup() as group:
        group.create_task(_speak(size))
        group.create_task(uvicorn.Server(config).serve())


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
