"""The protocol between a process and its password hasher, over a socket of their own.

A request is a number, a task, a hash (or what a password must not be) and a password, each with its
length; an answer is the number, an outcome and a text. On its way a password is in no argument,
file or log. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import Final

REQUEST: Final = Struct("!IBHH")
"""Number, task, and lengths in bytes of the hash and the password, which follow."""
ANSWER: Final = Struct("!IBH")
"""Number, outcome, and length in bytes of the text, which follows."""


class Task(IntEnum):
    """What is requested."""

    HASH = 0
    VERIFY = 1
    JUDGE = 2
    """Check a new password; the texts that it must not be are sent in place of a hash."""


class Outcome(IntEnum):
    """The result of a task."""

    FAILED = 0
    """It could not be done, for lack of memory."""
    NO = 1
    """With the code of what is wrong, if that was asked."""
    YES = 2
    """With the hash, if one was requested."""


_BETWEEN: Final = "\0"


def request(number: int, task: Task, stored: bytes, password: bytes) -> bytes:
    """Encode a request; both texts are shorter than 64 KiB."""
    return REQUEST.pack(number, task, len(stored), len(password)) + stored + password


def context_sent(texts: Sequence[str]) -> bytes:
    """Encode the texts that a new password must not be, for a request."""
    # The address is not verified yet, and may have any characters.
    return _BETWEEN.join(texts).encode(errors="surrogatepass")


def context_read(sent: bytes) -> Sequence[str]:
    """Decode the texts of a request."""
    return sent.decode(errors="surrogatepass").split(_BETWEEN)


def answer(number: int, outcome: Outcome, text: bytes = b"") -> bytes:
    """Encode an answer."""
    return ANSWER.pack(number, outcome, len(text)) + text
