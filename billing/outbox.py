"""Folds outbox entries into the state of each call.

Entries carry state, not deltas, so folding does not depend on repetition or order: of two holds the
larger is newer, and an end is final and outranks every hold. The book of record compares the result
with what it holds (`BookedCall.advanced_by`) and books the difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from billing.cdr import MEASURED, CallClosed, CallOpened, CallRecord
from billing.figures import Unit
from billing.money import LIMIT
from billing.ports import CallMemory, OutboxEntry

COUNT_MAX = 2**31 - 1
"""Largest number of seconds, and largest cause: the book's integer columns have 32 bits."""
ID_CHARACTERS_MAX = 255
_CLOCK_ID = re.compile(r"([0-9]{13,14})-[0-9]+", re.ASCII)
"""Id of an entry taken from the gate's clock, years 2001 to 5138."""


class _MalformedError(Exception):
    """An entry that no version of the spend gate writes; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A call's final price and its record."""

    charged_micros: int
    written_off_micros: int
    seconds: int
    detail: CallClosed


@dataclass(slots=True)
class CallChange:
    """What one batch of entries says about one call."""

    account_id: str = ""
    """Empty if the batch only ticked the call."""
    opened: CallOpened | None = None
    held_micros: int = 0
    """Highest cumulative hold seen."""
    seconds: int = 0
    """Highest confirmed second seen."""
    answered_at: datetime | None = None
    """When the phone was answered, to the second, by the earliest of its confirmed seconds."""
    ending: Ending | None = None
    carrier_call_id: str = ""
    """The call's id at the carrier, as reported while it is live."""


@dataclass(slots=True)
class OutboxBatch:
    """The result of folding."""

    changes: dict[str, CallChange] = field(default_factory=dict)
    """By call id."""
    rejected: list[OutboxEntry] = field(default_factory=list)
    """Unreadable entries; kept for a person to look at, as they may say who owes what."""


class BookedCall(NamedTuple):
    """The part of a call in the book of record that decides how entries change it."""

    account_id: str
    spent_micros: int = 0
    """The hold while the call is live, the charge once it has ended."""
    seconds: int = 0
    is_opened: bool = False
    """Whether the opening record is there: the end can arrive first."""
    is_closed: bool = False
    answered_at: datetime | None = None
    """Never None if seconds were charged."""
    carrier_call_id: str = ""
    """Empty until the carrier has given it."""

    def advanced_by(self, change: CallChange) -> BookedCall:
        """Return the call after the change; equal to itself if nothing is new."""
        is_opened = self.is_opened or change.opened is not None
        answered_at = _earlier(self.answered_at, change.answered_at)
        name = change.carrier_call_id or self.carrier_call_id
        # An end is final: late totals change nothing, and of two ends the first stands. Only a
        # missing opening may still be added.
        if self.is_closed:
            return self._replace(is_opened=is_opened)
        if change.ending is not None:
            return BookedCall(
                self.account_id,
                change.ending.charged_micros,
                change.ending.seconds,
                is_opened=is_opened,
                is_closed=True,
                answered_at=_answered_at(change.ending, answered_at),
                # A node that settles the call of a dead one may not know it.
                carrier_call_id=change.ending.detail.carrier_call_id or name,
            )
        return BookedCall(
            self.account_id,
            # Totals of a live call only grow, so that the larger is the newer, in whatever order
            # they came.
            max(self.spent_micros, change.held_micros),
            max(self.seconds, change.seconds),
            is_opened=is_opened,
            answered_at=answered_at,
            carrier_call_id=name,
        )


def _answered_at(ending: Ending, known: datetime | None) -> datetime | None:
    """Return when the phone was answered, from its end, from what is known, or at the latest.

    A node that settles the call of a dead one may not know it.
    """
    detail = ending.detail
    if detail.answered_at is not None or not ending.seconds:
        return detail.answered_at or known
    return _earlier(known, _before(detail.ended_at, ending.seconds))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return one if other is None else other if one is None else min(one, other)


