"""Processes that belong to this one: started with it, restarted when they die, ended with it.

A child reads its standard input and ends when that closes, which it does however the parent ends;
so no child outlives its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_RESTART_DELAY_S = 1.0
_STOP_TIMEOUT_S = 15.0


_HOME = str(Path(__file__).parents[1])
"""Where this gateway was imported from: a child must be the same one."""


class Child:
    """One `python -m gateway …` process, kept alive."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        search = os.pathsep.join(filter(None, (_HOME, environ.get("PYTHONPATH"))))
        self._environ = {**environ, "PYTHONPATH": search}
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and watch over it."""
        await self._spawn()
        self._watch = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Let the process finish what it does; kill it when that takes too long."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _spawn(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "gateway", *self._arguments, "--child"),
            stdin=PIPE,
            env=self._environ,
        )

    async def _keep(self) -> None:
        while self._process is not None:
            code = await self._process.wait()
            log.error("Process %s ended with %s; starting it again.", self._arguments[0], code)
            await asyncio.sleep(_RESTART_DELAY_S)
            await self._spawn()


async def parent_gone() -> None:
    """Return when standard input closes: the parent has ended, or asks for the end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with contextlib.suppress(OSError, ValueError):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
