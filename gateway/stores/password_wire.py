"""What a process says to its hasher of passwords and hears from it, over a socket of their own.

A request is a number, what to do, a hash and a password, each with its length; an answer is the
number, an outcome and a text. A password is in no argument, file or log on its way. Pure.
"""

from __future__ import annotations

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


class Outcome(IntEnum):
    """What became of it."""

    FAILED = 0
    """It could not be done, for lack of memory."""
    NO = 1
    YES = 2
    """With the hash, where one was asked for."""


def request(number: int, task: Task, stored: bytes, password: bytes) -> bytes:
    """Return what to send; both texts have less than 64 KiB."""
    return REQUEST.pack(number, task, len(stored), len(password)) + stored + password


def answer(number: int, outcome: Outcome, text: bytes = b"") -> bytes:
    """Return what to send back."""
    return ANSWER.pack(number, outcome, len(text)) + text