def _before(at: datetime, seconds: int) -> datetime:
    try:
        return at - timedelta(seconds=seconds)
    except OverflowError:  # a time that no clock shows
        return at


def fold(entries: Iterable[OutboxEntry]) -> OutboxBatch:
    """Fold entries into one change per call. Never raises: unreadable entries are set aside."""
    batch = OutboxBatch()
    for entry in entries:
        try:
            _FOLDS[entry.kind](batch.changes, entry)
        # Raised further, one unreadable entry would keep its partition from being booked for ever.
        # KeyError: a kind or a field that this release does not know, or misses.
        except (_MalformedError, KeyError):
            batch.rejected.append(entry)
    return batch


def is_tellable(memory: CallMemory) -> bool:
    """Return whether the book could read what the gate would tell it about a call."""
    call = {"c": memory.call_id.encode(), "a": memory.account_id.encode()}
    # The test is folding itself, so that there is one definition of what can be read.
    entries = []
    if memory.opened:
        entries.append(OutboxEntry("", "O", {**call, "s": b"0", "m": memory.opened}))
    if memory.closed:
        figures = {
            "s": b"%d" % memory.charged_micros,
            "w": b"%d" % memory.written_off_micros,
            "d": b"%d" % memory.seconds,
        }
        entries.append(OutboxEntry("", "C", {**call, **figures, "m": memory.closed}))
    return not fold(entries).rejected


Changes = dict[str, CallChange]


def _fold_opened(changes: Changes, entry: OutboxEntry) -> None:
    fields = entry.fields
    call_id, account_id = _text(fields["c"]), _text(fields["a"])
    held_micros = _integer(fields["s"], LIMIT)
    detail = _decode_opened(fields["m"])
    change = changes.setdefault(call_id, CallChange())
    change.account_id = account_id
    change.opened = detail
    change.held_micros = max(change.held_micros, held_micros)


def _fold_ticked(changes: Changes, entry: OutboxEntry) -> None:
    ticks = _parse_ticks(entry.fields["d"])
    name = _text(entry.fields["n"]) if "n" in entry.fields else ""
    # An id at the carrier belongs to one call; which of several could not be told.
    if name and len(ticks) != 1:
        raise _MalformedError
    told_at = _told_at(entry.entry_id)
    for call_id, held_micros, seconds in ticks:
        change = changes.setdefault(call_id, CallChange())
        change.held_micros = max(change.held_micros, held_micros)
        change.seconds = max(change.seconds, seconds)
        change.carrier_call_id = name or change.carrier_call_id
        # Seconds count from the answer, so each entry dates it; it was told late if anything, so
        # the earliest date is the closest.
        if seconds and told_at is not None:
            change.answered_at = _earlier(change.answered_at, _before(told_at, seconds))


def _told_at(entry_id: str) -> datetime | None:
    """Return when the gate wrote an entry: stream ids begin with its clock's milliseconds."""
    match = _CLOCK_ID.fullmatch(entry_id)
    return None if match is None else datetime.fromtimestamp(int(match[1]) / 1000, UTC)


def _fold_closed(changes: Changes, entry: OutboxEntry) -> None:
    # Everything is parsed before anything is noted: an entry counts as a whole or not at all.
    fields = entry.fields
    call_id, account_id = _text(fields["c"]), _text(fields["a"])
    ending = Ending(
        charged_micros=_integer(fields["s"], LIMIT),
        written_off_micros=_integer(fields["w"], LIMIT),
        seconds=_integer(fields["d"], COUNT_MAX),
        detail=_decode_closed(fields["m"]),
    )
    change = changes.setdefault(call_id, CallChange())
    change.account_id = account_id
    # A gate rolled back by a failover may end a call a second time; the first end stands, in a
    # batch as in the book.
    if change.ending is None:
        change.ending = ending


