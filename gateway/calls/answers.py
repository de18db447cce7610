"""Answers other processes' questions about the calls of a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.fleet.messages import (
    CALLS_MAX,
    CallQuestion,
    CallsReply,
    ChargeNow,
    Done,
    EndCall,
    FindCalls,
    Reply,
    Stopping,
)
from gateway.ports import LiveCall


class HeldCalls(Protocol):
    """The calls of one node; an account of None means all accounts."""

    async def of_account(
        self, account_id: str | None, since: datetime | None = None
    ) -> Sequence[LiveCall]:
        """Return an account's calls, or only those that began at or after a time."""

    async def show(self, account_id: str | None, call_id: str) -> LiveCall | None:
        """Return one of them."""

    async def end(self, account_id: str | None, call_id: str) -> LiveCall | None:
        """End one of them, and return its current state."""

    def take_calls(self, takes: bool, /) -> bool:
        """Accept new calls, or stop accepting them; return whether the node now accepts them."""


async def answer(
    held: HeldCalls, charge_now: Callable[[str], Awaitable[None]], question: CallQuestion
) -> Reply:
    """Do what is asked of a node, and return the answer.

    `charge_now` charges the calls of an account here.
    """
    if isinstance(question, ChargeNow):
        await charge_now(question.account_id)
        return Done()
    if isinstance(question, EndCall):
        ended = await held.end(question.account_id, question.call_id)
        return CallsReply(calls=() if ended is None else (ended,))
    if not isinstance(question, FindCalls):
        return Done() if held.take_calls(question.takes) else Stopping()
    if question.call_id is not None:
        shown = await held.show(question.account_id, question.call_id)
        return CallsReply(calls=() if shown is None else (shown,))
    found = await held.of_account(question.account_id, question.since)
    newest = sorted(found, key=lambda call: call.opened.created_at, reverse=True)
    return CallsReply(calls=tuple(newest[:CALLS_MAX]), more=max(0, len(newest) - CALLS_MAX))
