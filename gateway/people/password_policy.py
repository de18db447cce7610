"""Judges new passwords off the event loop, a few at a time.

The estimate of how soon a password is guessed takes up to 60 ms of pure Python: calls must not wait
for it. Knows no form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from accounts.errors import PasswordError
from accounts.password import check_password, context_words
from accounts.ports import HasherBusyError

_AT_ONCE: Final = 1
"""The interpreter runs one thread at a time: more would only compete with the loop."""
_WAITING_MAX: Final = 16


class PasswordPolicy:
    """Says what is wrong with a new password."""

    def __init__(self, service: str) -> None:
        """Take the service's name, which no password may consist of."""
        self._service = service
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def fault(self, password: str, email: str) -> str:
        """Return the code of what is wrong with a password; empty for nothing.

        Raises HasherBusyError where too many wait.
        """
        if self._waiting >= _WAITING_MAX:
            raise HasherBusyError
        self._waiting += 1
        try:
            async with self._turn:
                context = context_words(email, self._service)
                return await asyncio.to_thread(_fault, password, context)
        finally:
            self._waiting -= 1


def _fault(password: str, context: Sequence[str]) -> str:
    try:
        check_password(password, context)
    except PasswordError as error:
        return error.code
    return ""
