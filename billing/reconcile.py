"""Compares the spend gate with the book of record, and says what repairs the differences.

Both sides come as a `PartitionState`: the gate's snapshot, and the book's view of the same
partition. The book is right; only a gate that is ahead of it cannot be repaired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from billing.cdr import CallOpened, TimesLeft, opening_left, times_left
from billing.money import in_units
from billing.ports import OpenCall, PartitionState

BALANCES_DIFFER = "spend gate and book differ in the balance"
CREDIT_MISSING = "credit has not reached the spend gate"
CREDIT_UNKNOWN = "spend gate has a credit that the book has not"
HOLDS_DIFFER = "spend gate and book differ in what a live call holds"
CALL_MISSING = "call is live in the book, and not in the spend gate"
CALL_UNKNOWN = "call is live in the spend gate, and not in the book"
FREEZE_DIFFERS = "spend gate and book differ in whether the account is frozen"
OWNER_DIFFERS = "spend gate and book differ in whose a live call is"
SECONDS_DIFFER = "spend gate and book differ in the seconds of a live call"
RATE_DIFFERS = "spend gate and book differ in what a live call costs a minute"
ENDING_DIFFERS = "spend gate and book differ in what an ended call cost"
ENDING_FORGOTTEN = "call has ended in the book, and the spend gate knows nothing of it"
ENDING_UNKNOWN = "call has ended in the spend gate, and not in the book"
OPENING_MISREMEMBERED = "spend gate remembers another opening of a call than the book has"
ENDING_MISREMEMBERED = "spend gate remembers another end of a call than the book has"
CAP_DIFFERS = "spend-cap counter is not what the calls have cost"
CAP_UNKNOWN = "spend-cap counter of nobody"
CAP_FOREIGN = "live call counts under a foreign spend cap"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One point on which the two sides differ."""

    rule: str
    subject: str
    """An account id or a call id."""
    figures: str = field(default="", compare=False)
    """The account, and what each side says; may change from one comparison to the next."""

    def __str__(self) -> str:
        """Format it for people."""
        text = f"{self.rule}: {self.subject}"
        return f"{text} ({self.figures})" if self.figures else text


@dataclass(frozen=True, slots=True)
class Repairs:
    """What brings the gate in line with the book."""

    credits: Sequence[str]
    """Accounts whose credits the gate lacks."""
    freezes: Sequence[tuple[str, bool]]
    """Account, whether it must be frozen."""
    unbooked: Sequence[OpenCall]
    """Live in the gate only: the book has their end, or has not heard of them yet."""
    lost: Sequence[OpenCall]
    """Live in the book only: the gate has their end, or has forgotten them."""


def repairs(gate: PartitionState, book: PartitionState) -> Repairs:
    """Return what has to be repaired or looked into. `gate` must have been read before `book`."""
    sequences = {account_id: sequence for account_id, _, sequence in gate.accounts}
    at_gate = {call.call_id for call in gate.open_calls}
    in_book = {call.call_id for call in book.open_calls}
    # With the gate read first, whatever changes in between is known to the book, which is right: an
    # account frozen meanwhile is frozen once more, never released by an outdated view.
    return Repairs(
        credits=[
            account_id
            for account_id, _, sequence in book.accounts
            # A gate that is ahead of the book has no repair here; see `surpluses`.
            if sequence > sequences.get(account_id, 0)
        ],
        freezes=[
            *((account_id, True) for account_id in sorted({*book.frozen} - {*gate.frozen})),
            *((account_id, False) for account_id in sorted({*gate.frozen} - {*book.frozen})),
        ],
        unbooked=[call for call in gate.open_calls if call.call_id not in in_book],
        lost=[call for call in book.open_calls if call.call_id not in at_gate],
    )


def disagreements(gate: PartitionState, book: PartitionState) -> Iterator[Disagreement]:
    """Yield every point on which the two sides differ, accounts first."""
    yield from _accounts_that_differ(gate, book)
    yield from _calls_that_differ(gate, book)


