"""Hashes of passwords, real ones: what they are made with, how many at once, and what is told."""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import traceback
import unicodedata

import argon2
import pytest
from argon2.exceptions import HashingError, VerificationError

from accounts.password import TYPED_MAX
from accounts.ports import HasherBusyError
from gateway.stores.password_hashes import (
    MEMORY_KIB,
    NICENESS,
    THREADS,
    WAITING_MAX,
    Argon2Hasher,
)

PASSWORD = "correct horse battery staple"


@pytest.fixture
def hasher():
    hasher = Argon2Hasher()
    yield hasher
    hasher.close()


class Gate:
    """Holds a hasher's work until it is opened."""

    def __init__(self, hasher: Argon2Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.verified: list[str] = []
        verify = argon2.PasswordHasher.verify

        def held(self_, stored, password):
            self.opened.wait(30)
            self.verified.append(stored)
            return verify(self_, stored, password)

        monkeypatch.setattr(argon2.PasswordHasher, "verify", held)


async def test_a_password_is_that_of_its_hash_and_no_other_is(hasher):
    stored = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, stored)
    assert not await hasher.verify(PASSWORD + " ", stored)
    assert not await hasher.verify("", stored)


async def test_a_hash_is_made_with_the_set_of_owasp_and_a_salt_of_its_own(hasher):
    one, other = await asyncio.gather(hasher.hash(PASSWORD), hasher.hash(PASSWORD))
    assert one.startswith("$argon2id$v=19$m=12288,t=3,p=1$")
    assert one.split("$")[4] != other.split("$")[4]
    assert PASSWORD not in one


HEAPS_GROW = '''
import asyncio, ctypes
from gateway.stores.password_hashes import THREADS, Argon2Hasher

class Sizes(ctypes.Structure):
    """As mallinfo(3) has them; the first is what all heaps have of the system."""
    _fields_ = [("heaps", ctypes.c_size_t), ("others", ctypes.c_size_t * 9)]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Sizes

async def grow():
    before = mallinfo().heaps
    hasher = Argon2Hasher()
    await asyncio.gather(*(hasher.hash("correct horse") for _ in range(2 * THREADS)))
    print(mallinfo().heaps - before)

asyncio.run(grow())
'''


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_the_memory_of_a_hash_goes_back_to_the_system():
    """In a process of its own, in which nothing has been hashed."""
    grown = subprocess.check_output([sys.executable, "-c", HEAPS_GROW], timeout=60)
    assert int(grown) < MEMORY_KIB * 1024


async def test_two_keyboards_send_one_password(hasher):
    stored = await hasher.hash("Ka\u0308sebro\u0308tchen")
    assert await hasher.verify(unicodedata.normalize("NFC", "Ka\u0308sebro\u0308tchen"), stored)


async def test_any_text_can_be_hashed(hasher):
    for text in ("\ud800 surrogate", "nul\0byte", "🦊" * 128):
        stored = await hasher.hash(text)
        assert await hasher.verify(text, stored)
    assert not await hasher.verify("nul", await hasher.hash("nul\0byte"))


@pytest.mark.parametrize(
    "stored",
    ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "ünlesbar", "$argon2id$v=19$m=1$x$y"],
)
async def test_no_password_is_that_of_an_empty_or_unreadable_hash(hasher, stored, monkeypatch):
    gate = Gate(hasher, monkeypatch)
    gate.opened.set()
    assert not await hasher.verify(PASSWORD, stored)
    assert not await hasher.verify("", stored)
    # The work was done all the same, against a hash of today's parameters.
    assert not hasher.is_outdated(gate.verified[-1])
    assert gate.verified[-1] == gate.verified[-1 if not stored else 1]