_FOLDS = {"O": _fold_opened, "T": _fold_ticked, "C": _fold_closed}


def _parse_ticks(value: bytes) -> Sequence[tuple[str, int, int]]:
    """Parse `call spent:secs call spent:secs ...`."""
    words = value.split(b" ")
    if len(words) % 2:
        raise _MalformedError
    ticks = []
    for call_id, totals in zip(words[::2], words[1::2], strict=True):
        held, colon, seconds = totals.partition(b":")
        if not colon:
            raise _MalformedError
        ticks.append((_text(call_id), _integer(held, LIMIT), _integer(seconds, COUNT_MAX)))
    return ticks


def _text(value: bytes) -> str:
    """Return an id without NUL, which PostgreSQL cannot store."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise _MalformedError from error
    if not 0 < len(text) <= ID_CHARACTERS_MAX or "\0" in text:
        raise _MalformedError
    return text


def _integer(value: bytes, maximum: int) -> int:
    # bytes.isdigit() accepts ASCII digits only, unlike that of str.
    # Longer digit strings than 2^53 needs are refused before they are parsed.
    if not value.isdigit() or len(value) > 16:
        raise _MalformedError
    number = int(value)
    if number > maximum:
        raise _MalformedError
    return number


def _decode_opened(value: bytes) -> CallOpened:
    detail: CallOpened = _decode(value, _OPENED)
    # The book's columns take no time without a zone: writing one would fail the whole batch.
    if detail.created_at.tzinfo is None:
        raise _MalformedError
    return detail


def _decode_closed(value: bytes) -> CallClosed:
    detail: CallClosed = _decode(value, _CLOSED)
    if detail.ended_at.tzinfo is None:
        raise _MalformedError
    if not 0 <= detail.cause <= COUNT_MAX:
        raise _MalformedError
    for figure in MEASURED:
        measured = getattr(detail, figure.name)
        if measured is not None and not _is_storable(measured, figure.unit):
            raise _MalformedError
    return detail


def _is_storable(value: Any, unit: Unit) -> bool:
    """Whether the column of a measured figure takes a value; else the whole batch would fail."""
    match unit:
        case Unit.TIME:
            return bool(value.tzinfo)
        case Unit.SECONDS | Unit.COUNT:
            # PostgreSQL refuses a larger number.
            return value in range(COUNT_MAX + 1)
        case Unit.MICROS:
            return value in range(LIMIT + 1)
    return True


_OPENED = msgspec.json.Decoder(CallOpened)
_CLOSED = msgspec.json.Decoder(CallClosed)


def _decode(value: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    # A NUL may hide as an escape in JSON; decoded it is text that PostgreSQL refuses.
    if b"\\u0000" in value:
        raise _MalformedError
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _MalformedError from error


def ended_in(entries: Iterable[OutboxEntry], account_id: str) -> Mapping[str, CallRecord]:
    """Return the records of an account's ended calls that are not booked yet, by call id.

    Includes only calls whose opening and end are both among the entries.
    """
    owner = account_id.encode()
    # Calls of other accounts are not read. Entries of confirmed seconds name no account; the end
    # of the call covers them.
    changes = fold(entry for entry in entries if entry.fields.get("a") == owner).changes
    found = {call_id: _record(account_id, change) for call_id, change in changes.items()}
    return {call_id: record for call_id, record in found.items() if record is not None}


def _record(account_id: str, change: CallChange) -> CallRecord | None:
    if change.opened is None or change.ending is None:
        return None
    call = BookedCall(account_id).advanced_by(change)
    return CallRecord(
        opened=change.opened,
        closed=msgspec.structs.replace(
            change.ending.detail,
            seconds=call.seconds,
            answered_at=call.answered_at,
            carrier_call_id=call.carrier_call_id,
        ),
        cost_micros=call.spent_micros,
        written_off_micros=change.ending.written_off_micros,
        used_s=call.seconds,
    )
