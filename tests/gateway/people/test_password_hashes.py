"""Hashes of passwords, real ones: what they are made with, and what is told."""

import ctypes
import subprocess
import sys

import argon2
import pytest
from argon2.exceptions import HashingError, VerificationError

from gateway.people.password_hashes import MEMORY_KIB, Argon2Hashes, is_outdated

PASSWORD = b"correct horse battery staple"


@pytest.fixture(scope="module")
def hashes():
    return Argon2Hashes()


@pytest.fixture
def verified(monkeypatch):
    """The hashes that passwords were compared with."""
    seen = []
    verify = argon2.PasswordHasher.verify

    def noted(self, stored, password):
        seen.append(stored)
        return verify(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", noted)
    return seen


def test_a_password_is_that_of_its_hash_and_no_other_is(hashes):
    stored = hashes.hash(PASSWORD)
    assert hashes.is_of(PASSWORD, stored) is True
    assert hashes.is_of(PASSWORD + b" ", stored) is False
    assert hashes.is_of(b"", stored) is False


def test_a_hash_is_made_with_the_set_of_owasp_and_a_salt_of_its_own(hashes):
    one, other = hashes.hash(PASSWORD), hashes.hash(PASSWORD)
    assert one.startswith("$argon2id$v=19$m=12288,t=3,p=1$")
    assert one.split("$")[4] != other.split("$")[4]
    assert PASSWORD.decode() not in one


HEAPS_GROW = '''
import ctypes, threading
from gateway.people.password_hashes import Argon2Hashes

class Sizes(ctypes.Structure):
    """As mallinfo(3) has them; the first is what all heaps have of the system."""
    _fields_ = [("heaps", ctypes.c_size_t), ("others", ctypes.c_size_t * 9)]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Sizes
before = mallinfo().heaps
hashes = Argon2Hashes()
threads = [threading.Thread(target=hashes.hash, args=(b"correct horse",)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(mallinfo().heaps - before)
'''


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_the_memory_of_a_hash_goes_back_to_the_system():
    """In a process of its own, in which nothing has been hashed."""
    grown = subprocess.check_output([sys.executable, "-c", HEAPS_GROW], timeout=60)
    assert int(grown) < MEMORY_KIB * 1024


@pytest.mark.parametrize(
    "stored",
    ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "ünlesbar", "$argon2id$v=19$m=1$x$y"],
)
def test_no_password_is_that_of_an_empty_or_unreadable_hash(hashes, stored, verified):
    assert hashes.is_of(PASSWORD, stored) is False
    assert hashes.is_of(b"", stored) is False
    # The work was done all the same, against a hash of today's parameters.
    assert not is_outdated(verified[-1])
    assert len(verified) == 2
    assert len(set(verified)) == 1


def test_what_was_hashed_with_less_is_outdated(hashes):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
    assert is_outdated(weak.hash(PASSWORD))
    assert hashes.is_of(PASSWORD, weak.hash(PASSWORD)) is True
    assert is_outdated("no hash at all")
    assert not is_outdated(hashes.hash(PASSWORD))
    assert not is_outdated("")


@pytest.mark.parametrize("failure", [HashingError, VerificationError, MemoryError])
def test_a_failure_is_no_answer(hashes, monkeypatch, failure):
    stored = hashes.hash(PASSWORD)

    def fail(_self, *texts):
        raise failure(*texts)

    monkeypatch.setattr(argon2.PasswordHasher, "hash", fail)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", fail)
    assert hashes.hash(PASSWORD) is None
    assert hashes.is_of(PASSWORD, stored) is None
    assert hashes.is_of(PASSWORD, "") is None
