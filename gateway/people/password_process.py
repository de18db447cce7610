"""Has passwords hashed and checked in a separate process, so that no frame of a call waits.

The process is started at once, and restarted when it is needed and gone; requests it had are then
sent again. A password travels over a socket that only the two have, and appears in no traceback
raised here: it is wrapped, and no exception that a library raises about it is passed on.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import time
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from accounts.password import CONTEXT_TEXT_MAX, TYPED_MAX, normalise
from accounts.ports import HasherBusyError
from gateway.people import password_hashes
from gateway.people.password_wire import ANSWER, Outcome, Task, context_sent, request
from gateway.secret import Secret

log = structlog.get_logger(__name__)

AT_ONCE: Final = max(1, (os.cpu_count() or 1) - 1)
"""Hashes made at the same time: one on each core but one."""
WAITING_MAX: Final = 16
"""At 25 ms each, the last one waits less than half a second."""
ANSWER_S_MAX: Final = 10.0
"""How long an answer may take on a busy machine before the process is considered stuck."""
RESTART_S: Final = 1.0
"""Minimum time between two starts."""
_END_S_MAX: Final = 5.0
_MODULE = "gateway.people.password_child"
_HOME: Final = str(Path(__file__).parents[2])
"""Where this gateway was imported from: its child must be the same version."""


_Answer = tuple[Outcome, bytes]


class _GoneError(Exception):
    """The process has ended without an answer."""


class _Line:
    """One process, and its pending requests."""

    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter) -> None:
        self.process = process
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[_Answer]] = {}
        self.is_open = True
        self._hearing = asyncio.get_running_loop().create_task(self._hear(reader))

    def ask(self, task: Task, stored: bytes, wrapped: Secret) -> asyncio.Future[_Answer]:
        """Return a future of the outcome and its text. The future raises _GoneError."""
        number = next(self._numbers) & 0xFFFFFFFF
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        if not self.is_open:
            future.set_exception(_GoneError())
            return future
        self._asked[number] = future
        future.add_done_callback(lambda _: self._asked.pop(number, None))
        self._writer.write(request(number, task, stored, _hashed_form(wrapped)))
        return future

    async def _hear(self, reader: StreamReader) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                number, outcome, size = ANSWER.unpack(await reader.readexactly(ANSWER.size))
                text = await reader.readexactly(size)
                future = self._asked.get(number)
                if future is not None and not future.done():
                    future.set_result((Outcome(outcome), text))
        self.is_open = False
        self._writer.close()
        for future in tuple(self._asked.values()):
            if not future.done():
                future.set_exception(_GoneError())

    async def end(self, patience_s: float) -> None:
        """Let the process end; kill it if that takes too long."""
        self._writer.close()
        try:
            async with asyncio.timeout(patience_s):
                await self.process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        await self._hearing


class PasswordProcess:
    """Implements `accounts.ports.PasswordHasher`."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._places = AT_ONCE + WAITING_MAX
        self._line: _Line | None = None
        self._starting = asyncio.Lock()
        self._started_s: float | None = None
        self._is_closed = False
        self._working: set[asyncio.Task[_Answer | None]] = set()

    @property
    def pid(self) -> int | None:
        """Id of the process that was started last."""
        return None if self._line is None else self._line.process.pid

    async def start(self) -> None:
        """Start the process now, so that no request waits for it. Raises OSError."""
        async with self._starting:
            self._line = await self._begun()

    async def hash(self, password: str) -> str:
        """Return a hash with a fresh salt, in PHC format. Raises HasherBusyError."""
        wrapped = Secret(password)
        del password
        _, text = await self._run(Task.HASH, b"", wrapped)
        return text.decode()

    async def verify(self, password: str, stored: str) -> bool:
        """Return whether the hash is of this password. Raises HasherBusyError.

        False for an empty or unreadable hash, after the same work.
        """
        wrapped = Secret(password)
        del password
        # Longer than any accepted password: no reason to read it, nor to answer sooner.
        if len(wrapped.reveal()) > TYPED_MAX:
            wrapped, stored = Secret(), ""
        outcome, _ = await self._run(Task.VERIFY, stored.encode(), wrapped)
        return outcome is Outcome.YES

    async def fault(self, password: str, context: Sequence[str]) -> str:
        """Return the code of what is wrong with a new password; empty if nothing is.

        `context` lists what it must not be. Raises HasherBusyError.
        """
        wrapped = Secret(password)
        del password
        # Longer than any password in any form: no reason to read it.
        if len(wrapped.reveal()) > TYPED_MAX:
            return "password_long"
        sent = context_sent([text[:CONTEXT_TEXT_MAX] for text in context])
        _, code = await self._run(Task.JUDGE, sent, wrapped)
        return code.decode()

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with other parameters than today's; not an empty one."""
        return password_hashes.is_outdated(stored)

    async def close(self) -> None:
        """Give up pending requests, and let the process end."""
        self._is_closed = True
        async with self._starting:
            if self._line is not None:
                await self._line.end(_END_S_MAX)
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _run(self, task: Task, stored: bytes, wrapped: Secret) -> _Answer:
        if not self._places or self._is_closed:
            raise HasherBusyError
        self._places -= 1
        try:
            await self._turns.acquire()
        except asyncio.CancelledError:
            self._places += 1
            raise
        work = asyncio.get_running_loop().create_task(self._work(task, stored, wrapped))
        self._working.add(work)
        work.add_done_callback(self._leave)
        # Shielded: the process finishes work that no one waits for any more, and it keeps its turn.
        answer = await asyncio.shield(work)
        if answer is None:
            raise HasherBusyError
        return answer

    def _leave(self, work: asyncio.Task[_Answer | None]) -> None:
        self._working.discard(work)
        self._turns.release()
        self._places += 1

    async def _work(self, task: Task, stored: bytes, wrapped: Secret) -> _Answer | None:
        """Return the answer; None if none can be had."""
        # Twice: a process that was killed did nothing that cannot be repeated.
        for _ in range(2):
            line = await self._open()
            if line is None:
                return None
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    outcome, text = await line.ask(task, stored, wrapped)
            except _GoneError:
                continue
            except TimeoutError:
                break
            return None if outcome is Outcome.FAILED else (outcome, text)
        else:
            return None
        log.error("password hasher is stuck; ending it")
        await line.end(0)
        return None

    async def _open(self) -> _Line | None:
        """Return the process, a new one if it has ended; None if none can be started."""
        async with self._starting:
            line = self._line
            if self._is_closed or (line is not None and line.is_open):
                return None if self._is_closed else line
            if line is not None:
                await line.end(_END_S_MAX)
                log.error("password hasher ended", code=line.process.returncode)
                self._line = None
            # If it cannot start, repeated starts must not keep a core busy.
            if self._started_s is not None and self._clock_s() - self._started_s < RESTART_S:
                return None
            try:
                self._line = await self._begun()
            except OSError as error:  # such as no descriptor or no memory left
                why = error.strerror
            else:
                return self._line
            log.error("password hasher cannot be started", reason=why)
            return None

    async def _begun(self) -> _Line:
        self._started_s = self._clock_s()
        ours, its = socket.socketpair()
        # Closed in this process, or the child's end would not show as the end of the stream.
        with its:
            reader, writer = await asyncio.open_connection(sock=ours)
            try:
                process = await asyncio.create_subprocess_exec(
                    # -P keeps the current folder out of its import path.
                    sys.executable,
                    "-P",
                    "-m",
                    _MODULE,
                    str(AT_ONCE),
                    stdin=its.fileno(),
                    # In our session: Linux weighs sessions equally, however nice the processes in
                    # them are.
                    env=_environment(),
                )
            except OSError:
                writer.close()
                raise
        return _Line(process, reader, writer)


def _environment() -> dict[str, str]:
    """Return the environment of the process: its import path, and none of our settings."""
    return {"PYTHONPATH": os.pathsep.join((_HOME, *filter(None, sys.path)))}


def _hashed_form(wrapped: Secret) -> bytes:
    return normalise(wrapped.reveal()).encode(errors="surrogatepass")
