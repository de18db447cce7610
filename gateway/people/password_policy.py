"""Says what is wrong with a new password of a person. Knows no form.

Judged where passwords are hashed: the estimate of how soon one is guessed takes up to 60 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

from accounts.ports import PasswordHasher


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """The policy of one service."""

    hasher: PasswordHasher
    service: str
    """Its name, which no password may consist of."""

    async def fault(self, password: str, email: str) -> str:
        """Return the code of what is wrong with a password; empty for nothing.

        Raises HasherBusyError where too many wait.
        """
        return await self.hasher.fault(password, (email, self.service))
