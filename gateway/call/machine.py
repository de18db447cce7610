"""Runs the state machine of one phone call: events in, commands out.

The bridge feeds it what the two legs, the carrier and the meter report, and carries out the
returned commands in order. `overdue` decides when to end a call that no one answers or whose media
has gone silent.

    NEW ─ FUNDING ─ DIALLING ─ RINGING ─ ANSWERED ⇄ ON_HOLD
             │          └─────────┴─────────┴──────────┴──── ENDING ─ SETTLING ─ SETTLED
         CANCELLING ──────────────────────────────────────────────────┘

Charging starts at the first proof of answer and stops at the first proof of the end. ENDING lasts
until the carrier confirms that its leg is gone, or the bridge gives up asking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from billing.cdr import EndedBy
from gateway.cause import CarrierRefusal, Cause
from gateway.errors import UnexpectedEventError
from gateway.nanoseconds import SECOND_NS
from gateway.settings import Settings


class State(Enum):
    """The states of a call."""

    NEW = auto()
    FUNDING = auto()
    """The first hold is being placed."""
    CANCELLING = auto()
    """The caller hung up while the first hold was being placed."""
    DIALLING = auto()
    RINGING = auto()
    ANSWERED = auto()
    ON_HOLD = auto()
    ENDING = auto()
    SETTLING = auto()
    SETTLED = auto()


class Command(Enum):
    """An action for the bridge; its data are attributes of the call."""

    PLACE_HOLD = auto()
    DIAL = auto()
    PLAY_RINGBACK = auto()
    START_METER = auto()
    JOIN_MEDIA = auto()
    HOLD_MEDIA = auto()
    RESUME_MEDIA = auto()
    STOP_METER = auto()
    REPORT_RINGING = auto()
    REPORT_ANSWER = auto()
    REPORT_END = auto()
    HANG_UP_CARRIER = auto()
    CLOSE_CARRIER_SOCKET = auto()
    SETTLE = auto()
    RELEASE = auto()


@dataclass(frozen=True, slots=True)
class Event:
    """Base of everything that can happen to a call."""


class Requested(Event):
    """An admitted caller requested the call."""


class HoldPlaced(Event):
    """The credit for the first increment is on hold."""


@dataclass(frozen=True, slots=True)
class HoldRefused(Event):
    """The spend gate refused the hold, or did not answer."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class DialAccepted(Event):
    """The carrier accepted the call and gave it an id."""

    carrier_call_id: str


@dataclass(frozen=True, slots=True)
class DialFailed(Event):
    """It is certain that the carrier did not accept the call."""

    cause: Cause
    refusal: CarrierRefusal | None = None


class Ringing(Event):
    """The phone is ringing."""


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """The carrier reports that the phone was answered."""


class StreamStarted(Event):
    """The carrier's media stream began, which happens only on an answered call."""


class HeldByCaller(Event):
    """The caller put the call on hold."""


