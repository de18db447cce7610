"""Formats rates as tables for a terminal: changes of a deck, margins, prices of a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from billing.money import format_money
from billing.rate_changes import (
    MEAN_LENGTHS_S,
    PERMILLE,
    Margin,
    RateChange,
    RateChangeKind,
    carrier_minutes_permille,
)
from billing.rate_deck import DeckEntry, RateDeck
from billing.rating import SECONDS_MAX, Rate

ROWS_MAX = 20
"""Largest changes, and worst margins, that are listed."""

_ENDLESS_S = 2**63
"""Longer than any credit lasts at any price above 0."""

_STYLES = {
    RateChangeKind.DEARER: "yellow",
    RateChangeKind.REMOVED: "red",
    RateChangeKind.DENIED: "red",
}


def terms(rate: Rate, currency: str) -> str:
    """Return a rate in words, such as "$0.013/min 60/6 + $0.01, at least $0.05"."""
    parts = [f"{format_money(rate.per_minute_micros, currency)}/min {rate.first_s}/{rate.next_s}"]
    if rate.connect_fee_micros:
        parts.append(f" + {format_money(rate.connect_fee_micros, currency)}")
    if rate.free_s:
        parts.append(f", {rate.free_s} s free")
    if rate.minimum_micros:
        parts.append(f", at least {format_money(rate.minimum_micros, currency)}")
    if rate.cap_micros:
        parts.append(f", at most {format_money(rate.cap_micros, currency)}")
    return "".join(parts)


def deck(deck: RateDeck, prefixes: Iterable[str], currency: str) -> Table:
    """Return the rows of these prefixes."""
    table = Table("prefix", "description", "country", "rate", show_edge=False)
    for prefix in prefixes:
        entry = deck.match(prefix)
        if entry is None:
            table.add_row(prefix, "", "", "denied")
        else:
            table.add_row(
                prefix, Text(entry.description), entry.country, terms(entry.rate, currency)
            )
    return table


def changes(diff: Sequence[RateChange], currency: str) -> Iterator[Table | Text]:
    """Yield how many prefixes change in which way, and the largest changes."""
    counts = {kind: sum(change.kind is kind for change in diff) for kind in RateChangeKind}
    counted = ", ".join(f"{count} {kind.value}" for kind, count in counts.items() if count)
    yield Text(counted or "No price changes.")
    if not diff:
        return
    table = Table("prefix", "description", "", "before", "after", show_edge=False)
    for change in diff[:ROWS_MAX]:
        entry = change.after or change.before
        table.add_row(
            change.prefix,
            Text(entry.description if entry else ""),
            Text(change.kind.value, style=_STYLES.get(change.kind, "default")),
            *(terms(e.rate, currency) if e else "—" for e in (change.before, change.after)),
        )
    yield table
    if len(diff) > ROWS_MAX:
        yield Text(f"Smaller changes, not listed: {len(diff) - ROWS_MAX}.")


def earnings(found: Sequence[Margin]) -> Iterator[Table | Text]:
    """Yield the cost of the carrier's whole-minute billing, and the prefixes sold below cost."""
    yield Text("The carrier bills whole minutes, so that short calls cost it more than they last:")
    table = Table("mean length", "carrier minutes / talk", show_edge=False)
    if found:
        table.add_column("lowest margin")
        table.add_column("prefixes below cost")
    for mean_s in MEAN_LENGTHS_S:
        row: list[Text | str] = [f"{mean_s // 60} min"]
        row.append(f"{carrier_minutes_permille(mean_s) / PERMILLE:.3f}")
        if found:
            # `permille` is None if the carrier charges nothing.
            lowest = min((p for m in found if (p := m.permille(mean_s)) is not None), default=None)
            below = sum(margin.is_loss(mean_s) for margin in found)
            row += [_percent(lowest), Text(str(below), style="red") if below else "none"]
        table.add_row(*row)
    yield table
    if losses := losing(found):
        yield _warning(f"prefixes sold below what they cost: {len(losses)}")
        yield _losses(losses[:ROWS_MAX])
    if uncovered := [m.prefix for m in found if m.is_short_loss()]:
        named = ", ".join(uncovered[:ROWS_MAX]) + (", …" if len(uncovered) > ROWS_MAX else "")
        yield _warning(
            "prefixes whose shortest calls are sold below the minute that the carrier bills:"
            f" {len(uncovered)} ({named}). Bill 60 seconds first, or set a minimum."
        )


def _warning(text: str) -> Text:
    return Text.assemble(("Warning:", "bold red"), f" {text}")


def losing(found: Iterable[Margin]) -> list[Margin]:
    """Return the margins that are losses at some mean length, largest loss first."""
    losses = [m for m in found if any(map(m.is_loss, MEAN_LENGTHS_S))]
    # By the worst mean length: long calls may earn what short ones lose.
    return sorted(losses, key=lambda m: min(m.permille(s) or 0 for s in MEAN_LENGTHS_S))


def _losses(losses: Iterable[Margin]) -> Table:
    means = (f"{mean_s // 60} min" for mean_s in MEAN_LENGTHS_S)
    table = Table("prefix", "description", *means, show_edge=False)
    for margin in losses:
        shown = (_percent(margin.permille(mean_s)) for mean_s in MEAN_LENGTHS_S)
        table.add_row(margin.prefix, Text(margin.sold.description), *shown)
    return table


def _percent(permille: int | None) -> str:
    return "—" if permille is None else f"{permille / 10:+.1f} %"


def quote(
    entry: DeckEntry, currency: str, minutes: Iterable[int], credit_micros: int | None
) -> Table:
    """Return the price of a call, and how long a credit lasts."""
    table = Table("", "", show_header=False, show_edge=False)
    table.add_row("prefix", Text(f"+{entry.prefix} {entry.description}"))
    table.add_row("rate", terms(entry.rate, currency))
    for count in minutes:
        table.add_row(f"{count} min", format_money(entry.rate.cost(60 * count), currency))
    if credit_micros is not None:
        lasts = _duration(entry.rate.affordable_seconds(credit_micros, _ENDLESS_S))
        table.add_row(f"{format_money(credit_micros, currency)} lasts", lasts)
    return table


def _duration(seconds: int) -> str:
    # A rate that costs nothing, or nothing beyond its cap, which the credit covers.
    if seconds == _ENDLESS_S:
        return "without end"
    return "a day or more" if seconds >= SECONDS_MAX else f"{seconds // 60} min {seconds % 60} s"
