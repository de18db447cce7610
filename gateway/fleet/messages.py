"""Defines what processes ask one another, and what they answer. Pure.

JSON, each message with its kind, so that a process of another release can recognise what it does
not support. Every question may be asked twice.
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
"""How long a changed log level lasts by default."""
LEVEL_MINUTES_MAX: Final = 24 * 60
"""A change that is forgotten would fill the disk."""
CALLS_MAX: Final = 1000
"""Calls in one reply: some 600 bytes each."""


class FindCalls(msgspec.Struct, frozen=True, kw_only=True, tag="find_calls"):
    """Which live calls a node holds."""

    account_id: str | None = None
    """The account; None for any, if the asker may see all."""
    call_id: str | None = None
    """Only this call."""
    since: datetime | None = None
    """Only calls begun then or later; a node of an earlier release returns older ones, too."""


class EndCall(msgspec.Struct, frozen=True, kw_only=True, tag="end_call"):
    """End a call; does nothing if it has ended."""

    call_id: str
    account_id: str | None = None
    """The account it must belong to; None for any."""


class ChargeNow(msgspec.Struct, frozen=True, kw_only=True, tag="charge_now"):
    """Charge an account's calls now, because its credit has changed or it is frozen."""

    account_id: str


class TakeCalls(msgspec.Struct, frozen=True, kw_only=True, tag="take_calls"):
    """Take new calls, or take none until further notice; running ones continue."""

    takes: bool


class Restart(msgspec.Struct, frozen=True, tag="restart"):
    """Take no new calls, end once the running ones have ended, and be restarted."""


class LogLevel(StrEnum):
    """From which level on a node logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    SETTING = "setting"
    """As configured, at once."""


LevelMinutes = Annotated[int, msgspec.Meta(ge=1, le=LEVEL_MINUTES_MAX)]


class SetLogLevel(msgspec.Struct, frozen=True, kw_only=True, tag="set_log_level"):
    """Log from a level on, for this many minutes, and then as configured."""

    level: LogLevel
    minutes: LevelMinutes


class CarrierNews(msgspec.Struct, frozen=True, kw_only=True, tag="carrier_news"):
    """The content of a verified callback of the carrier, whichever process received it."""

    call_id: str
    """The call in the callback's address."""
    carrier_call_id: str
    is_running: bool
    """Whether it shows that the carrier's call is still running."""
    status: CarrierStatus | None = None
    """None if it was about the media stream."""
    has_stream_failed: bool = False
    refusal: CarrierRefusal | None = None
    """What it said about a failed stream."""


def level_said(level: LogLevel, minutes: int) -> str:
    """Return the text that records a requested level."""
    return level if level is LogLevel.SETTING else f"{level} for {minutes} minutes"


class CallsReply(msgspec.Struct, frozen=True, kw_only=True, tag="calls"):
    """The calls that were found, or the call that was ended, in its state then."""

    calls: tuple[LiveCall, ...] = ()
    more: int = 0
    """How many were left out, beyond `CALLS_MAX`."""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request is fulfilled."""


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    """The node is about to stop, and no longer takes new calls."""


class Restarting(msgspec.Struct, frozen=True, kw_only=True, tag="restarting"):
    """The node takes no new calls, and will end and be restarted."""

    calls_s: int
    """How long its calls may continue after the first such order; then they are ended."""


class NotStartedAgain(msgspec.Struct, frozen=True, tag="not_started_again"):
    """The node continues as before: it knows of nothing that would restart it."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be answered, for a reason that the asked process has logged."""


CallQuestion = FindCalls | EndCall | ChargeNow | TakeCalls
"""About the calls of a node."""
Question = CallQuestion | SetLogLevel | CarrierNews | Restart
Reply = CallsReply | Done | Stopping | Restarting | NotStartedAgain | Failed


class Asked(msgspec.Struct, frozen=True, kw_only=True, tag="asked"):
    """A letter with a question."""

    number: int
    """Chosen by the asker, for the answer."""
    sender: str
    """The mailbox that the answer goes to."""
    question: Question


class Answered(msgspec.Struct, frozen=True, kw_only=True, tag="answered"):
    """A letter with the answer to the question with this number."""

    number: int
    reply: Reply


Letter = Asked | Answered
ENCODER: Final = msgspec.json.Encoder()
DECODER: Final = msgspec.json.Decoder(Letter)