class ResumedByCaller(Event):
    """The caller took the call off hold."""


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The first proof that the call is over, or the order to end it."""

    cause: Cause
    ended_by: EndedBy
    refusal: CarrierRefusal | None = None


@dataclass(frozen=True, slots=True)
class CarrierEnded(Event):
    """The carrier reports that its leg is over; final for the carrier."""

    cause: Cause
    ended_by: EndedBy
    carrier_seconds: int | None = None


class ConfirmationAbandoned(Event):
    """The carrier did not confirm the end within the time allowed."""


class Settled(Event):
    """The final price is posted and the call record is in the outbox."""


S = State
C = Command
LIVE = (S.DIALLING, S.RINGING, S.ANSWERED, S.ON_HOLD)
TALKING = (S.ANSWERED, S.ON_HOLD)
_CLOSED = (S.SETTLING, S.SETTLED)

_Row = tuple[State, tuple[Command, ...]]


def _rows(
    states: Iterable[State], event: type[Event], row: _Row
) -> dict[tuple[State, type[Event]], _Row]:
    return {(state, event): row for state in states}


def _ignored(
    states: Iterable[State], *events: type[Event]
) -> dict[tuple[State, type[Event]], _Row]:
    """Return rows for late or repeated events, which do not change the state."""
    return {(state, event): (state, ()) for state in states for event in events}


# The meter stops first: the report of the end contains its final figures.
_END = (C.STOP_METER, C.HANG_UP_CARRIER, C.CLOSE_CARRIER_SOCKET, C.REPORT_END)
_END_CONFIRMED = (C.STOP_METER, C.CLOSE_CARRIER_SOCKET, C.REPORT_END, C.SETTLE)
_ANSWER = (C.START_METER, C.REPORT_ANSWER)

# Every transition a call can make. A missing pair is a bug in the bridge and raises: ignoring it
# would hide a call that is charged and never ends.
TRANSITIONS: dict[tuple[State, type[Event]], _Row] = {
    (S.NEW, Requested): (S.FUNDING, (C.PLACE_HOLD,)),
    (S.FUNDING, HoldPlaced): (S.DIALLING, (C.DIAL,)),
    (S.FUNDING, HoldRefused): (S.SETTLED, (C.REPORT_END, C.RELEASE)),
    # The hold may already be placed: the caller is released, the call waits in order to return it.
    (S.FUNDING, Ended): (S.CANCELLING, (C.REPORT_END,)),
    (S.CANCELLING, HoldPlaced): (S.SETTLING, (C.SETTLE,)),
    (S.CANCELLING, HoldRefused): (S.SETTLED, (C.RELEASE,)),
    **_ignored([S.CANCELLING], Ended, HeldByCaller, ResumedByCaller),
    **_ignored([S.FUNDING, S.DIALLING, S.RINGING], HeldByCaller, ResumedByCaller),
    **_ignored(LIVE, DialAccepted),
    # Any report from the carrier proves that it accepted the call, so that a late failure of the
    # dial request itself means nothing once the call is past DIALLING.
    (S.DIALLING, DialFailed): (S.SETTLING, (C.REPORT_END, C.SETTLE)),
    **_ignored([S.RINGING, *TALKING], DialFailed),
    (S.DIALLING, Ringing): (S.RINGING, (C.PLAY_RINGBACK, C.REPORT_RINGING)),
    **_ignored([S.RINGING, *TALKING], Ringing),
    **_rows([S.DIALLING, S.RINGING], Answered, (S.ANSWERED, _ANSWER)),
    **_ignored(TALKING, Answered),
    # The stream may overtake the callback "in-progress"; it proves the answer just as well.
    **_rows([S.DIALLING, S.RINGING], StreamStarted, (S.ANSWERED, (*_ANSWER, C.JOIN_MEDIA))),
    (S.ANSWERED, StreamStarted): (S.ANSWERED, (C.JOIN_MEDIA,)),
    (S.ON_HOLD, StreamStarted): (S.ON_HOLD, (C.JOIN_MEDIA, C.HOLD_MEDIA)),
    (S.ANSWERED, HeldByCaller): (S.ON_HOLD, (C.HOLD_MEDIA,)),
    (S.ON_HOLD, ResumedByCaller): (S.ANSWERED, (C.RESUME_MEDIA,)),
    (S.ON_HOLD, HeldByCaller): (S.ON_HOLD, ()),
    (S.ANSWERED, ResumedByCaller): (S.ANSWERED, ()),
    **_rows(LIVE, Ended, (S.ENDING, _END)),
    **_rows(LIVE, CarrierEnded, (S.SETTLING, _END_CONFIRMED)),
    # Accepted only after the caller hung up: end it as soon as there is an id to end it by.
    (S.ENDING, DialAccepted): (S.ENDING, (C.HANG_UP_CARRIER,)),
    (S.ENDING, DialFailed): (S.SETTLING, (C.SETTLE,)),
    (S.ENDING, StreamStarted): (S.ENDING, (C.CLOSE_CARRIER_SOCKET,)),
    **_ignored([S.ENDING], Ringing, Answered, Ended, HeldByCaller, ResumedByCaller),
    (S.ENDING, CarrierEnded): (S.SETTLING, (C.SETTLE,)),
    (S.ENDING, ConfirmationAbandoned): (S.SETTLING, (C.SETTLE,)),
    # A stream that arrives after the end would otherwise hold the carrier's line open.
    (S.SETTLING, StreamStarted): (S.SETTLING, (C.CLOSE_CARRIER_SOCKET,)),
    (S.SETTLED, StreamStarted): (S.SETTLED, (C.CLOSE_CARRIER_SOCKET,)),
    **_ignored(
        _CLOSED,
        DialAccepted,
        DialFailed,
        Ringing,
        Answered,
        Ended,
        CarrierEnded,
        ConfirmationAbandoned,
        HeldByCaller,
        ResumedByCaller,
    ),
    (S.SETTLING, Settled): (S.SETTLED, (C.RELEASE,)),
}


_FAILED_ON_THE_WAY: Final = (Cause.BEARERCAPABILITY_NOTAVAIL, Cause.GATEWAY_DOWN)
"""The carrier could not reach us: for the stream, or for its callbacks."""
_OF_THE_CALLEE: Final = (Cause.USER_BUSY, Cause.NO_USER_RESPONSE, Cause.NO_ANSWER)
"""Ends that explain themselves."""


class Call:
    """The state of one call and how it ended."""

    __slots__ = (
        "answered_ns",
        "carrier_call_id",
        "carrier_refusal",
        "carrier_seconds",
        "cause",
        "ended_by",
        "ended_ns",
        "ringing_ns",
        "state",
    )

    def __init__(self) -> None:
        self.state = State.NEW
        self.carrier_call_id = ""
        self.cause: Cause | None = None
        """None until the call has ended."""
        self.ended_by: EndedBy = "gateway"
        self.carrier_seconds: int | None = None
        self.carrier_refusal: CarrierRefusal | None = None
        """What the carrier said about it, where a refusal or failure there ended the call."""
        self.ringing_ns: int | None = None
        self.answered_ns: int | None = None
        self.ended_ns: int | None = None

    @property
    def is_live(self) -> bool:
        """Whether the call has not ended yet."""
        return self.cause is None

    @property
    def is_unexplained(self) -> bool:
        """Whether the carrier accepted the call, then failed it, and gave no code that says why."""
        if not self.carrier_call_id or (self.carrier_refusal and self.carrier_refusal.code):
            return False
        if self.cause in _FAILED_ON_THE_WAY:
            return True
        is_refused = self.ended_by == "carrier" and self.answered_ns is None
        return is_refused and self.cause not in (None, *_OF_THE_CALLEE)

    def explain(self, refusal: CarrierRefusal) -> None:
        """Record why the carrier failed the call."""
        if self.is_unexplained:
            self.carrier_refusal = refusal

    def receive(self, event: Event, now_ns: int) -> tuple[Command, ...]:
        """Advance by one event; return the commands for the bridge, in order.

        Raises UnexpectedEventError for a pair that is not in the table.
        """
        row = TRANSITIONS.get((self.state, type(event)))
        if row is None:
            raise UnexpectedEventError(self.state.name, type(event).__name__)
        before = self.state
        (self.state, commands) = row
        self._learn(event, before, now_ns)
        return commands

    def _learn(self, event: Event, before: State, now_ns: int) -> None:
        match event:
            case DialAccepted(carrier_call_id):
                self.carrier_call_id = self.carrier_call_id or carrier_call_id
            # Only the report that moves the call sets its time; repeated and late ones do not.
            case Ringing() if before is State.DIALLING:
                self.ringing_ns = now_ns
            case Answered() | StreamStarted() if before in (State.DIALLING, State.RINGING):
                self.answered_ns = now_ns
            case Ended(cause, ended_by, refusal):
                if self.cause is None:
                    self.carrier_refusal = refusal
                self._end(cause, ended_by, now_ns)
            case CarrierEnded(cause, ended_by, carrier_seconds):
                self.carrier_seconds = self._first_known(carrier_seconds)
                self._end(cause, ended_by, now_ns)
            # Ignored if the phone rings or talks anyway: it then ends nothing.
            case DialFailed(cause, refusal) if self.state in (*_CLOSED, State.ENDING):
                if self.cause is None:
                    self.carrier_refusal = refusal
                self._end(cause, "carrier", now_ns)
            case HoldRefused(cause) if self.state in (*_CLOSED, State.ENDING):
                self._end(cause, "gateway", now_ns)

    def _first_known(self, carrier_seconds: int | None) -> int | None:
        return carrier_seconds if self.carrier_seconds is None else self.carrier_seconds

    def _end(self, cause: Cause, ended_by: EndedBy, now_ns: int) -> None:
        # The first proof counts, for both the charge and the record.
        if self.cause is None:
            self.cause = cause
            self.ended_by = ended_by
            self.ended_ns = now_ns


DIAL_MARGIN_NS: Final = 30 * SECOND_NS
"""Twilio may ring five seconds longer than asked, and may queue a call before that."""


def overdue(
    call: Call, settings: Settings, dialled_ns: int, heard_ns: int | None, read_ns: int
) -> tuple[Ended, int] | None:
    """Return how and when an overdue call ends; None if the call is not overdue.

    A call that was heard ends at its last sound: the seconds after it were of no use to anyone.

    Args:
        call: The call.
        settings: How long is too long.
        dialled_ns: When the carrier was asked for it.
        heard_ns: When the phone was last heard, None where no stream has begun.
        read_ns: Until when all that arrived has been read; monotonic, like the others.

    """
    if call.state in (State.DIALLING, State.RINGING):
        if read_ns > dialled_ns + settings.ring_timeout_s * SECOND_NS + DIAL_MARGIN_NS:
            return Ended(Cause.NO_ANSWER, "limit"), read_ns
    elif call.state in TALKING:
        # Before the stream begins nothing can be heard, and silence takes longer to count as a
        # fault.
        allowed_s = settings.stream_timeout_s if heard_ns is None else settings.media_silence_s
        since_ns = call.answered_ns if heard_ns is None else heard_ns
        if read_ns > (since_ns or read_ns) + allowed_s * SECOND_NS:
            return Ended(Cause.MEDIA_TIMEOUT, "carrier"), heard_ns or read_ns
    return None