async def test_a_text_longer_than_any_password_is_not_read_and_takes_as_long(hasher, monkeypatch):
    stored = await hasher.hash("x" * TYPED_MAX)
    gate = Gate(hasher, monkeypatch)
    gate.opened.set()
    assert await hasher.verify("x" * TYPED_MAX, stored)
    assert not await hasher.verify("x" * (TYPED_MAX + 1), stored)
    assert len(gate.verified) == 2
    assert gate.verified[1] != stored


async def test_what_was_hashed_with_less_is_outdated(hasher):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
    assert hasher.is_outdated(weak.hash(PASSWORD))
    assert await hasher.verify(PASSWORD, weak.hash(PASSWORD))
    assert hasher.is_outdated("no hash at all")
    assert not hasher.is_outdated(await hasher.hash(PASSWORD))
    assert not hasher.is_outdated("")


@pytest.mark.thorough
async def test_sixteen_wait_and_the_next_is_refused(hasher, monkeypatch):
    gate = Gate(hasher, monkeypatch)
    waiting = [
        asyncio.ensure_future(hasher.verify(PASSWORD, "")) for _ in range(THREADS + WAITING_MAX)
    ]
    await asyncio.sleep(0)
    with pytest.raises(HasherBusyError):
        await hasher.verify(PASSWORD, "")
    with pytest.raises(HasherBusyError):
        await hasher.hash(PASSWORD)
    gate.opened.set()
    assert await asyncio.gather(*waiting) == [False] * len(waiting)
    assert await hasher.hash(PASSWORD)


@pytest.mark.thorough
async def test_who_goes_away_gives_up_a_place_only_when_no_thread_works_for_it(hasher, monkeypatch):
    gate = Gate(hasher, monkeypatch)
    waiting = [
        asyncio.ensure_future(hasher.verify(PASSWORD, "")) for _ in range(THREADS + WAITING_MAX)
    ]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    # Those that wait have gone; those in the threads go on.
    again = [asyncio.ensure_future(hasher.verify(PASSWORD, "")) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(HasherBusyError):
        await hasher.verify(PASSWORD, "")
    gate.opened.set()
    assert await asyncio.gather(*again) == [False] * WAITING_MAX


async def test_the_threads_are_two_and_give_way(hasher):
    seen = set()
    both = threading.Barrier(THREADS)

    def look() -> None:
        both.wait(30)
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) if sys.platform == "linux" else 0
        seen.add((thread, niceness))

    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await asyncio.gather(*(hasher._run(look) for _ in range(3 * THREADS)))
    assert len(seen) == THREADS
    assert threading.get_native_id() not in {thread for thread, _ in seen}
    if sys.platform == "linux":
        assert {niceness for _, niceness in seen} == {max(NICENESS, own)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def all_of(error: BaseException) -> str:
    """Return an exception as a tool shows it that prints variables, with all that is behind it."""
    texts, seen = [], error
    while seen is not None:
        shown = traceback.TracebackException.from_exception(seen, capture_locals=True)
        texts.extend(shown.format())
        seen = seen.__context__
    return "".join(texts)


@pytest.mark.parametrize("failure", [HashingError, VerificationError, MemoryError])
@pytest.mark.parametrize("work", ["hash", "verify"])
async def test_a_failure_says_busy_and_no_password(hasher, monkeypatch, work, failure):
    stored = await hasher.hash(PASSWORD)

    def fail(_self, *texts):
        raise failure(*texts)

    monkeypatch.setattr(argon2.PasswordHasher, work, fail)
    arguments = () if work == "hash" else (stored,)
    # Put together here, so that no line of this file shows it.
    secret = "".join(reversed("terces"))
    with pytest.raises(HasherBusyError) as caught:
        await getattr(hasher, work)(secret, *arguments)
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert "password_hashes.py" in all_of(error)
    assert secret not in all_of(error)


async def test_a_hasher_that_is_closed_refuses_and_says_no_password(hasher):
    hasher.close()
    secret = "".join(reversed("terces"))
    with pytest.raises(HasherBusyError) as caught:
        await hasher.hash(secret)
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert secret not in all_of(error)
    hasher.close()
