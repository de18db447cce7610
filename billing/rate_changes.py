"""What a new rate deck changes, and what it earns over the carrier's prices.

Knows no store, no account and no carrier. Prices are micros. Lengths of calls are taken as
exponential, as those of telephony are by tradition: how long a call will go on does not depend on
how long it has lasted, so that a rate's mean price has a closed form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import ceil, exp, expm1

import msgspec

from billing.rate_deck import DeckEntry, RateDeck, carrier_rate, covers_carrier_minute
from billing.rating import Rate

REFERENCE_S = (60, 180, 600)
"""Calls by whose price two rates are compared."""

MEAN_LENGTHS_S = (60, 180, 300)
"""Mean lengths of calls for which margins are shown."""

PERMILLE = 1000


class Kind(Enum):
    """What happens to the numbers of a prefix."""

    ADDED = "added"
    """They could not be called."""
    REMOVED = "removed"
    """No prefix begins them any more."""
    DENIED = "denied"
    """They are denied by name."""
    DEARER = "dearer"
    """One of the reference calls costs more."""
    CHEAPER = "cheaper"
    """None of the reference calls costs more, and one less."""
    TERMS = "other terms"
    """The reference calls cost the same; the rate or its description is another."""


@dataclass(frozen=True, slots=True)
class Change:
    """The numbers that begin with a prefix, and that no longer prefix takes, before and after."""

    prefix: str
    kind: Kind
    before: DeckEntry | None
    after: DeckEntry | None
    delta_micros: int
    """Of the reference call whose price changes most; a call that cannot be placed costs 0."""


def diff(before: RateDeck, after: RateDeck) -> Sequence[Change]:
    """Return what numbers cost under one deck and under the other, the largest change first.

    A prefix that only one of them has is compared with the shorter one that rates its numbers in
    the other: a row more may make calls dearer, and a row less too.
    """
    prefixes = dict.fromkeys((*before.prefixes, *after.prefixes))
    changes = [change for prefix in prefixes if (change := _change(prefix, before, after))]
    changes.sort(key=lambda change: (-abs(change.delta_micros), change.prefix))
    return changes


def _change(prefix: str, old: RateDeck, new: RateDeck) -> Change | None:
    before, after = old.match(prefix), new.match(prefix)
    if before is None and after is None:
        return None
    delta = _delta(before, after)
    if before is None:
        kind = Kind.ADDED
    elif after is None:
        kind = Kind.REMOVED if new.prefix_of(prefix) is None else Kind.DENIED
    elif delta:
        kind = Kind.DEARER if delta > 0 else Kind.CHEAPER
    elif _terms(before) == _terms(after):
        return None
    else:
        kind = Kind.TERMS
    return Change(prefix, kind, before, after, delta)


def _terms(entry: DeckEntry) -> tuple[Rate, str, str]:
    return entry.rate, entry.description, entry.country


def _delta(before: DeckEntry | None, after: DeckEntry | None) -> int:
    """Return the largest rise of a reference call's price; where none rises, the largest fall."""
    deltas = [_cost(after, seconds) - _cost(before, seconds) for seconds in REFERENCE_S]
    return max(deltas) if max(deltas) > 0 else min(deltas)


def _cost(entry: DeckEntry | None, seconds: int) -> int:
    return 0 if entry is None else entry.rate.cost(seconds)


@dataclass(frozen=True, slots=True)
class Margin:
    """What the numbers of a prefix are sold for, and what the carrier charges."""

    prefix: str
    """The longer of the deck's prefix and the carrier's."""
    sold: DeckEntry
    carrier: Rate

    def permille(self, mean_s: int) -> int | None:
        """Return earnings over the carrier's price, in thousandths of that price, rounded down.

        For calls of this mean length, the carrier's whole minutes included. None where the
        carrier charges nothing.
        """
        price = round(mean_price_micros(self.sold.rate, mean_s))
        cost = round(mean_price_micros(self.carrier, mean_s))
        return (price - cost) * PERMILLE // cost if cost else None

    def is_short_loss(self) -> bool:
        """Whether the shortest calls are sold below the minute that the carrier bills."""
        return not covers_carrier_minute(self.sold.rate, self.carrier.per_minute_micros)

    def is_loss(self, mean_s: int) -> bool:
        """Whether calls of this mean length are sold below what they cost."""
        permille = self.permille(mean_s)
        return permille is not None and permille < 0


