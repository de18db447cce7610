"""Checks a new password of a person.

Runs where passwords are hashed, because estimating the guesses takes up to 60 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.ports import PasswordHasher


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The password policy of one service."""

    hasher: PasswordHasher
    service: str
    """The service's name, which cannot be a password."""

    async def fault(self, password: str, email: str) -> str:
        """Return the code of what is wrong with a password; empty if nothing is.

        Raises HasherBusyError if too many are waiting.
        """
        return await self.hasher.fault(password, (email, self.service))
