"""Defines what the called party does, by the number dialled. Pure data.

Numbers +1 500 555 1000 and up each show one behaviour; any other valid number rings, answers,
plays a short tone and echoes. Durations that a person may want to change are settings
(`ring_s`, `slow_answer_s`, `hangup_after_s`, `callback_late_s`, `create_hold_s`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from simulators.carrier.faults import NO_FAULT, CallbackFault, RestFault


class Outcome(Enum):
    """How the ringing ends, with the SIP response code that Twilio reports (RFC 3261, 21)."""

    ANSWERED = 200
    BUSY = 486
    # 487 (request terminated): the caller gave up ringing, nobody refused.
    NO_ANSWER = 487
    FAILED = 404


class Voice(StrEnum):
    """What the called party plays into the call."""

    ECHO = "echo"
    GREETED_ECHO = "greeted-echo"
    DELAYED_ECHO = "delayed-echo"
    TONE = "tone"
    SPEECH = "speech"
    VOICEMAIL = "voicemail"
    SILENCE = "silence"


class StreamFault(StrEnum):
    """What goes wrong with the media stream, `hangup_after_s` after it started."""

    NONE = "none"
    NEVER_OPENED = "never-opened"
    TCP_DROPPED = "tcp-dropped"
    FROZEN = "frozen"
    """The socket stays open and nothing is sent any more."""
    NOT_READ = "not-read"
    """The socket stays open and is not read for five seconds."""


class CreateReply(StrEnum):
    """How the REST request that places the call is answered."""

    NORMAL = "normal"
    BUSY_ONCE = "busy-once"
    """429 to every odd request for this number, 201 to every even one."""
    HELD = "held"
    """The call is placed, the reply comes too late for any sensible client."""
    SERVER_ERROR = "server-error"
    UNAUTHORISED = "unauthorised"


@dataclass(frozen=True, slots=True)
class Script:
    """One called party's behaviour."""

    description: str
    voice: Voice = Voice.ECHO
    outcome: Outcome = Outcome.ANSWERED
    slow: bool = False
    """Rings for `slow_answer_s` instead of `ring_s`."""
    hangs_up: bool = False
    """Hangs up `hangup_after_s` after the answer."""
    digits: str = ""
    """Keys pressed by the called party, two a second, from one second after the stream started."""
    machine: bool = False
    """An answering machine, for machine detection."""
    impaired: bool = False
    """Audio towards the gateway is lost and delayed as on a bad radio link."""
    failure: int = 0
    """What the debugger notes of a call that fails; 0 for nothing."""
    trial: bool = False
    """A trial account's announcement comes before the TwiML, and calls are cut short."""
    stream_fault: StreamFault = StreamFault.NONE
    create_reply: CreateReply = CreateReply.NORMAL
    callbacks: CallbackFault = NO_FAULT
    callbacks_late: bool = False
    """Status callbacks come `callback_late_s` late."""


ANY_OTHER: Final = Script("rings, answers, plays a greeting tone, then echoes", Voice.GREETED_ECHO)

SCRIPTS: Final[dict[str, Script]] = {
    "+15005551000": Script("echoes what it hears"),
    "+15005551001": Script("plays a 1 kHz tone", Voice.TONE),
    "+15005551002": Script("plays a speech-like signal with pauses", Voice.SPEECH),
    "+15005551003": Script(
        "voicemail: a greeting, a beep, then listens", Voice.VOICEMAIL, machine=True
    ),
    "+15005551004": Script("busy (486)", outcome=Outcome.BUSY),
    "+15005551005": Script("rings until Timeout, no answer (487)", outcome=Outcome.NO_ANSWER),
    "+15005551006": Script("fails (404)", outcome=Outcome.FAILED),
    "+15005551007": Script("answers and hangs up after hangup_after_s", hangs_up=True),
    "+15005551008": Script("presses 1 2 3 4 #", Voice.SILENCE, digits="1234#"),
    "+15005551009": Script("answers and stays silent", Voice.SILENCE),
    "+15005551010": Script("speech over a line with loss and jitter", Voice.SPEECH, impaired=True),
    "+15005551011": Script("answers after slow_answer_s", slow=True),
    "+15005551012": Script(
        "answers, but the media stream is never opened", stream_fault=StreamFault.NEVER_OPENED
    ),
    "+15005551013": Script(
        "drops the media socket without stop after hangup_after_s",
        stream_fault=StreamFault.TCP_DROPPED,
    ),
    "+15005551014": Script(
        "status callbacks come twice and out of order",
        callbacks=CallbackFault(duplicate=True, reorder=True),
    ),
    "+15005551015": Script(
        "the completed callback is lost", callbacks=CallbackFault(drop=("completed",))
    ),
    "+15005551016": Script(
        "the first create is refused with 429, the next is accepted",
        create_reply=CreateReply.BUSY_ONCE,
    ),
    "+15005551017": Script("trial account: an announcement first, ten minutes at most", trial=True),
    "+15005551018": Script(
        "the create is answered too late, but the call is placed", create_reply=CreateReply.HELD
    ),
    "+15005551019": Script(
        "every create fails with 500, no call", create_reply=CreateReply.SERVER_ERROR
    ),
    "+15005551020": Script(
        "every create is refused with 401, no call", create_reply=CreateReply.UNAUTHORISED
    ),
    "+15005551021": Script("echoes after one second", Voice.DELAYED_ECHO),
    "+15005551022": Script(
        "stops sending media after hangup_after_s, socket left open",
        stream_fault=StreamFault.FROZEN,
    ),
    "+15005551023": Script(
        "does not read the media socket for five seconds, from hangup_after_s on",
        stream_fault=StreamFault.NOT_READ,
    ),
    "+15005551024": Script("status callbacks come callback_late_s late", callbacks_late=True),
    "+15005551025": Script(
        "accepted by REST, then fails (404) with 13224 in the debugger",
        outcome=Outcome.FAILED,
        failure=13224,
    ),
    "+15005551026": Script(
        "accepted by REST, then fails (404) with 13227 in the debugger",
        outcome=Outcome.FAILED,
        failure=13227,
    ),
}


def script_for(number: str) -> Script:
    """Return the behaviour behind a number."""
    return SCRIPTS.get(number, ANY_OTHER)


def create_fault(script: Script, attempt: int, hold_s: float) -> RestFault | None:
    """Return how a create request must be disturbed; attempts of one number count from 1."""
    match script.create_reply:
        # Attempts are counted for good, so by parity: a later test finds its first request refused
        # again.
        case CreateReply.BUSY_ONCE if attempt % 2 == 1:
            return RestFault(status=429)
        # No status: the call is placed all the same, and only its reply is late.
        case CreateReply.HELD:
            return RestFault(hold_s=hold_s)
        case CreateReply.SERVER_ERROR:
            return RestFault(status=500)
        case CreateReply.UNAUTHORISED:
            return RestFault(status=401)
        case _:
            return None
