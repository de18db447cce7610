"""Writes answers as lines for a terminal: in the words and columns of the gateway's commands. Pure.

Whatever came from elsewhere is plain text: nothing in it commands a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from caller_client.shapes import (
    Alarms,
    AlarmView,
    CallRow,
    CallView,
    FeedDelta,
    FeedSnapshot,
    FleetCalls,
    NodeFacts,
    SilencedView,
)

_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_GAP: Final = "  "


def plain(text: str) -> str:
    """Return a text in one line, with `?` for what is no character to be seen.

    Controls command a terminal; of others, such as marks of direction, a reader is misled.
    """
    return "".join(each if each.isprintable() else "?" for each in text.replace("\xa0", " "))


def json_line(value: Any) -> str:
    """Return a value as JSON for programs, in one line; what `plain` takes away is escaped."""
    return _UNPRINTABLE.sub(_escaped, msgspec.json.encode(value).decode())


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    # RFC 8259, 7: in UTF-16, beyond its first plane by two.
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def call_lines(calls: FleetCalls) -> Iterator[str]:
    """Yield the table of live calls."""
    if not calls.calls:
        yield "No call is live."
        return
    heads = ("call", "account", "number", "node", "state", "seconds", "cost", "begun (UTC)")
    rows = [
        (
            each.call.id,
            each.account_id,
            each.call.destination,
            each.call.node,
            _state(each.call),
            str(each.call.seconds),
            each.call.cost.text if each.call.cost else "",
            _at(each.call.created_at),
        )
        for each in calls.calls
    ]
    yield from _table(heads, rows, right=(5, 6))


def missing_lines(calls: FleetCalls) -> Iterator[str]:
    """Yield what is not in the table."""
    if calls.more:
        yield f"{calls.more} more are live."
    for node in calls.silent_nodes:
        yield plain(f"Node {node} does not answer: its calls are missing.")


def node_lines(nodes: Sequence[NodeFacts]) -> Iterator[str]:
    """Yield the table of nodes."""
    if not nodes:
        yield "No node runs."
        return
    heads = (
        "node",
        "takes calls",
        "calls",
        "at most",
        "loop late, ms",
        "logs (UTC)",
        "release",
        "running since (UTC)",
    )
    rows = [
        (
            each.node,
            "no" if each.is_draining else "yes",
            str(each.calls),
            str(each.calls_max),
            f"{each.lag_ms:.1f}",
            _level(each),
            each.release,
            each.started_at.rstrip("Z").replace("T", " "),
        )
        for each in nodes
    ]
    yield from _table(heads, rows, right=(2, 3, 4))


def alarm_lines(alarms: Alarms) -> Iterator[str]:
    """Yield the table of alarms, and below it what is silenced though it does not stand."""
    if alarms.alarms:
        heads = ("state", "since (UTC)", "alarm", "what it is, and what to do first")
        rows = [
            (_state_of(each), _at(each.since), each.name, f"{each.title} {each.action}")
            for each in alarms.alarms
        ]
        yield from _table(heads, rows)
    else:
        yield "No alarm stands."
    standing = {each.name for each in alarms.alarms}
    for each in alarms.silenced:
        if each.name not in standing:
            yield plain(f"Silenced{_order(each)}: {each.name}")


def call_line(row: CallRow) -> str:
    """Return one call as it stands."""
    at = row.ended_at or row.answered_at or row.ringing_at or row.created_at
    parts = [f"{at:%H:%M:%S}", f"{row.state:<10}", row.id, row.node, row.account_id]
    parts.append(row.destination)
    if row.cause_name:
        parts += [f"{row.seconds} s", money(row.cost_micros, row.currency)]
        parts += [row.cause_name, f"by {row.ended_by}"]
    return plain(_GAP.join(parts))


def money(micros: int, currency: str) -> str:
    """Return an amount with all its digits, two of them at least: `0.013 USD`.

    With the currency's code, so that no table of signs and minor units is needed.
    """
    units, rest = divmod(abs(micros), 1_000_000)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{units}.{decimals} {currency}"


class Changes:
    """Which calls of a stream are in another state than they were."""

    def __init__(self, account_id: str = "") -> None:
        """Look at the calls of one account; empty: at all."""
        self._account_id = account_id
        self._states: dict[str, str] = {}
        """By id, of the calls that are shown."""

    def take(self, event: FeedSnapshot | FeedDelta) -> list[CallRow]:
        """Return the calls that an event tells something new of."""
        told = [
            row
            for row in event.calls
            if self._states.get(row.id) != row.state and self._account_id in {"", row.account_id}
        ]
        if isinstance(event, FeedSnapshot):
            self._states.clear()
        else:
            for call_id in event.gone:
                self._states.pop(call_id, None)
        self._states.update((row.id, row.state) for row in event.calls)
        return told


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> Iterator[str]:
    """Yield lines of columns as wide as what is in them; those of figures are set to the right."""
    cells = [heads, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield _GAP.join(padded).rstrip()


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _state(call: CallView) -> str:
    if call.ended_at is not None:
        return "ending"
    return "talking" if call.answered_at is not None else "ringing"


def _level(node: NodeFacts) -> str:
    until = node.log_level_until
    return f"{node.log_level} until {until[5:16].replace('T', ' ')}" if until else node.log_level


def _state_of(alarm: AlarmView) -> str:
    return alarm.state + _order(alarm) if alarm.by else alarm.state


def _order(order: AlarmView | SilencedView) -> str:
    until = f" until {_at(order.until)}" if order.until is not None else ""
    return f"{until} by {order.by} ({order.reason})"
