"""Sums a rate deck up for people: what calls to each country cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from billing.rate_deck import RateDeck
from billing.rating import Rate

LASTING_MINUTES_MAX: Final = 100_000
"""Most minutes that a balance is said to last: many calls may use it, so no call's length bounds
them, and some rates cost nothing."""


def lasting_minutes(rate: Rate, micros: int) -> int:
    """Return how many whole minutes of talk a balance is about enough for, in one call."""
    return rate.affordable_seconds(micros, LASTING_MINUTES_MAX * 60) // 60 if micros > 0 else 0


@dataclass(frozen=True, slots=True)
class RateGroup:
    """Prefixes of one country that have the same name and cost the same."""

    description: str
    rate: Rate
    prefixes: Sequence[str]
    """Leading digits, in the order of the deck."""
    is_closed: bool
    """Whether no call may go there."""


def by_country(deck: RateDeck, closes: Callable[[str], bool]) -> Mapping[str, Sequence[RateGroup]]:
    """Return country -> its groups, the cheapest minute first, closed ones last.

    Countries are ISO 3166 alpha-2 codes; prefixes of no country are left out. `closes` says of
    digits whether calls to numbers that begin so are closed.
    """
    groups: dict[str, dict[tuple[str, Rate, bool], list[str]]] = {}
    for entry in deck:
        if entry.country:
            key = (entry.description, entry.rate, closes(entry.prefix))
            groups.setdefault(entry.country, {}).setdefault(key, []).append(entry.prefix)
    return {
        country: sorted(
            (
                RateGroup(description, rate, prefixes, is_closed)
                for (description, rate, is_closed), prefixes in found.items()
            ),
            key=lambda group: (group.is_closed, group.rate.per_minute_micros, group.description),
        )
        for country, found in groups.items()
    }