def _accounts_that_differ(gate: PartitionState, book: PartitionState) -> Iterator[Disagreement]:
    at_gate = {account_id: rest for account_id, *rest in gate.accounts}
    in_book = {account_id: rest for account_id, *rest in book.accounts}
    for account_id in sorted(at_gate.keys() | in_book.keys()):
        # An account that never had credit needs no row on either side.
        available, applied = at_gate.get(account_id, (0, 0))
        balance, booked = in_book.get(account_id, (0, 0))
        # A missing credit explains a different balance; reporting both would count one fault twice.
        if applied != booked:
            rule = CREDIT_MISSING if applied < booked else CREDIT_UNKNOWN
            yield Disagreement(rule, account_id, f"gate has {applied} credits, book {booked}")
        elif available != balance:
            yield Disagreement(BALANCES_DIFFER, account_id, _both(available, balance))
    for account_id in sorted({*gate.frozen} ^ {*book.frozen}):
        where = "the gate" if account_id in gate.frozen else "the book"
        yield Disagreement(FREEZE_DIFFERS, account_id, f"frozen in {where} only")


def calls_at_no_gate(book: PartitionState) -> Iterator[Disagreement]:
    """Yield the live calls of a partition that the gate has lost."""
    yield from _calls_that_differ(PartitionState(), book)


def _calls_that_differ(gate: PartitionState, book: PartitionState) -> Iterator[Disagreement]:
    at_gate = {call.call_id: call for call in gate.open_calls}
    in_book = {call.call_id: call for call in book.open_calls}
    for call_id in sorted(at_gate.keys() | in_book.keys()):
        # Seconds and rates are compared with the details: a repair does not depend on them.
        there = at_gate.get(call_id)
        here = in_book.get(call_id)
        if there is None:
            yield Disagreement(CALL_MISSING, call_id, _held(here))
        elif here is None:
            yield Disagreement(CALL_UNKNOWN, call_id, _held(there))
        elif there.held_micros != here.held_micros:
            figures = _both(there.held_micros, here.held_micros)
            yield Disagreement(HOLDS_DIFFER, call_id, f"account {here.account_id}, {figures}")


def _both(gate_micros: int, book_micros: int) -> str:
    return f"gate {in_units(gate_micros)}, book {in_units(book_micros)}"


def _held(call: OpenCall | None) -> str:
    assert call is not None
    return f"account {call.account_id}, holds {in_units(call.held_micros)}"


@dataclass(frozen=True, slots=True)
class KeptEnding:
    """How a call ended, as far as both sides keep it."""

    charged_micros: int
    written_off_micros: int
    seconds: int
    account_id: str = ""
    """Empty if it is not kept."""
    cause: int | None = None
    ended_by: str | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ringing_at: datetime | None = None
    carrier_seconds: int | None = None
    booked_at: datetime | None = None
    """The date of its transfers, which the book alone knows."""

    @property
    def times_left(self) -> TimesLeft | None:
        """Its times once the call is forgotten; None where its end is not known."""
        if self.ended_at is None:
            return None
        return times_left(self.ended_at, self.booked_at, self.seconds)


@dataclass(frozen=True, slots=True)
class BookedDetail:
    """What the book says beyond balances and holds, for the audit of one partition."""

    openings: Mapping[str, Mapping[str, object]]
    """Call -> its opening, by the field names of `CallOpened`; for calls that the gate has."""
    endings: Mapping[str, KeptEnding]
    """Ended call -> its end; for calls that the gate has tombstones of."""
    caps: Mapping[str, tuple[int, int]]
    """Name of a cap in force -> lowest and highest value that its counter can have."""
    owners: Mapping[str, str]
    """Accounts and keys that a cap may belong to -> the account."""
    recent: Mapping[str, KeptEnding] = field(default_factory=dict)
    """Calls that ended so recently that the gate must have tombstones of them."""


