"""Delays an answer to a fixed moment, so that its timing does not reveal which addresses are known.

The time counts from the start of a flow, so how slowly a form is sent makes no difference.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from gateway.nanoseconds import SECOND_NS

ANSWER_AFTER_NS: Final = SECOND_NS // 2
"""Longer than any of these flows takes on a node that is not overloaded, even a sign-up: 70 ms for
judging a password, 30 ms for its hash, some transactions."""


@dataclass(frozen=True, slots=True)
class AnswerMoment:
    """When flows answer that must not tell a known address from an unknown one.

    A flow that takes longer answers at once, so the flows also do the same work for both (OWASP
    Authentication Cheat Sheet, "Authentication and Error Messages").
    """

    clock_ns: Callable[[], int]
    sleep: Callable[[float], Awaitable[None]]
    """Sleeps for some seconds."""

    @asynccontextmanager
    async def fixed(self) -> AsyncIterator[None]:
        """Leave the block no earlier than the moment, whether with a result or an exception."""
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
