"""Makes and checks hashes of passwords with Argon2id; each takes about 25 ms.

Processes that carry audio leave this to another process (`password_process`): a hash thrashes the
processor's cache, and a low-priority thread may still hold the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import re
import secrets
from contextlib import suppress
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, VerifyMismatchError

MEMORY_KIB: Final = 12 * 1024
PASSES: Final = 3
LANES: Final = 1
"""One of the sets that OWASP's Password Storage Cheat Sheet calls equal: 12 MiB, t=3, p=1.

Of them it takes a third less time here than 19 MiB and t=2, because memory is what is slow.
"""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_BYTES_MIN: Final = 1024 * 1024
"""From this size on, freed memory goes back to the system."""

# With salt and hash at least as long as Argon2 requires (RFC 9106, 3.1), without padding.
_FORM = re.compile(
    r"\$argon2id\$v=19\$m=\d{1,9},t=\d{1,3},p=\d{1,3}\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{16,128}",
    re.ASCII,
)


class Argon2Hashes:
    """Hashes, made and checked one at a time in the calling thread."""

    def __init__(self) -> None:
        """Take 25 ms to make the hash that stands in for missing ones."""
        _give_memory_back()
        self._argon2 = PasswordHasher(PASSES, MEMORY_KIB, LANES)
        self._decoy = self._argon2.hash(secrets.token_bytes(32))

    def hash(self, password: bytes) -> str | None:
        """Return a hash with a fresh salt, in PHC format; None if it could not be made."""
        # An exception that a library raises about a password is not passed on.
        with suppress(Argon2Error, MemoryError):
            return self._argon2.hash(password)
        return None

    def is_of(self, password: bytes, stored: str) -> bool | None:
        """Return whether the hash is of this password; None if that could not be determined.

        False for an empty or unreadable hash, after the same work.
        """
        is_hash = _FORM.fullmatch(stored) is not None
        with suppress(Argon2Error, MemoryError):
            if is_hash:
                return self._matches(stored, password)
            self._matches(self._decoy, b"")
            return False
        return None

    def _matches(self, stored: str, password: bytes) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except VerifyMismatchError:
            return False


def is_outdated(stored: str) -> bool:
    """Return whether a hash was made with other parameters than today's; False for an empty one.

    True also for stronger ones: the cost of a hash must not reveal whose it is.
    """
    if not stored:
        return False
    try:
        return PasswordHasher(PASSES, MEMORY_KIB, LANES).check_needs_rehash(stored)
    except ValueError:
        return True


def _give_memory_back() -> None:
    """Release the 12 MiB of a hash once it is made, in the whole process.

    glibc takes the first of them for the usual size of a block (mallopt(3), M_MMAP_THRESHOLD), and
    then each heap retains up to twice that many bytes. A fixed threshold stops that.
    """
    # Other C libraries have neither this function nor this behaviour.
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES_MIN)
        mallopt(_M_TRIM_THRESHOLD, _MAPPED_BYTES_MIN)
