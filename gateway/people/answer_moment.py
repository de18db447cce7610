"""Lets an answer leave at a fixed moment: its time must not tell whether an address is known.

Counts from when a flow begins: how slowly somebody sends a form shifts nothing. Knows no request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.nanoseconds import SECOND_NS

ANSWER_AFTER_NS: Final = SECOND_NS // 2
"""Longer than any of these flows takes on a node that is not overloaded, a sign-up too: 70 ms for
the judgement of a password, 30 ms for its hash, some transactions."""


@dataclass(frozen=True, slots=True)
class AnswerMoment:
    """When flows answer that must not tell a known address from an unknown one.

    What takes longer answers at once: so the flows do the same work for both besides (OWASP
    Authentication Cheat Sheet, "Authentication and Error Messages").
    """

    clock_ns: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    """Sleeps for some seconds."""

    @asynccontextmanager
    async def fixed(self) -> AsyncIterator[None]:
        """Leave the block no earlier than the moment, be it with a result or a refusal."""
        answer_at_ns = self.clock_ns() + ANSWER_AFTER_NS
        try:
            yield
        except Exception:
            await self._wait_until(answer_at_ns)
            raise
        await self._wait_until(answer_at_ns)

    async def _wait_until(self, at_ns: int) -> None:
        left_ns = at_ns - self.clock_ns()
        if left_ns > 0:
            await self.sleep(left_ns / SECOND_NS)
