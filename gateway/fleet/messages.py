"""Defines what processes ask one another, and what they answer. Pure.

JSON, each message with its kind, so that a process of another release can tell what it does not
know. Every question may be asked twice.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from gateway.call.carrier_status import CarrierStatus
from gateway.cause import CarrierRefusal
from gateway.ports import LiveCall

LETTER_BYTES_MAX: Final = 1 << 20
LEVEL_MINUTES: Final = 15
"""How long a node's log level is changed if nobody says for how long."""
LEVEL_MINUTES_MAX: Final = 24 * 60
"""What nobody looks at again would fill the disk."""
CALLS_MAX: Final = 1000
"""Calls in one reply: some 600 bytes each."""


class FindCalls(msgspec.Struct, frozen=True, kw_only=True, tag="find_calls"):
    """Which live calls a node holds."""

    account_id: str | None = None
    """Whose; None: anybody's, for who may see all."""
    call_id: str | None = None
    """This one only."""
    since: datetime | None = None
    """Those only that began then or later; a node of an earlier release returns older ones, too."""


class EndCall(msgspec.Struct, frozen=True, kw_only=True, tag="end_call"):
    """End a call; one that has ended stays so."""

    call_id: str
    account_id: str | None = None
    """Whose it has to be; None: anybody's."""


class ChargeNow(msgspec.Struct, frozen=True, kw_only=True, tag="charge_now"):
    """Charge an account's calls now, as its credit has changed or it is frozen."""

    account_id: str


class TakeCalls(msgspec.Struct, frozen=True, kw_only=True, tag="take_calls"):
    """Take new calls, or take none until told otherwise; those that run go on."""

    takes: bool


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    """Take no new calls, end once those that run have ended, and be started again."""


class LogLevel(StrEnum):
    """From which level on a node logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    SETTING = "setting"
    """As it is set, at once."""


LevelMinutes = Annotated[int, msgspec.Meta(ge=1, le=LEVEL_MINUTES_MAX)]


class SetLogLevel(msgspec.Struct, frozen=True, kw_only=True, tag="set_log_level"):
    """Log from a level on, for so many minutes, and then as it is set."""

    level: LogLevel
    minutes: LevelMinutes


class CarrierNews(msgspec.Struct, frozen=True, kw_only=True, tag="carrier_news"):
    """What a verified callback of the carrier has said of a call, at whichever process it came."""

    call_id: str
    """The call in the callback's address."""
    carrier_call_id: str
    is_running: bool
    """Whether it shows that the carrier's call goes on."""
    status: CarrierStatus | None = None
    """None where it was about the media stream."""
    has_stream_failed: bool = False
    refusal: CarrierRefusal | None = None
    """What it said of a stream that has failed."""


def level_said(level: LogLevel, minutes: int) -> str:
    """Return what is written down of a level that was asked for."""
    return level if level is LogLevel.SETTING else f"{level} for {minutes} minutes"


class Calls(msgspec.Struct, frozen=True, kw_only=True, tag="calls"):
    """The calls that were found, or the one that was ended as it stands then."""

    calls: tuple[LiveCall, ...] = ()
    more: int = 0
    """How many were left out, beyond `CALLS_MAX`."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """What was asked for is so."""


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    """The node is about to stop, and takes no new calls any more."""


class Restarting(msgspec.Struct, frozen=True, kw_only=True, tag="restarting"):
    """The node takes no new calls, and will end and be started again."""

    calls_s: int
    """How long its calls may go on from when it was told first; then they are ended."""


class NotStartedAgain(msgspec.Struct, frozen=True, tag="not_started_again"):
    """The node goes on as before: nobody that it knows of would start it again."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be answered, for a reason that the asked process has logged."""


CallQuestion = FindCalls | EndCall | ChargeNow | TakeCalls
"""About the calls of a node."""
Question = CallQuestion | SetLogLevel | CarrierNews | Restart
Reply = Calls | Done | Stopping | Restarting | NotStartedAgain | Failed


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """A letter with a question."""

    number: int
    """Chosen by who asks, for the answer."""
    sender: str
    """The mailbox that the answer goes to."""
    question: Question


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """A letter with the answer to a question of this number."""

    number: int
    reply: Reply


Letter = Asked | Answered
ENCODER: Final = msgspec.json.Encoder()
DECODER: Final = msgspec.json.Decoder(Letter)
