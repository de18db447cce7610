"""Messages of the browser's media socket, version 1, sans-I/O.

Text messages are JSON objects with a `type`; binary messages are audio of the codec that the call
token names. `schema()` is the contract that `docs/wire/` publishes. Knows no socket and no call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from gateway.errors import PeerProtocolError

VERSION = 1
MESSAGE_BYTES_MAX = 4096
"""Longest text message; longer ones end the leg."""

FRAME_BYTES = {"pcmu": 160, "pcm16": 640}
"""Codec -> bytes of one 20 ms frame: mu-law at 8 kHz, or 16-bit little-endian PCM at 16 kHz."""

Codec = Literal["pcmu", "pcm16"]
Digits = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern="^[0-9*#A-D]+$")]
Leg = Literal["browser", "carrier"]
ToneName = Literal["ringback", "busy", "congestion", "cut-off"]
Lack = Literal["credit", "cap", "duration"]
"""What a call runs out of: its account's credit, a spending limit, or the longest time allowed."""


class _Tagged(msgspec.Struct, kw_only=True, tag_field="type"):
    """A message; its `type` is its tag."""


class Start(_Tagged, tag="start"):
    """First message of every socket."""

    version: int
    token: Annotated[str, msgspec.Meta(max_length=256)]


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


class Ping(_Tagged, tag="ping"):
    """Measure the round trip."""

    id: int


ClientMessage = Start | Mute | Hold | SendDtmf | Hangup | Ping


class Money(msgspec.Struct, frozen=True):
    """An amount: exact, and as a person reads it."""

    micros: int
    currency: str
    text: str


class RateQuote(msgspec.Struct, frozen=True, kw_only=True):
    """What this call costs."""

    per_minute: Money
    connect_fee: Money
    first_increment_s: int
    next_increment_s: int
    description: str


class Ready(_Tagged, tag="ready"):
    """The token was good; the call is being placed."""

    version: int
    call_id: str
    destination: str
    codec: Codec
    frame_bytes: int
    rate: RateQuote


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
    """Someone began or ceased to speak."""

    leg: Leg
    talking: bool


class Volume(_Tagged, tag="volume"):
    """Levels of both directions in dBov, -127 to 0 (RFC 6464), twice a second."""

    input_dbov: int
    output_dbov: int


class Cost(_Tagged, tag="cost"):
    """What has been used so far, once a second."""

    seconds: int
    cost: Money


class Credit(_Tagged, tag="credit"):
    """What is left for this call, once a second."""

    balance: Money
    remaining_seconds: int
    """Until the first of credit, spending limit and longest time allowed ends; all calls of an
    account count down to the same end."""


class CreditWarning(_Tagged, tag="credit-warning"):
    """The call will soon be cut off; a beep is heard by the caller alone."""

    seconds_left: int
    cause: Lack


class CreditWarningCleared(_Tagged, tag="credit-warning-cleared"):
    """More time is left again than the last warning said."""

    seconds_left: int


class Warning(_Tagged, tag="warning"):
    """Something is wrong with the call that a person should know."""

    name: str
    message: str


class WarningCleared(_Tagged, tag="warning-cleared"):
    """What was wrong is over."""

    name: str


class _End(_Tagged):
    call_id: str
    cause: int
    name: str
    message: str
    ended_by: str
    seconds: int
    cost: Money
    action: str = ""
    """What to do next; empty where that is obvious."""
    cut_off: Lack | None = None
    """What the call was cut off for want of; null where it ended otherwise."""


class Cancel(_End, tag="cancel"):
    """The caller gave up before an answer."""


class Disconnect(_End, tag="disconnect"):
    """The call is over."""


class Error(_Tagged, tag="error"):
    """A message was refused, or the leg is about to be closed."""

    code: str
    message: str
    action: str
    retry: bool


class Pong(_Tagged, tag="pong"):
    """Answer to `ping`."""

    id: int


GatewayMessage = (
    Ready
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
    | Warning
    | WarningCleared
    | Cancel
    | Disconnect
    | Error
    | Pong
)

_decode: Callable[[bytes], ClientMessage] = msgspec.json.Decoder(ClientMessage).decode
_encode = msgspec.json.Encoder().encode


def parse(text: bytes) -> ClientMessage:
    """Return the client's message. Raises PeerProtocolError for what is not one."""
    if len(text) > MESSAGE_BYTES_MAX:
        raise PeerProtocolError("A text message is too long.", close_code=1009)
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError):
        raise PeerProtocolError("A text message could not be understood.") from None


def encode(message: GatewayMessage) -> bytes:
    """Return the message as JSON."""
    return _encode(message)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of both directions."""
    (client, gateway), components = msgspec.json.schema_components(
        (ClientMessage, GatewayMessage), ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Caller browser media socket, text messages, version {VERSION}",
        "$defs": {"FromClient": client, "FromGateway": gateway, **components},
    }
