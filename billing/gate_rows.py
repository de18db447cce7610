"""Reads the raw rows of a partition of the spend gate and checks them against one another.

Counters must match the open calls, each hold must have its owner, and every row must be one that
the gate's scripts write. Agreement with the book is checked by `reconcile`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from billing.cdr import CallClosed, CallOpened
from billing.ports import GateRows, OpenCall, PartitionState
from billing.reconcile import Disagreement, KeptEnding

COUNT_DIFFERS = "spend gate miscounts an account's open calls"
KEY_COUNT_DIFFERS = "spend gate miscounts an API key's open calls"
BURN_DIFFERS = "spend gate has a wrong burn rate"
STRAY = "spend gate has a row that belongs to nothing"
MALFORMED = "spend gate has a row that cannot be read"
FOREIGN_TYPE = "spend gate has a key of a foreign type"

# As many digits as 2^53 has: a longer number was not written by the scripts.
_INTEGER = re.compile(rb"-?[0-9]{1,16}")
_HOLD = re.compile(rb"([0-9]{1,16}):([0-9]{1,10})")
# Outbox entry, charged, written off, seconds, record in brief; the account is in a line of its own.
_ENDING = re.compile(
    rb"[0-9]+-[0-9]+ ([0-9]{1,16}) ([0-9]{1,16}) ([0-9]{1,10}) ([^\n]*)(?:\n(.*))?", re.DOTALL
)
_AMOUNT = re.compile(rb"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class GateContents:
    """The contents of a partition, and the faults found in it."""

    state: PartitionState
    """`closed_calls` are the tombstones."""
    openings: Mapping[str, CallOpened]
    """Call, live or ended -> what the gate would tell the book of its opening."""
    endings: Mapping[str, KeptEnding]
    """Ended call -> what the gate would tell the book of its end, if it had to tell it again."""
    faults: Sequence[Disagreement]
    is_filled: bool = True
    """False if the partition has lost its data."""
    is_withdrawn: bool = False
    """Whether it is not in service, with all its data, and waits to be filled from the book."""
    has_outbox: bool = True
    """False if something else is in the outbox's place."""


def read_rows(rows: GateRows) -> GateContents:
    """Return what the rows contain. Never raises: what cannot be read is a fault."""
    faults = [Disagreement(FOREIGN_TYPE, key) for key in rows.foreign]
    balances = _integers("bal", rows.balances, faults)
    sequences = _integers("cseq", rows.sequences, faults)
    calls = list(_open_calls(rows, faults))
    # Counted over the calls that can be read; the rows of the others are findings already.
    faults += _miscounts(rows.meta, calls)
    faults += _unpaired("done", rows.tombstones, "age", rows.tombstone_ages)
    openings = dict(_openings(rows, faults))
    endings = dict(_endings(rows, faults))
    with_calls = {call.account_id for call in calls}
    faults += (
        Disagreement(STRAY, f"out {_text(account)}")
        for account in sorted(rows.out)
        if _text(account) not in with_calls
    )
    faults += _unpaired("caps", rows.caps, "used", rows.cap_uses)
    state = PartitionState(
        accounts=[
            (account, balances.get(account, 0), sequences.get(account, 0))
            for account in sorted(balances.keys() | sequences.keys())
        ],
        open_calls=calls,
        closed_calls=list(_tombstones(rows.tombstones, faults)),
        frozen=sorted(map(_text, rows.frozen)),
        spent=sorted(_integers("caps", rows.caps, faults).items()),
    )
    is_ready = rows.meta.get(b"ready") == b"1"
    is_known = b"filling" in rows.meta
    return GateContents(
        state,
        openings,
        endings,
        faults,
        is_filled=is_ready or is_known,
        is_withdrawn=is_known and not is_ready,
        has_outbox=not rows.is_outbox_foreign,
    )


def _text(name: bytes) -> str:
    return name.decode(errors="replace")


