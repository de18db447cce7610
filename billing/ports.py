"""Defines what billing's adapters must provide: the spend gate and the book of record.

The spend gate (Valkey) decides every second whether a call may go on; the book of record (SQL) says
what was charged. Every method is idempotent: a repeated call changes nothing. Amounts are micros:
integer millionths of the account's currency.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from billing.cdr import ANY_CALL, CallFilter, CallRecord
from database.errors import StoreUnavailableError


@dataclass(frozen=True, slots=True)
class BookedEvent:
    """An event that is reported to programs once a fact is booked."""

    name: str
    """Of the event."""
    data: Mapping[str, Any]
    """Has `account_id`, and `reference`: the fact's own name."""


BookingGuard = Callable[[Collection[str]], None]
"""May veto a booking. It gets the references of all credits of a payment, including the one that is
being booked; if it raises, nothing is booked and the exception propagates."""


class OpenResult(Enum):
    """Result of a request to open a call."""

    OPENED = "opened"
    """Also if the call was already open."""
    INSUFFICIENT_CREDIT = "insufficient_credit"
    FROZEN = "frozen"
    TOO_MANY_CALLS = "too_many_calls"
    CAP_REACHED = "cap_reached"
    """What a spend cap leaves does not cover the first increment."""
    ALREADY_CLOSED = "already_closed"


class CreditResult(Enum):
    """Result of bringing a credit to the spend gate."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    GAP = "gap"
    """An earlier credit of this account is missing; bring that one first."""


class CloseResult(Enum):
    """Result of a request to close a call."""

    CLOSED = "closed"
    ALREADY_CLOSED = "already_closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SpendCap:
    """A bound on the joint cost of a group of calls, such as an account's calls of a day."""

    name: str
    """Identifies the group; a new period has a new name. All its calls belong to one account."""
    limit_micros: int


@dataclass(frozen=True, slots=True)
class Opening:
    """A request for a call's first hold."""

    call_id: str
    account_id: str
    node: str
    first_micros: int
    """Price of the first increment; the call is refused if the balance does not cover it."""
    want_micros: int
    """Price of the prepaid horizon; held as far as the balance reaches."""
    concurrent_calls_max: int
    detail: bytes
    """`CallOpened` as JSON, for the book of record."""
    caps: Sequence[SpendCap] = ()
    per_minute_micros: int = 0
    """What the call will cost per minute once it is answered."""
    key_id: str = ""
    key_calls_max: int = 0
    """Most open calls of the API key that pays, on all nodes; 0 for any number."""
    sharers: int = 0
    """Calls that may come to share the balance: the hold takes at most its share, or the first
    increment if that is more. 0 for as much as is wanted."""
    is_running: bool = False
    """The call is live and the gate has lost it: it is opened whatever it can hold."""


@dataclass(frozen=True, slots=True)
class OpenOutcome:
    """The gate's answer to an `Opening`."""

    result: OpenResult
    granted_micros: int = 0
    """Held for the call so far, cumulative."""
    balance_micros: int = 0
    """What the account has left after it."""
    wanted_micros: int = 0
    """What the hold was meant to be: less than requested if a small balance is shared by many."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One live call's cumulative claim at one second."""

    call_id: str
    account_id: str
    want_micros: int
    """Price of the elapsed seconds plus the prepaid horizon."""
    seconds: int
    """Whole seconds owed; none before sound has come from the phone."""
    caps: Sequence[SpendCap] = ()
    answered_ms: int = 0
    """When the phone was answered, in ms since 1970; 0 once the gate has been told."""


@dataclass(frozen=True, slots=True)
class TickOutcome:
    """The gate's answer to one partition's ticks."""

    short: Mapping[str, int]
    """Calls that got less than they claimed -> what they hold, cumulative."""
    lost: Sequence[str]
    """Calls unknown to the gate: to be opened again."""
    closed: Sequence[str]
    """Calls that have been settled already, by any node."""
    balances: Mapping[str, int]
    """Account -> available micros after the ticks."""
    burns: Mapping[str, int] = field(default_factory=dict)
    """Account -> micros per minute of all its answered calls, on all nodes."""
    spent: Mapping[str, int] = field(default_factory=dict)
    """Name of a spend cap -> what its calls have cost or hold so far."""
    capped: Collection[str] = ()
    """Calls among `short` that a spend cap limits, not the balance."""
    frozen: Collection[str] = ()
    """Accounts whose calls must end."""
    filling: str = ""
    """Identifies the filling that the partition lives on: another one knows what the book knew."""
    open_calls: Mapping[str, int] = field(default_factory=dict)
    """Account -> how many calls it has, answered or not, on all nodes."""
    ending: Collection[str] = ()
    """Accounts of which a call has ended for want of credit: the others end with it."""


