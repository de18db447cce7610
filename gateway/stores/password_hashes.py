"""Hashes passwords with Argon2id, in two threads of its own that give way to everything else.

Knows no person and no store. A password is in no traceback of what is raised here: until a thread
has it, it is wrapped, and nothing that a library raises over it is passed on.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, VerifyMismatchError

from accounts.password import TYPED_MAX, normalise
from accounts.ports import HasherBusyError
from gateway.secret import Secret

MEMORY_KIB: Final = 12 * 1024
PASSES: Final = 3
LANES: Final = 1
"""One of the sets that OWASP's Password Storage Cheat Sheet calls equal: 12 MiB, t=3, p=1.

Of them it takes a third less time here than 19 MiB and t=2: it is memory that is slow.
"""

THREADS: Final = 2
WAITING_MAX: Final = 16
"""With two threads and 25 ms for each, the last one waits a quarter of a second."""
NICENESS: Final = 10
"""Of the threads, so that the loop, which carries audio, has the processor first."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_BYTES_MIN: Final = 1024 * 1024
"""From this size on memory goes back to the system when it is freed."""

# With salt and hash at least as long as Argon2 takes them (RFC 9106, 3.1), without padding.
_FORM = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,9},t=\d{1,3},p=\d{1,3}\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}",
    re.ASCII,
)
_T = TypeVar("_T")


class Argon2Hasher:
    """Implements `accounts.ports.PasswordHasher`."""

    def __init__(self) -> None:
        """Take 25 ms to make the hash that stands in for those that are missing."""
        _give_memory_back()
        self._argon2 = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._decoy = self._argon2.hash(secrets.token_bytes(32))
        self._room = threading.BoundedSemaphore(THREADS + WAITING_MAX)
        self._threads = ThreadPoolExecutor(
            THREADS, thread_name_prefix="password-hash", initializer=_give_way
        )

    async def hash(self, password: str) -> str:
        """Return a hash with a salt of its own, in PHC format. Raises HasherBusyError."""
        wrapped = Secret(password)
        del password
        return await self._run(lambda: self._argon2.hash(_hashed_form(wrapped)))

    async def verify(self, password: str, stored: str) -> bool:
        """Return whether the hash is of this password. Raises HasherBusyError.

        False for an empty and for an unreadable hash, after the same work.
        """
        wrapped = Secret(password)
        del password
        return await self._run(lambda: self._is_of(wrapped, stored))

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with weaker parameters than today's; not of an empty one.

        True also for stronger ones: what a hash costs must not tell whose it is.
        """
        if not stored:
            return False
        try:
            return self._argon2.check_needs_rehash(stored)
        except ValueError:
            return True

    def close(self) -> None:
        """Give up what waits, and end the threads when they have finished."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_of(self, wrapped: Secret, stored: str) -> bool:
        # Longer than any password that was accepted: no reason to read it, nor to answer sooner.
        if _FORM.fullmatch(stored) and len(wrapped.reveal()) <= TYPED_MAX:
            return self._matches(stored, _hashed_form(wrapped))
        self._matches(self._decoy, b"")
        return False

    def _matches(self, stored: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], _T]) -> _T:
        if not self._room.acquire(blocking=False):
            raise HasherBusyError
        try:
            future = self._threads.submit(_told_nothing, work)
        except RuntimeError:  # closed
            raise HasherBusyError from None
        # Not when the wait ends: a thread goes on with what nobody waits for any more.
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _future: Future[_T]) -> None:
        self._room.release()


def _told_nothing(work: Callable[[], _T]) -> _T:
    """Do the work; of a failure, such as a lack of memory, only that it did not work is told."""
    with suppress(Argon2Error, MemoryError):
        return work()
    # Outside, because an exception keeps the frames in which the one before it was raised.
    raise HasherBusyError


def _hashed_form(wrapped: Secret) -> bytes:
    return normalise(wrapped.reveal()).encode(errors="surrogatepass")


def _give_way() -> None:
    # On Linux a thread has a niceness of its own; elsewhere this would be the process's.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _give_memory_back() -> None:
    """Let go of the 12 MiB of a hash when it is made, in the whole process.

    glibc takes the first of them for the usual size of a block (mallopt(3), M_MMAP_THRESHOLD): from
    then on each heap keeps up to twice that many bytes. Bounds that are set stay.
    """
    # Other C libraries have no such function, nor that rule.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES_MIN)
        mallopt(_M_TRIM_THRESHOLD, _MAPPED_BYTES_MIN)
