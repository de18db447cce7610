"""Parses TwiML, as far as a bridged call needs it: a document in, verbs out. Pure.

Executed: Connect with one Stream, Redirect, Hangup, Say, Pause, Play with digits, Reject. Other
verbs are kept as `Unknown` and skipped with a schema warning, as Twilio does.
https://www.twilio.com/docs/voice/twiml
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from xml.etree import ElementTree

from simulators.carrier.errors import StreamError, TwimlError

DOCUMENT_BYTES_MAX: Final = 64 * 1024
"""https://www.twilio.com/docs/voice/limitations-and-edge-cases"""
VERBS_MAX: Final = 1000
PARAMETER_CHARS_MAX: Final = 500
"""Name and value of one Parameter together."""
_SPOKEN_CHARS_PER_S: Final = 15
_DIGITS: Final = re.compile(r"[0-9*#wWA-D]*")


@dataclass(frozen=True, slots=True)
class Stream:
    """`<Connect><Stream>`: opens the media socket and waits for its end."""

    url: str
    name: str
    track: str
    status_callback: str
    status_callback_method: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Redirect:
    """Goes on with the document at a URL."""

    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """Ends the call; `<Reject>` does the same to an outbound one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Waits; stands in for `<Play>` of a file, too."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Say:
    """Speaks a text; here it lasts as long as the text would take to be read."""

    text: str
    language: str

    @property
    def duration_s(self) -> float:
        """How long it takes."""
        return len(self.text) / _SPOKEN_CHARS_PER_S


@dataclass(frozen=True, slots=True)
class PlayDigits:
    """Plays keys to the called party; `w` is half a second."""

    digits: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A verb that this simulator does not execute."""

    name: str


Verb = Stream | Redirect | Hangup | Pause | Say | PlayDigits | Unknown


def parse(document: bytes) -> tuple[Verb, ...]:
    """Return the verbs of a document.

    Raises:
        TwimlError: 12100, the document is not TwiML.
    """
    if len(document) > DOCUMENT_BYTES_MAX:
        raise TwimlError(12100, "document too large")
    if b"<!DOCTYPE" in document:
        # No entity is ever expanded from a document that came over the network.
        raise TwimlError(12100, "document type declarations are not TwiML")
    try:
        root = ElementTree.fromstring(document)  # noqa: S314 - no entities, see above
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise TwimlError(12100, str(error)) from error
    if root.tag != "Response":
        raise TwimlError(12100, "the root element is not Response")
    if len(root) > VERBS_MAX:
        raise TwimlError(12100, "too many verbs")
    return tuple(_verb(element) for element in root)


def _verb(element: ElementTree.Element) -> Verb:
    read = _VERBS.get(element.tag)
    return Unknown(str(element.tag)) if read is None else read(element)


def _redirect(element: ElementTree.Element) -> Verb:
    return Redirect((element.text or "").strip(), _method(element, "method"))


def _hangup(_: ElementTree.Element) -> Verb:
    return Hangup()


def _pause(element: ElementTree.Element) -> Verb:
    # Twilio's default for Pause is one second.
    return Pause(float(_number(element.get("length", "1"))))


def _say(element: ElementTree.Element) -> Verb:
    return Say("".join(element.itertext()), element.get("language", "en-US"))


def _play(element: ElementTree.Element) -> Verb:
    digits = element.get("digits")
    if digits is None:
        return Pause(1.0)
    return PlayDigits(digits) if _DIGITS.fullmatch(digits) else Unknown("Play")


def _connect(element: ElementTree.Element) -> Verb:
    stream = element.find("Stream")
    # Connect with another noun, or with several, cannot be executed; a schema warning skips it.
    if stream is None or len(element) != 1:
        return Unknown("Connect")
    return Stream(
        url=stream.get("url", ""),
        name=stream.get("name", ""),
        track=stream.get("track", "inbound_track"),
        status_callback=stream.get("statusCallback", ""),
        status_callback_method=_method(stream, "statusCallbackMethod"),
        parameters=tuple(
            (child.get("name", ""), child.get("value", "")) for child in stream.iter("Parameter")
        ),
    )


def _method(element: ElementTree.Element, attribute: str) -> str:
    return "GET" if element.get(attribute, "POST").upper() == "GET" else "POST"


def _number(text: str) -> int:
    return min(int(text[:4]), 3600) if text.isascii() and text.isdigit() else 1


_VERBS: Final[dict[str, Callable[[ElementTree.Element], Verb]]] = {
    "Connect": _connect,
    "Hangup": _hangup,
    "Pause": _pause,
    "Play": _play,
    "Redirect": _redirect,
    "Reject": _hangup,
    "Say": _say,
}


def check_stream(stream: Stream) -> None:
    """Refuse a stream that Twilio would not open.

    Raises:
        StreamError: 31922 scheme, 31923 URL, 31920 query, 31941 track.
    """
    try:
        parts = urlsplit(stream.url)
        # Both are parsed on access: a port that is no number raises only here.
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise StreamError(31923, "malformed URL") from error
    if parts.scheme != "wss":
        raise StreamError(31922, "the URL is not wss")
    if not host or parts.fragment or any(c.isspace() for c in stream.url):
        raise StreamError(31923, "malformed URL")
    # Parameters go into `<Parameter>`: a query makes the real handshake fail.
    if "?" in stream.url:
        raise StreamError(31920, "a stream URL may not have a query string")
    if stream.track != "inbound_track":
        raise StreamError(31941, "Connect allows the inbound track only")


def kept_parameters(stream: Stream) -> tuple[dict[str, str], list[str]]:
    """Return the parameters to deliver, and the names of those too long to be."""
    kept: dict[str, str] = {}
    refused: list[str] = []
    for name, value in stream.parameters:
        # Twilio's bound is "less than 500" for both together.
        if not name or len(name) + len(value) >= PARAMETER_CHARS_MAX:
            refused.append(name)
        else:
            kept[name] = value
    return kept, refused
