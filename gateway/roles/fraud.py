"""Composes the rules of admission that examine the book."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from billing.clock import utc_now
from gateway.buttons.visitor_refusal_store import RedisVisitorRefusals
from gateway.buttons.visitor_refusals import VisitorRefusals
from gateway.calls.refusal_counts import RefusalCounts
from gateway.calls.risk import Risk
from gateway.limits.fraud import Policy
from gateway.settings import Settings
from gateway.stores.fraud import SqlFraudBook
from gateway.stores.opened import Stores

_RUN_BYTES = 6


@dataclass(frozen=True, slots=True)
class Fraud:
    """What admission asks about accounts, and the counts it reports."""

    risk: Risk
    refusals: RefusalCounts
    visitors: VisitorRefusals


def policy_of(settings: Settings) -> Policy:
    """Return the policy that the operator has set."""
    return Policy(
        home_countries=frozenset(settings.home_countries),
        new_card_days=settings.new_card_days,
        new_card_day_micros=settings.new_card_day_max,
    )


def compose_fraud(settings: Settings, stores: Stores) -> Fraud:
    """Return the rules, for a process that quotes calls."""
    book = SqlFraudBook(stores.engine)
    refusals = RefusalCounts(book, secrets.token_hex(_RUN_BYTES), utc_now)
    visitors = VisitorRefusals(RedisVisitorRefusals(stores.redis), utc_now)
    return Fraud(Risk(policy_of(settings), book, stores.key_epochs), refusals, visitors)
