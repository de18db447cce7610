"""Defines the messages of the browser's media socket, version 1, sans-I/O.

Text messages are JSON objects with a `type`; binary messages are audio in the codec that the call
token names. `schema()` returns the contract published in `docs/wire/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import cleandoc
from typing import Annotated, Any, Literal

import msgspec

from gateway.call.supervision import Mode
from gateway.errors import PeerProtocolError
from gateway.unreadable import UNREADABLE

VERSION = 1
MESSAGE_BYTES_MAX = 15_000
"""Longest text message; a longer one ends the leg. A browser's offer is the longest."""

FRAME_BYTES = {"pcmu": 160, "pcm16": 640}
"""Codec -> bytes of one 20 ms frame: mu-law at 8 kHz, or 16-bit little-endian PCM at 16 kHz."""

Codec = Literal["pcmu", "pcm16"]
# The sixteen keys of ITU-T Q.23; telephones have twelve of them.
Digits = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern="^[0-9*#A-D]+$")]
Leg = Literal["browser", "carrier"]
Path = Literal["webrtc", "websocket"]
"""How the audio travels between browser and gateway."""
Verdict = Literal["good", "fair", "poor", "failed"]
ToneName = Literal["connecting", "ringback", "busy", "congestion", "cut-off"]
Lack = Literal["credit", "cap", "duration"]
"""What a call runs out of: its account's credit, a spending limit, or the longest time allowed."""


# A docstring below is the description of its message in the published schema.


class _Tagged(msgspec.Struct, kw_only=True, tag_field="type"):
    """A message; its `type` is its tag."""


class Start(_Tagged, tag="start"):
    """First message on every socket."""

    version: int
    # Sent here and not in the URL, which proxies log.
    token: Annotated[str, msgspec.Meta(max_length=256)]


class Resume(_Tagged, tag="resume"):
    """First message on a socket that resumes a call, in place of `start`."""

    version: int
    call_id: Annotated[str, msgspec.Meta(max_length=32)]
    token: Annotated[str, msgspec.Meta(max_length=256)]
    """The `resume_token` of the last `ready`; valid once."""


class Offer(_Tagged, tag="offer"):
    """Offer audio by WebRTC: a new connection, or an ICE restart of the existing one."""

    id: int
    sdp: Annotated[str, msgspec.Meta(max_length=12_000)]


class SelectPath(_Tagged, tag="media"):
    """Ask for the phone's voice on this path from now on; confirmed by the same message.

    The caller's voice is accepted on either path.
    """

    path: Path


# A client's figures are bounded, because they go into sums that outlive the message.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Millis = Annotated[float, msgspec.Meta(ge=0, le=600_000)]
# For a whole call of any length: a report that is out of bounds ends it.
TotalMillis = Annotated[float, msgspec.Meta(ge=0, le=1 << 40)]


class Report(_Tagged, tag="report"):
    """What the browser measures of the phone's voice, once a second; counters are cumulative."""

    packets: Count
    """Received, 20 ms each."""
    lost: Count = 0
    concealed_ms: TotalMillis = 0.0
    jitter_ms: Millis = 0.0
    buffer_ms: Millis = 0.0
    """How long a sample waits in the browser before it is played."""
    rtt_ms: Millis | None = None
    """Round trip of the audio's own path."""


class Mute(_Tagged, tag="mute"):
    """Stop or resume sending the caller's voice; confirmed by the same message."""

    muted: bool


class Hold(_Tagged, tag="hold"):
    """Hold or resume the call; confirmed by the same message."""

    held: bool


class SendDtmf(_Tagged, tag="dtmf"):
    """Press keys: the phone hears their tones, ahead of speech."""

    digits: Digits


class Hangup(_Tagged, tag="hangup"):
    """End the call."""


class Supervise(_Tagged, tag="supervise"):
    """Of a supervisor: whom they speak to from now on; confirmed by the same message.

    What the account does not allow is answered with what holds.
    """

    mode: Mode


class Ping(_Tagged, tag="ping"):
    """Measure the round trip."""

    id: int


ClientMessage = (
    Start
    | Resume
    | Offer
    | SelectPath
    | Report
    | Mute
    | Hold
    | SendDtmf
    | Supervise
    | Hangup
    | Ping
)


class Money(msgspec.Struct, frozen=True):
    """An amount: exact, and formatted for people."""

    micros: int
    currency: str
    text: str


