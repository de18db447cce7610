"""Compares rate decks: what a new one changes, and what it earns over the carrier's prices.

Prices are micros. Call lengths are assumed to be exponentially distributed, as is usual in
telephony: how long a call will go on does not depend on how long it has lasted, so the mean price
of a rate has a closed form.
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
"""Lengths of the calls by whose price two rates are compared."""

MEAN_LENGTHS_S = (60, 180, 300)
"""Mean lengths of calls for which margins are shown."""

PERMILLE = 1000


class RateChangeKind(Enum):
    """What happens to the numbers of a prefix."""

    ADDED = "added"
    """They could not be called before."""
    REMOVED = "removed"
    """No prefix matches them any more."""
    DENIED = "denied"
    """They are explicitly denied."""
    DEARER = "dearer"
    """At least one of the reference calls costs more."""
    CHEAPER = "cheaper"
    """None of the reference calls costs more, and at least one costs less."""
    TERMS = "other terms"
    """The reference calls cost the same, but the rate or its description differs."""


@dataclass(frozen=True, slots=True)
class RateChange:
    """The numbers matched by a prefix and by no longer one, before and after."""

    prefix: str
    kind: RateChangeKind
    before: DeckEntry | None
    after: DeckEntry | None
    delta_micros: int
    """For the reference call whose price changes most; a call that cannot be placed costs 0."""


def diff(before: RateDeck, after: RateDeck) -> Sequence[RateChange]:
    """Return what changes for which numbers from one deck to the other, largest change first.

    A prefix that only one deck has is compared with the shorter one that rates its numbers in the
    other: adding a row may make calls dearer, and so may removing one.
    """
    prefixes = dict.fromkeys((*before.prefixes, *after.prefixes))
    changes = [change for prefix in prefixes if (change := _change(prefix, before, after))]
    changes.sort(key=lambda change: (-abs(change.delta_micros), change.prefix))
    return changes


def _change(prefix: str, old: RateDeck, new: RateDeck) -> RateChange | None:
    before = old.match(prefix)
    after = new.match(prefix)
    # Denied by both decks, whether by a row or because no prefix matches.
    if before is None and after is None:
        return None
    delta = _delta(before, after)
    if before is None:
        kind = RateChangeKind.ADDED
    elif after is None:
        kind = RateChangeKind.REMOVED if new.prefix_of(prefix) is None else RateChangeKind.DENIED
    elif delta:
        kind = RateChangeKind.DEARER if delta > 0 else RateChangeKind.CHEAPER
    elif _terms(before) == _terms(after):
        return None
    else:
        kind = RateChangeKind.TERMS
    return RateChange(prefix, kind, before, after, delta)


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
    """The selling price of the numbers of a prefix, and the carrier's price."""

    prefix: str
    """The longer of the deck's prefix and the carrier's."""
    sold: DeckEntry
    carrier: Rate

    def permille(self, mean_s: int) -> int | None:
        """Return the earnings in thousandths of the carrier's price, rounded down.

        For calls of this mean length, with the carrier's whole-minute billing. None if the carrier
        charges nothing.
        """
        # Whole micros, so that the division below floors exactly.
        price = round(mean_price_micros(self.sold.rate, mean_s))
        cost = round(mean_price_micros(self.carrier, mean_s))
        return (price - cost) * PERMILLE // cost if cost else None

    def is_short_loss(self) -> bool:
        """Whether the shortest calls sell for less than the minute that the carrier bills."""
        return not covers_carrier_minute(self.sold.rate, self.carrier.per_minute_micros)

    def is_loss(self, mean_s: int) -> bool:
        """Whether calls of this mean length sell for less than they cost."""
        permille = self.permille(mean_s)
        return permille is not None and permille < 0


def margins(deck: RateDeck, costs: RateDeck) -> Iterator[Margin]:
    """Yield the margin of every prefix whose cost is known.

    Over the prefixes of both decks: the carrier may distinguish numbers that the deck prices alike.
    """
    for prefix in dict.fromkeys((*deck.prefixes, *costs.prefixes)):
        sold = deck.match(prefix)
        cost = costs.match(prefix)
        if sold is not None and cost is not None:
            yield Margin(prefix, sold, cost.rate)


def with_margin(cost_micros: int, margin_permille: int) -> int:
    """Return a price that earns at least this much over the cost."""
    return -(-cost_micros * (PERMILLE + margin_permille) // PERMILLE)


def at_margin(costs: RateDeck, margin_permille: int, first_s: int, next_s: int) -> RateDeck:
    """Return a deck that sells at the carrier's price plus a margin, in these increments.

    If the first increment does not cover the carrier's minute, a minimum charge does. Raises
    RateDeckError if a price or an increment is out of bounds.
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
    # Importing the deck would refuse it otherwise; see `RateDeck.from_csv`.
    if not covers_carrier_minute(rate, carrier_micros):
        rate = msgspec.structs.replace(rate, minimum_micros=carrier_micros)
    return msgspec.structs.replace(cost, rate=rate, carrier_micros=carrier_micros)


def carrier_minutes_permille(mean_s: int) -> int:
    """Return the minutes that a carrier bills per 1000 minutes of talk, rounded up."""
    # At 1000 micros a second the mean price over the mean length is thousandths of billed over
    # talked time.
    a_minute_for_a_minute = carrier_rate(60 * PERMILLE)
    return ceil(mean_price_micros(a_minute_for_a_minute, mean_s) / mean_s)


# Many prefixes share a rate, and each is asked for three mean lengths.
@lru_cache(maxsize=65_536)
def mean_price_micros(rate: Rate, mean_s: int) -> float:
    """Return the mean price of calls of exponential length, without rounding."""
    plain = msgspec.structs.replace(rate, minimum_micros=0, cap_micros=0)
    # Only calls that outlive the free head cost more. By the exponential law they go on like new
    # ones.
    price = rate.connect_fee_micros + exp(-rate.free_s / mean_s) * _beyond(plain, 0, mean_s)
    if rate.minimum_micros > rate.connect_fee_micros:
        outlive, share = _longer(plain, rate.minimum_micros, mean_s)
        # Longer calls keep their part of the mean; all others pay the minimum instead.
        price = share + (1 - outlive) * rate.minimum_micros
    if rate.cap_micros:
        outlive, share = _longer(plain, rate.cap_micros, mean_s)
        # The calls beyond the cap pay the cap instead of their part of the mean.
        price = price - share + outlive * rate.cap_micros
    return price


def _longer(rate: Rate, micros: int, mean_s: int) -> tuple[float, float]:
    """Return the share of calls costing more than `micros`, and their part of the mean price."""
    reach_s = rate.affordable_seconds(micros)
    outlive = exp(-reach_s / mean_s)
    # cost(0) is 0, but every call that lasts at all owes the connect fee.
    so_far = max(rate.cost(reach_s), rate.connect_fee_micros)
    return outlive, outlive * (so_far + _beyond(rate, reach_s, mean_s))


def _beyond(rate: Rate, reach_s: int, mean_s: int) -> float:
    """Return the mean further cost of a call from the end of an increment or free head."""
    first_s = rate.first_s if reach_s <= rate.free_s else rate.next_s
    # The first increment whole, then a geometric series over the following ones: a call outlives
    # one with probability exp(-next / mean).
    billed_s = first_s - rate.next_s * exp(-first_s / mean_s) / expm1(-rate.next_s / mean_s)
    return billed_s * rate.per_minute_micros / 60
