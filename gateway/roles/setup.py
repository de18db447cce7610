"""Lists the steps of `caller setup`: the questions of each, and how the answers are checked.

The checks are those of `caller check`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.roles import answers, carrier_check, preflight, reach
from gateway.roles.answers import Question
from gateway.roles.preflight import Finding
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """Questions that are asked, and corrected, together."""

    title: str
    questions: tuple[Question, ...]
    check: Callable[[Settings], Awaitable[list[Finding]]]


async def _number(settings: Settings) -> list[Finding]:
    return [await carrier_check.caller_id(settings), await carrier_check.permissions(settings)]


async def _origin(settings: Settings) -> list[Finding]:
    found = preflight.callbacks(settings)
    found += await preflight.ports(settings, is_starting=False)
    return [*found, *await reach.findings(settings)]


async def _stores(settings: Settings) -> list[Finding]:
    return [
        *preflight.files(settings),
        *await preflight.credit_store(settings, is_starting=False),
        await preflight.database(settings),
    ]


STEPS: Final = (
    Step("The carrier", answers.ACCOUNT, carrier_check.account),
    Step("The number", answers.NUMBER, _number),
    # Before the origin, whose check looks at the stores for running nodes.
    Step("The stores", answers.STORES, _stores),
    Step("The public origin", answers.ORIGIN, _origin),
)
