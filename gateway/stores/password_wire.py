"""What a process says to its hasher of passwords and hears from it, over a socket of their own.

A request is a number, what to do, a hash (or what a password must not be) and a password, each with
its length; an answer is the number, an outcome and a text. A password is in no argument, file or
log on its way. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from struct import Struct
from typing import Final

REQUEST: Final = Struct("!IBHH")
"""Number, task, and bytes of the hash and of the password, which follow."""
ANSWER: Final = Struct("!IBH")
"""Number, outcome, and bytes of the text, which follows."""


class Task(IntEnum):
    """What is asked for."""

    HASH = 0
    VERIFY = 1
    JUDGE = 2
    """Say what is wrong with a new one; in place of a hash come the texts that it must not be."""


class Outcome(IntEnum):
    """What became of it."""

    FAILED = 0
    """It could not be done, for lack of memory."""
    NO = 1
    """With the code of what is wrong, where that was asked."""
    YES = 2
    """With the hash, where one was asked for."""


_BETWEEN: Final = "\0"


def request(number: int, task: Task, stored: bytes, password: bytes) -> bytes:
    """Return what to send; both texts have less than 64 KiB."""
    return REQUEST.pack(number, task, len(stored), len(password)) + stored + password


def context_sent(texts: Sequence[str]) -> bytes:
    """Return the texts that a new password must not be, as a request has them."""
    # An address is nobody's yet, and may be of any characters.
    return _BETWEEN.join(texts).encode(errors="surrogatepass")


def context_read(sent: bytes) -> Sequence[str]:
    """Return the texts of a request."""
    return sent.decode(errors="surrogatepass").split(_BETWEEN)


def answer(number: int, outcome: Outcome, text: bytes = b"") -> bytes:
    """Return what to send back."""
    return ANSWER.pack(number, outcome, len(text)) + text