def details_that_differ(
    gate: PartitionState,
    book: PartitionState,
    detail: BookedDetail,
    openings: Mapping[str, CallOpened],
    endings: Mapping[str, KeptEnding],
) -> Iterator[Disagreement]:
    """Yield what an audit finds besides `disagreements`; none of it is repaired by itself.

    `openings` and `endings` are what the gate would tell the book about its calls if it had to tell
    it again.
    """
    in_book = {call.call_id: call for call in book.open_calls}
    for call in gate.open_calls:
        booked = in_book.get(call.call_id)
        if booked is not None:
            yield from _details_of_call(call, booked)
    for call_id, micros in gate.closed_calls:
        ending = detail.endings.get(call_id)
        if ending is None:
            whose = _account_of(call_id, endings, openings, in_book)
            yield Disagreement(ENDING_UNKNOWN, call_id, f"{whose}cost {in_units(micros)}")
        elif ending.charged_micros != micros:
            figures = f"account {ending.account_id}, {_both(micros, ending.charged_micros)}"
            yield Disagreement(ENDING_DIFFERS, call_id, figures)
    # A call of which any row is left is not forgotten; rows that do not belong together are faults
    # of their own (`gate_rows`).
    known = {call_id for call_id, _ in gate.closed_calls}
    known |= {call.call_id for call in gate.open_calls} | openings.keys() | endings.keys()
    for call_id, ending in sorted(detail.recent.items()):
        if call_id not in known:
            figures = f"account {ending.account_id}, cost {in_units(ending.charged_micros)}"
            yield Disagreement(ENDING_FORGOTTEN, call_id, figures)
    yield from _memories_that_differ(detail, openings, endings)
    yield from _caps_that_differ(gate, detail)


def _account_of(
    call_id: str,
    endings: Mapping[str, KeptEnding],
    openings: Mapping[str, CallOpened],
    in_book: Mapping[str, OpenCall],
) -> str:
    """Return a call's account, as a figure, from whatever is left of it; empty if nothing is."""
    sources: Sequence[Mapping[str, KeptEnding | CallOpened | OpenCall]] = (
        endings,
        openings,
        in_book,
    )
    for source in sources:
        if call_id in source and (account_id := source[call_id].account_id):
            return f"account {account_id}, "
    return ""


def _caps_that_differ(gate: PartitionState, detail: BookedDetail) -> Iterator[Disagreement]:
    counters = dict(gate.spent)
    for name in sorted(counters.keys() | detail.caps.keys()):
        micros = counters.get(name, 0)
        # No bounds are known of a period that is over: only sign and owner of its counter are
        # judged.
        least, most = detail.caps.get(name, (micros, micros))
        if not least <= micros <= most or micros < 0:
            bounds = in_units(least) if least == most else f"{in_units(least)}..{in_units(most)}"
            account_id = detail.owners.get(cap_owner(name))
            whose = f"account {account_id}, " if account_id else ""
            figures = f"{whose}gate {in_units(micros)}, calls {bounds}"
            yield Disagreement(CAP_DIFFERS, name, figures)
        # Reported only where the amount fits, so that one fault is one finding.
        elif cap_owner(name) not in detail.owners:
            yield Disagreement(CAP_UNKNOWN, name)


def _memories_that_differ(
    detail: BookedDetail, openings: Mapping[str, CallOpened], endings: Mapping[str, KeptEnding]
) -> Iterator[Disagreement]:
    for call_id, opened in sorted(openings.items()):
        others = [
            name
            # Calls that the book has no opening of are left to the rules about missing calls.
            for name, value in detail.openings.get(call_id, {}).items()
            if getattr(opened, name) != value
        ]
        ending = detail.endings.get(call_id)
        if others and ending is not None and ending.times_left is not None:
            # A call is forgotten by the gate before it is by the book.
            left = opening_left(ending.times_left)
            others = [name for name in others if left.get(name) != getattr(opened, name)]
        if others:
            figures = f"account {opened.account_id}, other {', '.join(others)}"
            yield Disagreement(OPENING_MISREMEMBERED, call_id, figures)
    for call_id, told in sorted(endings.items()):
        ending = detail.endings.get(call_id)
        if ending is None or not (figures := _ending_differences(told, ending)):
            continue
        # As above.
        if _ending_differences(told, _forgotten(ending)):
            yield Disagreement(
                ENDING_MISREMEMBERED, call_id, f"account {ending.account_id}, {figures}"
            )


def _forgotten(ending: KeptEnding) -> KeptEnding:
    """Return what is left of a call's end once the call is forgotten."""
    if (left := ending.times_left) is None:
        return ending
    return replace(
        ending,
        answered_at=left.answered_at,
        ended_at=left.ended_at,
        ringing_at=None,
        carrier_seconds=None,
    )