def margins(deck: RateDeck, costs: RateDeck) -> Iterator[Margin]:
    """Yield the margin of every prefix whose cost is known.

    Prefixes of both: the carrier may tell numbers apart that the deck prices alike.
    """
    for prefix in dict.fromkeys((*deck.prefixes, *costs.prefixes)):
        sold, cost = deck.match(prefix), costs.match(prefix)
        if sold is not None and cost is not None:
            yield Margin(prefix, sold, cost.rate)


def with_margin(cost_micros: int, margin_permille: int) -> int:
    """Return a price that earns at least so much over the cost."""
    return -(-cost_micros * (PERMILLE + margin_permille) // PERMILLE)


def at_margin(costs: RateDeck, margin_permille: int, first_s: int, next_s: int) -> RateDeck:
    """Return a deck that sells what the carrier charges with a margin, in these increments.

    Where the first increment does not cover the carrier's minute, a minimum charge does.
    Raises RateDeckError where a price or an increment is out of its bounds.
    """
    entries: dict[str, DeckEntry | None] = {}
    for prefix in costs.prefixes:
        cost = costs.match(prefix)
        entries[prefix] = cost and _with_margin(cost, margin_permille, first_s, next_s)
    return RateDeck(entries)


def _with_margin(cost: DeckEntry, margin_permille: int, first_s: int, next_s: int) -> DeckEntry:
    carrier_micros = cost.rate.per_minute_micros
    rate = Rate(
        per_minute_micros=with_margin(carrier_micros, margin_permille),
        first_s=first_s,
        next_s=next_s,
    )
    if not covers_carrier_minute(rate, carrier_micros):
        rate = msgspec.structs.replace(rate, minimum_micros=carrier_micros)
    return msgspec.structs.replace(cost, rate=rate, carrier_micros=carrier_micros)


def carrier_minutes_permille(mean_s: int) -> int:
    """Return the minutes that a carrier bills per 1000 minutes of talk, rounded up."""
    a_minute_for_a_minute = carrier_rate(60 * PERMILLE)
    return ceil(mean_price_micros(a_minute_for_a_minute, mean_s) / mean_s)


@lru_cache(maxsize=65_536)
def mean_price_micros(rate: Rate, mean_s: int) -> float:
    """Return the mean price of calls whose lengths are exponential, its one rounding left out."""
    plain = msgspec.structs.replace(rate, minimum_micros=0, cap_micros=0)
    price = rate.connect_fee_micros + exp(-rate.free_s / mean_s) * _beyond(plain, 0, mean_s)
    if rate.minimum_micros > rate.connect_fee_micros:
        outlive, share = _longer(plain, rate.minimum_micros, mean_s)
        price = share + (1 - outlive) * rate.minimum_micros
    if rate.cap_micros:
        outlive, share = _longer(plain, rate.cap_micros, mean_s)
        price = price - share + outlive * rate.cap_micros
    return price


def _longer(rate: Rate, micros: int, mean_s: int) -> tuple[float, float]:
    """Return how many of all calls cost more than `micros`, and what they add to the mean price."""
    reach_s = rate.affordable_seconds(micros)
    outlive = exp(-reach_s / mean_s)
    so_far = max(rate.cost(reach_s), rate.connect_fee_micros)
    return outlive, outlive * (so_far + _beyond(rate, reach_s, mean_s))


def _beyond(rate: Rate, reach_s: int, mean_s: int) -> float:
    """Return what a call still costs, on average, from the end of an increment or free head."""
    first_s = rate.first_s if reach_s <= rate.free_s else rate.next_s
    billed_s = first_s - rate.next_s * exp(-first_s / mean_s) / expm1(-rate.next_s / mean_s)
    return billed_s * rate.per_minute_micros / 60