@dataclass(frozen=True, slots=True)
class Closing:
    """An ended call, to be charged for good, beyond its hold as far as balance and caps allow."""

    call_id: str
    account_id: str
    final_micros: int
    seconds: int
    detail: bytes
    """`CallClosed` as JSON, for the book of record."""
    is_out_of_credit: bool = False
    """It ended for want of credit: its rest must keep no other call of its account alive."""
    caps: Sequence[SpendCap] = ()


@dataclass(frozen=True, slots=True)
class CloseOutcome:
    """The gate's answer to a `Closing`."""

    result: CloseResult
    charged_micros: int = 0
    written_off_micros: int = 0
    """The price of seconds already used that balance and caps could not pay."""
    balance_micros: int = 0
    seconds: int = 0
    """For which a call was charged that had been closed before; 0 where the gate does not know."""
    is_repeat: bool = False
    """It was this very closing that had closed the call, and its answer was lost."""


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call that the gate holds credit for."""

    call_id: str
    account_id: str
    node: str
    held_micros: int
    seconds: int
    """Owed, as confirmed by ticks; 0 while nothing is known to have been heard."""
    carrier_call_id: str = ""
    """Empty until the carrier has given it."""
    per_minute_micros: int = 0
    cap_names: Sequence[str] = ()
    key_id: str = ""
    answered_ms: int = 0
    """When the phone was answered, in ms since 1970; 0 where its node has not told it."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One entry of a partition's outbox: state, not a delta, so that it may be applied twice."""

    entry_id: str
    kind: str
    """`O` opened, `T` ticked or given its carrier id, `C` closed."""
    fields: Mapping[str, bytes]
    previous_id: str = ""
    """Id of the entry that was written before it, `0-0` for none; empty where it does not say."""


@dataclass(frozen=True, slots=True)
class GateEnding:
    """The end of a call as the gate remembers it."""

    call_id: str
    account_id: str
    """Empty if the gate only knows that the call is over and what it cost, because it was filled
    from a book that knew no more."""
    seconds: int
    charged_micros: int
    opened: bytes = b""
    """`CallOpened` as JSON; empty if the gate does not know it."""


@dataclass(frozen=True, slots=True)
class EndingPage:
    """A page of endings, oldest first."""

    endings: Sequence[GateEnding]
    ended_s: int
    """The second of the gate's clock after which the next page begins."""