def _details_of_call(call: OpenCall, booked: OpenCall) -> Iterator[Disagreement]:
    whose = f"account {booked.account_id}, "
    # Account and node are one row at the gate and one finding.
    if (call.account_id, call.node) != (booked.account_id, booked.node):
        figures = (
            f"gate {call.account_id} on {call.node}, book {booked.account_id} on {booked.node}"
        )
        yield Disagreement(OWNER_DIFFERS, call.call_id, figures)
    if call.seconds != booked.seconds:
        figures = f"gate {call.seconds} s, book {booked.seconds} s"
        yield Disagreement(SECONDS_DIFFER, call.call_id, whose + figures)
    if call.per_minute_micros != booked.per_minute_micros:
        figures = _both(call.per_minute_micros, booked.per_minute_micros)
        yield Disagreement(RATE_DIFFERS, call.call_id, whose + figures)
    # A cap of a key does not name an account; its counter is counted again instead.
    mine = f"account:{call.account_id}"
    if any(cap_owner(name) != mine for name in call.cap_names if name.startswith("account:")):
        yield Disagreement(CAP_FOREIGN, call.call_id)


def _ending_differences(told: KeptEnding, booked: KeptEnding) -> str:
    """Return how the gate's version of a call's end differs from the book's."""
    written_off = told.written_off_micros
    amounts = {
        "charged": (told.charged_micros, booked.charged_micros),
        # A call closed in the book first is closed by the gate at its charge, without the rest.
        "written off": (written_off, written_off and booked.written_off_micros),
    }
    # Times are compared as they are: both sides decode what one record says, to the microsecond.
    others = {
        "seconds": (told.seconds, booked.seconds),
        "account": (told.account_id or booked.account_id, booked.account_id),
        "cause": (told.cause, booked.cause),
        "ended by": (told.ended_by, booked.ended_by),
        # If the end does not say it, the book has it from elsewhere.
        "answered": (told.answered_at or booked.answered_at, booked.answered_at),
        "ended": (told.ended_at, booked.ended_at),
        "ringing": (told.ringing_at, booked.ringing_at),
        "carrier's seconds": (told.carrier_seconds, booked.carrier_seconds),
    }
    return ", ".join(
        [
            *(f"{name}: {_both(*pair)}" for name, pair in amounts.items() if pair[0] != pair[1]),
            *(
                f"{name}: gate {one}, book {other}"
                for name, (one, other) in others.items()
                if one != other
            ),
        ]
    )


def cap_owner(name: str) -> str:
    """Return a cap's owner from its name: `account:…` or `key:…`; ids may contain colons."""
    # From the right: the last two parts are the period and its date.
    return name.rsplit(":", 2)[0]


@dataclass(frozen=True, slots=True)
class Surplus:
    """What the gate has given an account beyond what the book knows."""

    account_id: str
    credits: int
    """How many credits the book lacks; 0 if it has as many."""
    micros: int
    """How much more the gate holds, live calls included, minus the cost of calls that the book
    lacks as well."""


def surpluses(gate: PartitionState, book: PartitionState) -> Iterator[Surplus]:
    """Yield the accounts that would lose credit if the gate were filled from the book."""
    at_gate = _wealth(gate)
    in_book = _wealth(book)
    for account_id in sorted(at_gate):
        total, applied = at_gate[account_id]
        booked_total, booked = in_book.get(account_id, (0, 0))
        # A higher number alone counts: it is a credit that the book lacks, though it may be spent.
        if applied > booked or total > booked_total:
            yield Surplus(account_id, max(0, applied - booked), total - booked_total)


def _wealth(state: PartitionState) -> dict[str, tuple[int, int]]:
    """Return what accounts have, holds included, and the number of their last credit."""
    found = {account_id: (micros, sequence) for account_id, micros, sequence in state.accounts}
    for call in state.open_calls:
        micros, sequence = found.get(call.account_id, (0, 0))
        # A hold is still the account's money, and would come back as balance when its call ends.
        found[call.account_id] = micros + call.held_micros, sequence
    return found