class RateQuote(msgspec.Struct, frozen=True, kw_only=True):
    """The price of this call."""

    per_minute: Money
    connect_fee: Money
    first_increment_s: int
    next_increment_s: int
    description: str


class Ready(_Tagged, tag="ready"):
    """The token was valid: the call is being placed, or has been resumed.

    After `resume` the messages that describe the current state follow: `ringing`, `accept`,
    `supervised`, `mute`, `hold`.
    """

    version: int
    call_id: str
    destination: str
    codec: Codec
    frame_bytes: int
    rate: RateQuote | None = None
    """The price; null where somebody else pays, whose price is none of the caller's business."""
    webrtc: bool = False
    """Whether an `offer` is accepted here."""
    resume_token: str = ""
    """Resumes the call after this socket is lost; empty if that is not possible."""
    resume_seconds: int = 0
    """How long the phone is kept on the line for that."""


class SupervisionReady(_Tagged, tag="supervision-ready"):
    """The grant was valid: both voices of the call follow, mixed, in frames of `pcmu`.

    The supervisor listens; what they say is thrown away until they choose otherwise.
    """

    version: int
    call_id: str
    frame_bytes: int
    most: Mode
    """What the account allows, and with it all that is less."""
    announced: bool
    """Whether a tone tells both parties."""


class Supervised(_Tagged, tag="supervised"):
    """Somebody else is in the call, or has left it; sent to the caller where that is announced."""

    mode: Mode | None
    """None: nobody any more. In `take-over` the phone neither hears the caller nor is heard."""


class CheckReady(_Tagged, tag="check-ready"):
    """The token was valid: audio is echoed for so many seconds from its start."""

    version: int
    seconds: int
    webrtc: bool


class CheckResult(_Tagged, tag="check-result"):
    """How a call from here would sound."""

    verdict: Verdict
    path: Path
    mos: float
    rtt_ms: float | None
    jitter_ms: float
    loss_percent: float
    level_dbov: int
    message: str
    action: str
    """What to do about it; empty if nothing is wrong."""


class Answer(_Tagged, tag="answer"):
    """Answer to the `offer` with this id."""

    id: int
    sdp: str


class OfferRefused(_Tagged, tag="offer-refused"):
    """The `offer` with this id is refused; the audio stays on the socket."""

    id: int
    code: str
    message: str


class PathSelected(_Tagged, tag="media"):
    """The phone's voice is sent on this path from now on."""

    path: Path


class Stalled(_Tagged, tag="stalled"):
    """A voice stopped arriving at the gateway, or arrives again; sent while `media` is `webrtc`.

    `browser`: the caller's packets are lost. Send `media` `websocket` and speak on the socket; a
    client that is silent on purpose ignores this. `carrier`: the phone's voice is held up before
    the gateway, so that there is nothing to send; the path is not at fault.
    """

    leg: Leg
    stalled: bool


class LegSample(msgspec.Struct, frozen=True, kw_only=True):
    """One direction over the last seconds."""

    loss_percent: float = 0.0
    """Lost on the network, before concealment."""
    jitter_ms: float = 0.0
    """Interarrival jitter (RFC 3550 A.8)."""
    concealed_percent: float = 0.0
    backlog_ms: float = 0.0
    """Audio waiting to be heard, beyond the network's own delay."""
    level_dbov: int = -127
    mos: float = 4.4
    """Listening and conversational quality, 1 to 4.5 (ITU-T G.107)."""


class Sample(_Tagged, tag="sample"):
    """The quality of the line, once a second during a call."""

    path: Path
    rtt_ms: float | None
    """Between browser and gateway."""
    carrier_rtt_ms: float | None
    """Between gateway and carrier, measured by marks in the audio."""
    browser: LegSample
    """The caller's voice, as the phone hears it."""
    carrier: LegSample
    """The phone's voice, as the caller hears it."""


class Ringing(_Tagged, tag="ringing"):
    """The phone rings; ringback follows as audio."""


class ToneStarted(_Tagged, tag="tone"):
    """A call-progress tone follows as audio."""

    name: ToneName


class Accept(_Tagged, tag="accept"):
    """The phone was answered; charging has started."""

    at: str
    """RFC 3339, UTC."""


class DtmfReceived(_Tagged, tag="dtmf"):
    """A key was pressed at the phone."""

    digit: str