class SpendGate(Protocol):
    """The credit that live calls spend."""

    def partition(self, account_id: str) -> int:
        """Return the partition that holds this account."""

    async def open(self, opening: Opening) -> OpenOutcome:
        """Place a call's first hold. Raises StoreUnavailableError."""

    async def tick(self, partition: int, ticks: Sequence[Tick]) -> TickOutcome:
        """Raise the holds of one partition's live calls. Raises StoreUnavailableError."""

    async def tick_all(
        self, claims: Mapping[int, Sequence[Tick]]
    ) -> Mapping[int, TickOutcome | StoreUnavailableError]:
        """Raise the holds of several partitions at once; each has its own outcome."""

    async def close(self, closing: Closing) -> CloseOutcome:
        """Post a call's final price, free the rest of its hold. Raises StoreUnavailableError."""

    async def resend_ending(self, call_id: str, account_id: str, opened: bytes = b"") -> bool:
        """Put a closed call's end into the outbox again, for a book that lacks it; True if put.

        Not while it still waits there. `opened` is a `CallOpened` as JSON, to be sent with it.
        """

    async def resend_open(self, partition: int) -> int:
        """Put the open calls' openings, holds and seconds into the outbox again.

        Returns how many calls are open. Raises StoreUnavailableError.
        """

    async def endings(
        self, partition: int, after_s: int, *, count_max: int, age_s_min: int = 0
    ) -> EndingPage:
        """Return ended calls, oldest first; an empty page is the last.

        Args:
            partition: Whose calls.
            after_s: Second of the gate's clock after which they ended; 0 for all that are
                remembered.
            count_max: How many; those of the last second are returned whole.
            age_s_min: Only calls that ended at least this many seconds ago.

        Raises StoreUnavailableError.

        """

    async def name_carrier_call(
        self, call_id: str, account_id: str, carrier_call_id: str
    ) -> str | None:
        """Store an open call's id at the carrier, in case its node dies.

        The node that settles the call needs it. The book is told as well. Returns the filling (see
        `TickOutcome`) that stores it; None if the gate does not hold the call open. Raises
        StoreUnavailableError.
        """

    async def fillings(self, partitions: Collection[int]) -> Mapping[int, str]:
        """Return the filling of each of the partitions that is ready.

        Raises StoreUnavailableError.
        """

    async def credit(self, account_id: str, sequence: int, amount_micros: int) -> CreditResult:
        """Bring one credit of the book of record. Raises StoreUnavailableError."""

    async def credit_sequence(self, account_id: str) -> int:
        """Return the sequence number of the last credit applied, 0 for none.

        A withdrawn partition answers too: its numbers must not be given out a second time.
        """

    async def freeze(self, account_id: str, frozen: bool) -> None:
        """Refuse, or allow again, an account's new and live calls."""

    async def balance(self, account_id: str) -> int:
        """Return the available micros. Raises StoreUnavailableError."""

    async def rebuild(self, partition: int, state: PartitionState) -> bool:
        """Fill an empty partition; return False if it was ready already.

        Raises NotDrainedError while entries wait in its outbox; StoreUnavailableError.
        """

    async def is_ready(self, partition: int) -> bool:
        """Return whether the partition has been filled from the book of record."""

    async def withdraw(self, partition: int, filling: str = "") -> bool:
        """Make a partition wait for `rebuild`; a repeat changes nothing.

        It keeps all its data and its outbox. What only reports what it holds (`resend_ending`,
        `resend_open`, `endings`, `snapshot`, `inspect`) goes on, all else is refused. Live calls go
        on meanwhile on what they have paid. Returns False and changes nothing if `filling` is given
        and the partition lives on another one. Raises StoreUnavailableError.
        """

    async def put_back(self, partition: int) -> bool:
        """Put a withdrawn partition back into service as it was; False if it is not withdrawn."""

    async def last_entry_ids(self, partitions: Collection[int]) -> Mapping[int, str]:
        """Return the id of the last entry that each partition has written; `0-0` for none.

        Entries that are booked and trimmed count. Raises StoreUnavailableError.
        """

    async def read_outbox(self, partition: int, count_max: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries. Raises StoreUnavailableError."""

    async def read_outboxes(
        self, partitions: Collection[int], count_max: int
    ) -> Mapping[int, Sequence[OutboxEntry]]:
        """Return the oldest entries of each of the partitions that has any.

        At most `count_max` of each. Raises StoreUnavailableError, also if one of them is away.
        """

    async def trim_outbox(self, partition: int, entry_ids: Sequence[str]) -> None:
        """Delete entries that the book of record holds. Raises StoreUnavailableError."""

    async def trim_outboxes(self, entry_ids: Mapping[int, Sequence[str]]) -> None:
        """Delete entries of several partitions. Raises StoreUnavailableError."""

    async def open_calls(self, node: str | None = None) -> Sequence[OpenCall]:
        """List the open calls of a node, or of all."""

    async def nodes_of(self, account_id: str) -> Mapping[str, str]:
        """Return an account's open calls -> their nodes. Raises StoreUnavailableError."""

    async def snapshot(self, partition: int) -> PartitionState:
        """Return a consistent copy of a partition, without tombstones."""

    async def inspect(self, partition: int) -> GateRows:
        """Return a consistent copy of all raw rows of a partition, for audits."""

    async def outbox_length(self) -> int:
        """Return how many entries wait in all partitions."""


@dataclass(frozen=True, slots=True)
class CallMemory:
    """What the gate keeps of a call only to tell it to a book that has lost it."""

    call_id: str
    account_id: str
    opened: bytes = b""
    """`CallOpened` as JSON; empty if unknown."""
    closed: bytes = b""
    """`CallClosed` as JSON, in brief; empty for a live call."""
    charged_micros: int = 0
    written_off_micros: int = 0
    seconds: int = 0
    ended_s: int = 0
    """When it ended, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class PartitionMark:
    """How far the book of record has booked a partition's outbox."""

    booked_id: str = ""
    """Id of the last entry; empty where none is known."""
    fork_id: str = ""
    """Id of an entry which proves that the gate is an older copy; empty where none has."""


@dataclass(frozen=True, slots=True)
class PartitionState:
    """What a partition of the spend gate is rebuilt from."""

    accounts: Sequence[tuple[str, int, int]] = ()
    """Account id, available micros, last credit sequence."""
    open_calls: Sequence[OpenCall] = ()
    closed_calls: Sequence[tuple[str, int]] = ()
    """Call id, final micros: tombstones."""
    frozen: Sequence[str] = ()
    spent: Sequence[tuple[str, int]] = ()
    """Name of a spend cap, micros: caps of periods that are not over."""
    memories: Sequence[CallMemory] = ()
    """Of the open and the closed calls, as far as the book can tell."""
    mark: PartitionMark = PartitionMark()
    """The entries that the filled partition writes must be newer than this mark."""


@dataclass(frozen=True, slots=True)
class GateRows:
    """The raw rows of a partition, by key (`stores/prelude.lua`): an audit trusts none of them."""

    balances: Mapping[bytes, bytes]
    sequences: Mapping[bytes, bytes]
    owners: Mapping[bytes, bytes]
    holds: Mapping[bytes, bytes]
    caps: Mapping[bytes, bytes]
    meta: Mapping[bytes, bytes]
    tombstones: Mapping[bytes, bytes]
    openings: Mapping[bytes, bytes]
    endings: Mapping[bytes, bytes]
    tombstone_ages: Mapping[bytes, bytes]
    cap_uses: Mapping[bytes, bytes]
    frozen: Collection[bytes]
    out: Collection[bytes]
    foreign: Collection[str] = ()
    """Keys of another type than they must be, the outbox's as well; their rows are left out."""
    is_outbox_foreign: bool = False


class LedgerStore(Protocol):
    """The book of record: credits first, debits drained from the outbox."""

    async def add_credit(
        self,
        account_id: str,
        amount_micros: int,
        *,
        reference: str,
        kind: str,
        reason: str = "",
        call_id: str | None = None,
        payment_id: str | None = None,
        news: BookedEvent | None = None,
        guard: BookingGuard | None = None,
    ) -> int | None:
        """Book a credit once per reference; return its sequence, or None for a repeat.

        `news` is reported and `guard` called within the same transaction. `reason` and `call_id`
        explain the entry in the ledger; `payment_id` is the payment it belongs to. Raises
        CreditsLostError rather than return a sequence that the spend gate has seen before.
        """

    async def credited_micros(self, reference: str) -> int | None:
        """Return the amount of the credit with this reference; None if it is not booked."""

    async def count_credits(self, account_id: str, kind: str, since: datetime) -> int:
        """Return how many credits of a kind an account has been given since then."""

    async def credits_after(self, account_id: str, sequence: int) -> Sequence[tuple[int, int]]:
        """Return the (sequence, micros) of credits the spend gate has yet to see, in order."""

    async def apply_outboxes(self, batch: Mapping[int, Sequence[OutboxEntry]]) -> None:
        """Book several partitions' entries in one transaction; repeats change nothing."""

    async def partition_state(self, partition: int, partitions: int) -> PartitionState:
        """Return what the spend gate must hold for a partition."""

    async def marks(self) -> Mapping[int, PartitionMark]:
        """Return the marks of all partitions of which anything has been booked."""

    async def forget_fork(self, partition: int, mark: PartitionMark) -> None:
        """Forget the proof that a partition is an older copy, because it is about to be filled."""

    async def balance(self, account_id: str) -> int:
        """Return the available credit by the book: credits minus charges minus open holds."""


class Positions(Protocol):
    """The book of record's view of a partition, for comparison with the spend gate."""

    async def read(self, partition: int, partitions: int) -> PartitionState:
        """Return accounts, live calls and frozen flags. Raises StoreUnavailableError."""


class CdrStore(Protocol):
    """Call records, read by the account that owns them."""

    async def get(self, account_id: str, call_id: str) -> CallRecord | None:
        """Return one record of this account; None for a call that is forgotten."""

    async def get_with_forgotten(self, account_id: str, call_id: str) -> CallRecord | None:
        """Return one record of this account, for the money: of a forgotten call what is left."""

    async def booked(self, call_ids: Sequence[str]) -> Collection[str]:
        """Return those of these calls whose beginning and end are booked."""

    async def ended(self, call_ids: Sequence[str]) -> Collection[str]:
        """Return those of these calls whose end is booked."""

    async def page(
        self, account_id: str, *, limit: int, before: str | None = None, only: CallFilter = ANY_CALL
    ) -> Sequence[CallRecord]:
        """Return records that match, newest first, older than the call `before`."""


PARTITIONS = 64
"""Enough for every node of a cluster to hold some, few enough for one script each per second."""


def partition_of(account_id: str, partitions: int = PARTITIONS) -> int:
    """Return the account's partition, 0 to `partitions` - 1: its CRC-32 spreads ids evenly."""
    # Not hash(): Python salts that for each process, and all nodes, now and later, must agree.
    return zlib.crc32(account_id.encode()) % partitions
