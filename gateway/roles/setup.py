"""Lists the steps of `caller setup`: the questions of each, and how the answers are checked.

The checks are those of `caller check`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.carriers.known import chosen
from gateway.finding import Finding
from gateway.roles import answers, preflight, reach
from gateway.roles.answers import Question
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """Questions that are asked, and corrected, together."""

    title: str
    questions: tuple[Question, ...]
    check: Callable[[Settings], Awaitable[list[Finding]]]


async def _account(settings: Settings) -> list[Finding]:
    return await chosen(settings).check_account(settings)


async def _number(settings: Settings) -> list[Finding]:
    return await chosen(settings).check_number(settings)


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
    Step("The carrier", answers.ACCOUNT, _account),
    Step("The number", answers.NUMBER, _number),
    # Before the origin, whose check looks at the stores for running nodes.
    Step("The stores", answers.STORES, _stores),
    Step("The public origin", answers.ORIGIN, _origin),
)
