"""Computes how long the credit of accounts with live calls lasts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.watching.rows import LIVE, TALKING, CallRow

READ_MAX: Final = 5000
"""Accounts whose balance is read for one answer; those that spend most come first."""


@dataclass(slots=True)
class Calling:
    """The sum of one account's live calls."""

    account_id: str
    calls: int = 0
    per_minute_micros: int = 0
    """Of those in which people talk, in the account's currency."""


@dataclass(frozen=True, slots=True)
class CreditLeft:
    """How long the credit of an account lasts if its calls continue and no other begins."""

    calling: Calling
    currency: str
    balance_micros: int
    lasts_s: int | None
    """None if nothing is spent: its calls ring, or cost nothing."""


def calling_of(rows: Iterable[CallRow]) -> Sequence[Calling]:
    """Return the accounts that have live calls, those that spend most first."""
    found: dict[str, Calling] = {}
    for row in rows:
        if row.state not in LIVE:
            continue
        calling = found.get(row.account_id)
        if calling is None:
            calling = found[row.account_id] = Calling(row.account_id)
        calling.calls += 1
        if row.state in TALKING:
            calling.per_minute_micros += row.per_minute_micros
    return sorted(found.values(), key=lambda each: (-each.per_minute_micros, each.account_id))


def least_lasting(
    calling: Iterable[Calling], balances: Mapping[str, tuple[str, int]], most: int
) -> Sequence[CreditLeft]:
    """Return the accounts whose credit lasts least, at most `most`.

    `balances` has currency and micros by account id. Accounts without a balance are left out: they
    are unknown, or were erased meanwhile.
    """
    left = [
        CreditLeft(each, *balances[each.account_id], _lasts_s(each, balances[each.account_id][1]))
        for each in calling
        if each.account_id in balances
    ]
    left.sort(key=_order)
    return left[:most]


def _lasts_s(calling: Calling, balance_micros: int) -> int | None:
    if calling.per_minute_micros <= 0:
        return None
    return max(0, balance_micros * 60 // calling.per_minute_micros)


def _order(left: CreditLeft) -> tuple[bool, int, str]:
    return left.lasts_s is None, left.lasts_s or 0, left.calling.account_id