class Talk(_Tagged, tag="talk"):
    """Someone started or stopped speaking."""

    leg: Leg
    talking: bool


class Volume(_Tagged, tag="volume"):
    """Levels of both directions in dBov, -127 to 0 (RFC 6464), once a second."""

    input_dbov: int
    output_dbov: int


class Cost(_Tagged, tag="cost"):
    """What the call has cost so far, once a second."""

    seconds: int
    cost: Money


class Credit(_Tagged, tag="credit"):
    """What is left for this call, once a second."""

    balance: Money
    """Of the account: what is held for its calls on this node counts only as far as it is used."""
    remaining_seconds: int
    """Until the first of credit, spending limit and longest time runs out; all calls of an account
    count down to the same end."""


class Draining(_Tagged, tag="draining"):
    """The gateway is restarting; a call still running at the end of this time is ended."""

    seconds_left: int


class CreditWarning(_Tagged, tag="credit-warning"):
    """The call will be cut off soon; only the caller hears a beep."""

    seconds_left: int
    cause: Lack


class CreditWarningCleared(_Tagged, tag="credit-warning-cleared"):
    """More time is left than the last warning said."""

    seconds_left: int


class Warning(_Tagged, tag="warning"):
    """Something is wrong with the call that a person should know about."""

    name: str
    message: str


class WarningCleared(_Tagged, tag="warning-cleared"):
    """The problem of this warning is over."""

    name: str


class _End(_Tagged):
    call_id: str
    cause: int
    name: str
    message: str
    ended_by: str
    seconds: int | None
    """Charged for; null, like `cost`, where another node may have settled the call meanwhile. The
    call's record tells it."""
    cost: Money | None
    """Null also where somebody else pays."""
    action: str = ""
    """What to do next; empty if that is obvious."""
    cut_off: Lack | None = None
    """What the call ran out of when it was cut off; null if it ended otherwise."""
    messages: Mapping[str, str] = {}
    """`message` in each language that is spoken, by its tag, such as `de`, where the carrier has
    told more than the cause says; otherwise empty."""


class Cancel(_End, tag="cancel"):
    """The caller hung up before the call was answered."""


class Disconnect(_End, tag="disconnect"):
    """The call is over."""


class Error(_Tagged, tag="error", omit_defaults=True):
    """A message was refused, or the leg is about to be closed."""

    code: str
    message: str
    action: str
    retry: bool
    retry_after_s: int = 0
    """When the same request may succeed, in seconds; omitted if unknown."""


class Pong(_Tagged, tag="pong"):
    """Answer to `ping`."""

    id: int


GatewayMessage = (
    Ready
    | CheckReady
    | SupervisionReady
    | Supervise
    | Supervised
    | CheckResult
    | Answer
    | OfferRefused
    | PathSelected
    | Stalled
    | Sample
    | Ringing
    | ToneStarted
    | Accept
    | Mute
    | Hold
    | DtmfReceived
    | Talk
    | Volume
    | Cost
    | Credit
    | CreditWarning
    | CreditWarningCleared
    | Draining
    | Warning
    | WarningCleared
    | Cancel
    | Disconnect
    | Error
    | Pong
)

# Created once: a decoder is compiled from its types.
_decode: Callable[[bytes], ClientMessage] = msgspec.json.Decoder(ClientMessage).decode
_encode = msgspec.json.Encoder().encode


def parse(text: bytes) -> ClientMessage:
    """Return the client's message. Raises PeerProtocolError if it is not one."""
    # Checks the length first: the sender is a stranger until its token is verified.
    if len(text) > MESSAGE_BYTES_MAX:
        raise PeerProtocolError("A text message is too long.", close_code=1009)
    try:
        return _decode(text)
    except UNREADABLE:
        # Without the decoder's text and without the cause: either may quote the message.
        raise PeerProtocolError("A text message could not be understood.") from None


def encode(message: GatewayMessage) -> bytes:
    """Return the message as JSON."""
    return _encode(message)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of both directions."""
    (client, gateway), components = msgspec.json.schema_components(
        (ClientMessage, GatewayMessage), ref_template="#/$defs/{name}"
    )
    for component in components.values():
        # Up to Python 3.12 a docstring keeps its indentation.
        component["description"] = cleandoc(component["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Caller browser media socket, text messages, version {VERSION}",
        "$defs": {"FromClient": client, "FromGateway": gateway, **components},
    }
