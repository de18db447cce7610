"""The state machine of one carrier call: queued, dialled, answered, over.

Times are nanoseconds since the epoch and always passed in. Statuses:
https://www.twilio.com/docs/voice/api/call-resource#call-status-values
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from simulators.carrier.errors import SimulatorError


class Status(StrEnum):
    """Where a call stands. `INITIATED` shows in callbacks only; REST calls it queued."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"


_UNANSWERED: Final = frozenset({Status.BUSY, Status.FAILED, Status.NO_ANSWER, Status.CANCELED})
TERMINAL: Final = _UNANSWERED | {Status.COMPLETED}

# Every move a call can make. A pair that is absent is a bug in the line that drives it.
TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    Status.QUEUED: frozenset({Status.INITIATED, Status.CANCELED, Status.FAILED}),
    Status.INITIATED: _UNANSWERED | {Status.RINGING},
    Status.RINGING: _UNANSWERED | {Status.IN_PROGRESS},
    # Once answered a call can only complete, whichever side or limit ends it.
    Status.IN_PROGRESS: frozenset({Status.COMPLETED}),
    **{status: frozenset() for status in TERMINAL},
}

# The callback event of each status; every terminal status is announced as `completed`.
EVENTS: Final[dict[Status, str]] = {
    Status.INITIATED: "initiated",
    Status.RINGING: "ringing",
    Status.IN_PROGRESS: "answered",
    **dict.fromkeys(TERMINAL, "completed"),
}

NS_PER_S: Final = 1_000_000_000


class TransitionError(SimulatorError):
    """The line asked for a move that no call can make."""

    def __init__(self, source: Status, target: Status) -> None:
        super().__init__("a call cannot move so")
        self.source = source
        self.target = target


@dataclass(frozen=True, slots=True)
class Progress:
    """A status reached, as its callback reports it."""

    status: Status
    event: str
    sequence: int
    """Counts every event from 0, subscribed or not."""
    at_ns: int


@dataclass(slots=True, kw_only=True)
class Call:
    """What the carrier knows of one call."""

    sid: str
    account_sid: str
    to: str
    from_: str
    created_at_ns: int
    status: Status = Status.QUEUED
    updated_at_ns: int = 0
    initiated_at_ns: int | None = None
    answered_at_ns: int | None = None
    ended_at_ns: int | None = None
    sip_code: int = 0
    """Final SIP response code; 0 before the end."""
    answered_by: str | None = None
    """`human`, `machine_start` or `machine_end_beep` when detection was asked for."""
    _sequence: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        """A call was last updated when it was created."""
        self.updated_at_ns = self.created_at_ns

    @property
    def over(self) -> bool:
        """Whether the status is terminal."""
        return self.status in TERMINAL

    def advance(self, status: Status, at_ns: int, sip_code: int = 0) -> Progress:
        """Move to a status and return the event to announce.

        Raises:
            TransitionError: no call moves so.
        """
        if status not in TRANSITIONS[self.status]:
            raise TransitionError(self.status, status)
        self.status = status
        self.updated_at_ns = at_ns
        if status is Status.INITIATED:
            self.initiated_at_ns = at_ns
        elif status is Status.IN_PROGRESS:
            self.answered_at_ns = at_ns
        elif status in TERMINAL:
            self.ended_at_ns = at_ns
            self.sip_code = sip_code
        # The number counts every event, also those that nobody subscribed to: a client sees gaps.
        progress = Progress(status, EVENTS[status], self._sequence, at_ns)
        self._sequence += 1
        return progress

    @property
    def seconds(self) -> int:
        """Billed seconds: started seconds from answer to end, 0 if never answered."""
        if self.answered_at_ns is None or self.ended_at_ns is None:
            return 0
        # Twilio rounds the first second up, and the wall clock may have been set back since the
        # answer.
        return max(1, -((self.answered_at_ns - self.ended_at_ns) // NS_PER_S))

    @property
    def minutes(self) -> int:
        """Started minutes: what Twilio bills and reports as `Duration`."""
        return -(-self.seconds // 60)

    @property
    def queue_ms(self) -> int:
        """How long the call waited before it was dispatched."""
        if self.initiated_at_ns is None:
            return 0
        return (self.initiated_at_ns - self.created_at_ns) // 1_000_000