def _integers(key: str, rows: Mapping[bytes, bytes], faults: list[Disagreement]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in rows.items():
        if _INTEGER.fullmatch(value):
            found[_text(name)] = int(value)
        else:
            faults.append(Disagreement(MALFORMED, f"{key} {_text(name)}"))
    return found


def _tombstones(
    rows: Mapping[bytes, bytes], faults: list[Disagreement]
) -> Iterator[tuple[str, int]]:
    for call, value in sorted(rows.items()):
        if _AMOUNT.fullmatch(value):
            yield _text(call), int(value)
        else:
            faults.append(Disagreement(MALFORMED, f"done {_text(call)}"))


_OPENED = msgspec.json.Decoder(CallOpened)
_CLOSED = msgspec.json.Decoder(CallClosed)


def _openings(rows: GateRows, faults: list[Disagreement]) -> Iterator[tuple[str, CallOpened]]:
    for call, value in sorted(rows.openings.items()):
        opened = _opening(value)
        # Whatever it says, it would never be trimmed: that happens with the call's tombstone.
        if call not in rows.holds and call not in rows.tombstones:
            whose = f"account {opened.account_id}" if opened is not None else ""
            faults.append(Disagreement(STRAY, f"began {_text(call)}", whose))
        elif opened is None:
            faults.append(Disagreement(MALFORMED, f"began {_text(call)}"))
        # Told to the book, it would be the opening of that other call.
        elif opened.call_id != _text(call):
            figures = f"account {opened.account_id}, names call {opened.call_id}"
            faults.append(Disagreement(MALFORMED, f"began {_text(call)}", figures))
        else:
            yield _text(call), opened


def _opening(value: bytes) -> CallOpened | None:
    try:
        opened: CallOpened = _OPENED.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return opened


def _endings(rows: GateRows, faults: list[Disagreement]) -> Iterator[tuple[str, KeptEnding]]:
    for call, value in sorted(rows.endings.items()):
        ending = _ending(value)
        if call not in rows.tombstones:
            whose = f"account {ending.account_id}" if ending and ending.account_id else ""
            faults.append(Disagreement(STRAY, f"ends {_text(call)}", whose))
        elif ending is None:
            faults.append(Disagreement(MALFORMED, f"ends {_text(call)}"))
        else:
            yield _text(call), ending


def _ending(value: bytes) -> KeptEnding | None:
    words = _ENDING.fullmatch(value)
    if words is None:
        return None
    try:
        # Kept in brief: the figures of the legs have their defaults and are not compared.
        record = _CLOSED.decode(words[4])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return KeptEnding(
        int(words[1]),
        int(words[2]),
        int(words[3]),
        _text(words[5] or b""),
        cause=record.cause,
        ended_by=record.ended_by,
        ringing_at=record.ringing_at,
        answered_at=record.answered_at,
        ended_at=record.ended_at,
        carrier_seconds=record.carrier_seconds,
    )


def _open_calls(rows: GateRows, faults: list[Disagreement]) -> Iterator[OpenCall]:
    for call in sorted(rows.owners.keys() | rows.holds.keys()):
        name = _text(call)
        owner = rows.owners.get(call)
        hold = rows.holds.get(call)
        # Half a call can be neither charged nor closed, so it is not one for the other rules.
        if owner is None or hold is None:
            read = None if owner is None else _owner(owner)
            whose = "" if read is None else f"account {read.account_id}"
            key = "call" if owner is None else "own"
            faults.append(Disagreement(STRAY, f"{key} {name}", whose))
            continue
        read = _owner(owner)
        held = _HOLD.fullmatch(hold)
        if read is None or held is None:
            faults.append(Disagreement(MALFORMED, f"{'own' if read is None else 'call'} {name}"))
            continue
        yield OpenCall(
            name,
            read.account_id,
            read.node,
            int(held[1]),
            int(held[2]),
            read.carrier_call_id,
            read.per_minute_micros,
            read.cap_names,
            read.key_id,
            read.answered_ms,
        )


class _Owner(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    account_id: str
    node: str
    carrier_call_id: str
    per_minute_micros: int
    cap_names: tuple[str, ...]
    key_id: str = ""
    answered_ms: int = 0


_OWNER = msgspec.json.Decoder(_Owner)


def _owner(row: bytes) -> _Owner | None:
    try:
        owner: _Owner = _OWNER.decode(row)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return owner


def _miscounts(meta: Mapping[bytes, bytes], calls: Sequence[OpenCall]) -> Iterator[Disagreement]:
    """Yield counters that do not match the open calls, and counters of no account."""
    counts = Counter(call.account_id for call in calls)
    of_keys = Counter(call.key_id for call in calls if call.key_id)
    burns: Counter[str] = Counter()
    for call in calls:
        # The tick script adds a call's rate once its first second is confirmed.
        if call.seconds:
            burns[call.account_id] += call.per_minute_micros
    kept = {_text(name): value for name, value in meta.items()}
    rules = (
        ("n:", counts, COUNT_DIFFERS),
        ("b:", burns, BURN_DIFFERS),
        ("k:", of_keys, KEY_COUNT_DIFFERS),
    )
    for prefix, due, rule in rules:
        counted = {name.removeprefix(prefix) for name in kept if name.startswith(prefix)}
        for whose in sorted(counted | {name for name, count in due.items() if count}):
            # The scripts delete a counter that has reached zero.
            if kept.get(prefix + whose, b"0") != b"%d" % due[whose]:
                yield Disagreement(rule, whose)
    for name in sorted(kept.keys() - {"ready", "filling"}):
        # The last close of an account deletes this mark, so it stands only beside open calls.
        is_of_ending = name.startswith("e:") and counts[name.removeprefix("e:")] > 0
        if not name.startswith(("n:", "b:", "k:")) and not is_of_ending:
            yield Disagreement(STRAY, f"meta {name}")


def _unpaired(
    key: str, rows: Mapping[bytes, bytes], beside: str, ages: Mapping[bytes, bytes]
) -> Iterator[Disagreement]:
    """Yield rows without their counterpart, by which they would be trimmed."""
    for name in sorted(rows.keys() ^ ages.keys()):
        yield Disagreement(STRAY, f"{key if name in rows else beside} {_text(name)}")
