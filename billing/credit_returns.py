"""Decides which refund of a deleted account's credit has begun, and which is due next.

A card may accept a refund at first and refuse it days later. Such a refund is tried again under
another name, as each name identifies one refund. Pure: time is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billing.payments import LEAVING_NAMES, BookedCredit, refund_reference, undone

RETRY_AFTER: Final = timedelta(hours=6)
"""Least time between a failure and the next attempt: a bank's trouble of an hour uses up one."""


@dataclass(frozen=True, slots=True)
class ReturnAttempt:
    """A refund that a deletion is to make of a payment."""

    name: str
    """One of `LEAVING_NAMES`."""
    micros: int | None
    """How much; None for as much as there is."""


def begun(payment_id: str, entries: Sequence[BookedCredit]) -> ReturnAttempt | None:
    """Return the attempt whose credit is taken and has not come back; None where none is."""
    booked = {entry.reference for entry in entries}
    for entry in entries:
        name = _name(payment_id, entry.reference)
        if name in LEAVING_NAMES and undone(entry.reference) not in booked:
            return ReturnAttempt(name, -entry.micros)
    return None


def due(
    payment_id: str, entries: Sequence[BookedCredit], now: datetime, since: datetime | None
) -> ReturnAttempt | None:
    """Return the attempt that may begin now, where none is begun; None where none may.

    With `since` only of what was paid then or later, and of what came back then because a refund
    failed, whoever had begun that.
    """
    failures = [each for each in entries if each.kind == "refund" and each.micros > 0]
    undoing = [undone(name) for name in LEAVING_NAMES]
    tried = {_name(payment_id, each.reference): each for each in failures}
    made = max((n for n, name in enumerate(undoing, 1) if name in tried), default=0)
    if not made and (since is None or _is_paid_since(entries, since)):
        return ReturnAttempt(LEAVING_NAMES[0], None)
    by_others = [
        each
        for each in failures
        if _name(payment_id, each.reference) not in undoing and _is_since(each, since)
    ]
    came_back = by_others + ([tried[undoing[made - 1]]] if made else [])
    if made >= len(LEAVING_NAMES) or not came_back:
        return None
    if any(each.at is None or now - each.at < RETRY_AFTER for each in came_back):
        return None
    return ReturnAttempt(LEAVING_NAMES[made], sum(each.micros for each in came_back))


def _is_paid_since(entries: Sequence[BookedCredit], since: datetime) -> bool:
    return any(each.kind == "top-up" and _is_since(each, since) for each in entries)


def _is_since(entry: BookedCredit, since: datetime | None) -> bool:
    return since is None or (entry.at is not None and entry.at >= since)


def _name(payment_id: str, reference: str) -> str:
    """Return what a refund's reference says behind payment and amount; empty for all others."""
    first = refund_reference(f"{payment_id}:")
    return reference.removeprefix(first).partition(":")[2] if reference.startswith(first) else ""
