"""Asks other processes, and answers their questions: each has one mailbox in the shared store.

Store and answers are passed in as arguments.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from database.errors import StoreUnavailableError
from gateway.fleet.messages import (
    DECODER,
    ENCODER,
    LETTER_BYTES_MAX,
    Answered,
    Asked,
    Failed,
    Question,
    Reply,
)
from gateway.heartbeat.periodic_task import cancelled
from gateway.unreadable import UNREADABLE

ANSWER_S: Final = 2.0
"""How long to wait for an answer: even a busy node answers within milliseconds."""
WAITING_MAX: Final = 1000
"""Questions of one process that may wait for their answers at once."""
ANSWERING_MAX: Final = 64
"""Questions of others that are answered at once."""
QUEUED_MAX: Final = 1000
"""Questions that may wait for their turn; more are dropped, and asked again."""
_RETRY_S: Final = 0.5
_SAID_EVERY_S: Final = 60.0
"""How often unintelligible letters are logged: one sender may send many."""

log = structlog.get_logger(__name__)


class NodeSilentError(Exception):
    """A process did not answer: it is gone, stuck, or overloaded."""


class Mailboxes(Protocol):
    """Where letters wait for a process. Both methods raise StoreUnavailableError."""

    async def send(self, to: str, letter: bytes) -> bool:
        """Put a letter into a mailbox; False if it is full."""

    async def receive(self, own: str) -> Sequence[bytes]:
        """Wait for letters, and take some; empty if none has come for some seconds."""


class Exchange:
    """The questions and answers of one process."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        own: str,
        answer: Callable[[Question], Awaitable[Reply]],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Exchange letters under a name that no other process has, or ever had."""
        self._mailboxes = mailboxes
        self._own = own
        self._answer = answer
        self._answer_s = answer_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._queued: deque[Asked] = deque()
        self._unread = 0
        """Unintelligible letters that are still to be logged."""
        self._said_s: float | None = None
        self._taking: asyncio.Task[None] | None = None
        self._is_failing = False

    async def ask(self, to: str, question: Question) -> Reply:
        """Return a process's answer. Raises NodeSilentError, StoreUnavailableError."""
        if len(self._waiting) >= WAITING_MAX:
            raise NodeSilentError
        number = next(self._numbers)
        letter = Asked(number=number, sender=self._own, question=question)
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        try:
            async with asyncio.timeout(self._answer_s):
                if not await self._mailboxes.send(to, ENCODER.encode(letter)):
                    raise NodeSilentError
                reply = await answered
        except TimeoutError:
            raise NodeSilentError from None
        finally:
            del self._waiting[number]
        if isinstance(reply, Failed):
            raise NodeSilentError
        return reply

    def start(self) -> None:
        """Begin to take letters."""
        self._taking = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Take no more letters; questions being answered have the time of an answer."""
        has_ended = self._taking is None or await cancelled(self._taking)
        self._queued.clear()
        # For example, the process that asked this one to end still gets its answer.
        if self._answering:
            await asyncio.wait(self._answering, timeout=self._answer_s)
        if not all([has_ended, *await asyncio.gather(*map(cancelled, self._answering))]):
            log.error("part not stopped", part="questions of other processes")

    async def _run(self) -> None:
        while True:
            try:
                await self._take_next()
            except StoreUnavailableError as error:
                if not self._is_failing:
                    log.warning("other processes cannot be asked", reason=str(error))
                self._is_failing = True
                await asyncio.sleep(_RETRY_S)
            except Exception:
                # The edge of the task: a bug must not leave this process silent for good.
                log.exception("letters not taken")
                await asyncio.sleep(_RETRY_S)

    async def _take_next(self) -> None:
        letters = await self._mailboxes.receive(self._own)
        if self._is_failing:
            log.info("other processes can be asked again")
            self._is_failing = False
        for letter in letters:
            self._take(letter)
        # Letters may come without a break: the loop has other work.
        await asyncio.sleep(0)

    def _take(self, letter: bytes) -> None:
        try:
            if len(letter) > LETTER_BYTES_MAX:
                raise msgspec.ValidationError
            read = DECODER.decode(letter)
        except UNREADABLE:
            self._note_unread()
            return
        if isinstance(read, Answered):
            waiting = self._waiting.get(read.number)
            # None: it came too late.
            if waiting is not None and not waiting.done():
                waiting.set_result(read.reply)
        elif len(self._queued) < QUEUED_MAX:
            self._queued.append(read)
            self._answer_next()

    def _answer_next(self, done: asyncio.Task[None] | None = None) -> None:
        if done is not None:
            self._answering.discard(done)
        while self._queued and len(self._answering) < ANSWERING_MAX:
            task = asyncio.get_running_loop().create_task(self._reply(self._queued.popleft()))
            self._answering.add(task)
            task.add_done_callback(self._answer_next)

    def _note_unread(self) -> None:
        # From another release, or from anyone who may write to the store. The text is not logged,
        # because it may contain a number.
        self._unread += 1
        now_s = asyncio.get_running_loop().time()
        if self._said_s is None or now_s - self._said_s >= _SAID_EVERY_S:
            log.warning("letters not understood", count=self._unread)
            self._unread, self._said_s = 0, now_s

    async def _reply(self, asked: Asked) -> None:
        reply: Reply = Failed()
        try:
            async with asyncio.timeout(self._answer_s):
                reply = await self._answer(asked.question)
        except (StoreUnavailableError, TimeoutError):
            log.warning("question not answered", question=_kind(asked.question))
        except Exception:
            log.exception("question not answered", question=_kind(asked.question))
        letter = ENCODER.encode(Answered(number=asked.number, reply=reply))
        try:
            await self._mailboxes.send(asked.sender, letter)
        except StoreUnavailableError:
            log.warning("answer not sent", question=_kind(asked.question))


def _kind(question: Question) -> str:
    return type(question).__name__
