"""Maps Twilio's error codes to why the call ends, what to do, and what the caller reads.

Source: Twilio, "Error and warning dictionary" (https://www.twilio.com/docs/api/errors). Pure. The
operator reads the meaning and the next step; the caller gets one sentence in their own language,
which reveals nothing about the operator's account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final
from urllib.parse import parse_qs

from gateway.cause import CarrierRefusal, Cause
from gateway.words.languages import read_words

TEXT_MAX: Final = 300
"""Characters of Twilio's own words that are kept."""
_NUMBER: Final = re.compile(r"\+\d(?:[\d() .-]*\d)?|\(?\d[\d() .-]{5,}\d")
"""A phone number in Twilio's words, however it is written."""
_STREAM_CODE: Final = re.compile(r"(?<!\d)3\d{4}(?!\d)")
"""A code of Twilio's voice products, of which those of media streams are 319…."""
_SPACES: Final = re.compile(r"\s+")


_WORDS: Final = read_words("carrier")


class CallerSentence(StrEnum):
    """The sentence for a caller, by its name in the words of each language."""

    NUMBER = auto()
    DESTINATION = auto()
    BLOCKED = auto()
    LINES = auto()
    TRIAL = auto()
    OUT_OF_SERVICE = auto()
    OWN_NUMBER = auto()
    OVERLOADED = auto()
    FAULT = auto()
    NO_SOUND = auto()
    TOO_LONG = auto()

    @property
    def words(self) -> Mapping[str, str]:
        """The sentence by language (BCP 47)."""
        return {language: words[f"told.{self}"] for language, words in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one of Twilio's codes means for this gateway."""

    cause: Cause
    what: str
    """What it says of the account or the call, for the operator."""
    do: str
    """The operator's next step."""
    told: CallerSentence


_CONSOLE: Final = "Twilio's console"
_FUNDS: Final = f"See {_CONSOLE}, Billing: pay what is due, or ask Twilio's support."
_UPGRADE: Final = f"Upgrade the account: {_CONSOLE}, Billing."
_VERIFY: Final = f"Verify it: {_CONSOLE}, Verified Caller IDs; or upgrade the account."
_GEO: Final = f"Switch the country on: {_CONSOLE}, Voice, Settings, Geo permissions."
_SID: Final = (
    "CALLER_CALLER_ID must be a number of this Twilio account that can do voice, or verified there."
)
_CREDENTIALS: Final = (
    "Check CALLER_TWILIO_ACCOUNT_SID with CALLER_TWILIO_AUTH_TOKEN or the API key; each region has"
    " credentials of its own (CALLER_TWILIO_REGION)."
)
_ORIGIN: Final = "Run `caller check`: it opens CALLER_PUBLIC_ORIGIN from outside in."
_CERTIFICATE: Final = "Serve the certificate of a public authority for this name, whole chain."
_BUG: Final = "Report this code to the makers of this gateway, which should not send that."
_NOTHING: Final = "Nothing: the number that was dialled is wrong or out of service."
_SCREENED: Final = "Nothing, or ask Twilio's support to open the number."
_STATUS: Final = "Wait, and check status.twilio.com."

_ACCOUNT: Final = Cause.FACILITY_NOT_SUBSCRIBED
_DOWN: Final = Cause.NETWORK_OUT_OF_ORDER
_BARRED: Final = Cause.OUTGOING_CALL_BARRED
_UNKNOWN: Final = Cause.UNALLOCATED_NUMBER
_FORMAT: Final = Cause.INVALID_NUMBER_FORMAT
_UNREACHED: Final = Cause.GATEWAY_DOWN
_SOUND: Final = Cause.BEARERCAPABILITY_NOTAVAIL

_OUT, _OWN, _TRIAL, _NO_SOUND = (
    CallerSentence.OUT_OF_SERVICE,
    CallerSentence.OWN_NUMBER,
    CallerSentence.TRIAL,
    CallerSentence.NO_SOUND,
)

MEANINGS: Final[Mapping[int, Meaning]] = {
    # The account.
    10001: Meaning(_DOWN, "The account is suspended or closed.", _FUNDS, _OUT),
    10002: Meaning(_DOWN, "A trial account cannot do this.", _UPGRADE, _OUT),
    10004: Meaning(
        Cause.NORMAL_CIRCUIT_CONGESTION,
        "The account has reached its concurrent calls: 5 on trial, 2 without an approved"
        " profile, 3 with that of an individual.",
        f"Have a business profile approved: {_CONSOLE}, Trust Hub. Until then set CALLER_CALLS_MAX"
        " to what the account allows.",
        CallerSentence.LINES,
    ),
    10005: Meaning(
        _DOWN, "Voice calls are disabled for the account.", "Ask Twilio's support why.", _OUT
    ),
    20003: Meaning(_DOWN, "The credentials are wrong, or do not allow this.", _CREDENTIALS, _OUT),
    20005: Meaning(
        _DOWN, "The account is not active, for lack of funds or by choice.", _FUNDS, _OUT
    ),
    20006: Meaning(_DOWN, "The credentials do not allow this.", _CREDENTIALS, _OUT),
    20008: Meaning(
        _DOWN,
        "These are test credentials, which reach no phone.",
        f"Use the live ones: {_CONSOLE}, API keys and tokens.",
        _OUT,
    ),
    20010: Meaning(
        _DOWN, "This is disabled for the account.", "Ask Twilio's support to enable it.", _OUT
    ),
    20403: Meaning(_DOWN, "The credentials do not allow this.", _CREDENTIALS, _OUT),
    20404: Meaning(
        _DOWN,
        "There is no such account or call in this region.",
        "Check CALLER_TWILIO_ACCOUNT_SID, CALLER_TWILIO_REGION and CALLER_CARRIER_URL.",
        _OUT,
    ),
    70051: Meaning(
        _DOWN,
        "The API key lacks a right, is revoked, or is of another account.",
        f"Give it the rights that docs/carrier.md lists: {_CONSOLE}, API keys.",
        _OUT,
    ),
    90010: Meaning(_DOWN, "The account is suspended.", _FUNDS, _OUT),
    20429: Meaning(
        Cause.SWITCH_CONGESTION,
        "Too many requests at once; Twilio did not process this one.",
        "Nothing: it is retried. If it keeps happening, place fewer calls at once.",
        CallerSentence.OVERLOADED,
    ),
    20500: Meaning(_DOWN, "Twilio failed.", _STATUS, CallerSentence.FAULT),
    20503: Meaning(_DOWN, "Twilio's service is not available.", _STATUS, CallerSentence.FAULT),
    # The trial.
    13805: Meaning(
        Cause.ALLOTTED_TIMEOUT,
        "A trial account's call ends after 10 minutes.",
        _UPGRADE,
        CallerSentence.TOO_LONG,
    ),
    21219: Meaning(_BARRED, "A trial account calls verified numbers only.", _VERIFY, _TRIAL),
    573002: Meaning(
        _ACCOUNT,
        "On trial each verified recipient has a number of its own to be called from, and"
        " CALLER_CALLER_ID is not the one of this recipient.",
        f"Set CALLER_CALLER_ID to the trial number that {_CONSOLE} shows beside the recipient"
        " (Voice, Try out Voice), or upgrade the account.",
        _TRIAL,
    ),
    573005: Meaning(
        _BARRED,
        "The recipient was added to the trial, and the code sent there was never entered.",
        f"Enter the code: {_CONSOLE}, Verified Caller IDs; at most five numbers can be verified.",
        _TRIAL,
    ),
    # The number that is shown.
    13214: Meaning(_ACCOUNT, "CALLER_CALLER_ID cannot be shown.", _SID, _OWN),
    13247: Meaning(
        _ACCOUNT,
        "CALLER_CALLER_ID is invalid, not assigned, or on a do-not-originate list.",
        _SID,
        _OWN,
    ),
    21210: Meaning(
        _ACCOUNT,
        "CALLER_CALLER_ID neither belongs to the account nor is verified there.",
        _SID,
        _OWN,
    ),
    21212: Meaning(_ACCOUNT, "CALLER_CALLER_ID is not a valid number.", _SID, _OWN),
    21213: Meaning(_ACCOUNT, "CALLER_CALLER_ID is missing.", _SID, _OWN),
    21606: Meaning(_ACCOUNT, "CALLER_CALLER_ID cannot place calls.", _SID, _OWN),
    # The number that is called.
    13223: Meaning(_FORMAT, "The number is not E.164.", _NOTHING, CallerSentence.NUMBER),
    13224: Meaning(_UNKNOWN, "Twilio cannot reach the number.", _NOTHING, CallerSentence.NUMBER),
    13226: Meaning(
        _FORMAT, "The number has no known country code.", _NOTHING, CallerSentence.NUMBER
    ),
    21201: Meaning(_FORMAT, "No number was given.", _BUG, CallerSentence.NUMBER),
    21211: Meaning(_FORMAT, "The number is not valid.", _NOTHING, CallerSentence.NUMBER),
    21214: Meaning(_UNKNOWN, "The number cannot be reached.", _NOTHING, CallerSentence.NUMBER),
    21217: Meaning(
        _FORMAT, "The number does not seem to be valid.", _NOTHING, CallerSentence.NUMBER
    ),
    21401: Meaning(_FORMAT, "The number is not valid.", _NOTHING, CallerSentence.NUMBER),
    # What may be called.
    13225: Meaning(_BARRED, "Twilio blocks the number.", _SCREENED, CallerSentence.BLOCKED),
    13227: Meaning(_BARRED, "The country is switched off.", _GEO, CallerSentence.DESTINATION),
    21202: Meaning(_BARRED, "The number is a premium one.", _SCREENED, CallerSentence.BLOCKED),
    21203: Meaning(
        _BARRED, "International calls are switched off.", _GEO, CallerSentence.DESTINATION
    ),
    21215: Meaning(
        _BARRED, "The country or range is switched off.", _GEO, CallerSentence.DESTINATION
    ),
    21216: Meaning(_BARRED, "Twilio blocks the number.", _SCREENED, CallerSentence.BLOCKED),
    # What we ask for.
    11100: Meaning(_UNREACHED, "One of our addresses is malformed.", _ORIGIN, _OUT),
    20001: Meaning(_DOWN, "A parameter is unknown or wrong.", _BUG, _OUT),
    20422: Meaning(_DOWN, "A parameter is invalid.", _BUG, _OUT),
    21205: Meaning(_UNREACHED, "One of our addresses is not valid.", _ORIGIN, _OUT),
    21609: Meaning(
        _UNREACHED,
        "Our callback address is not valid: Twilio accepts no host name with an underscore.",
        "Set CALLER_PUBLIC_ORIGIN to https and a name of letters, digits and hyphens.",
        _OUT,
    ),
    # How Twilio reaches us.
    11200: Meaning(_UNREACHED, "We answered a callback with an error.", _ORIGIN, _OUT),
    11205: Meaning(_UNREACHED, "Twilio cannot connect to us.", _ORIGIN, _OUT),
    11210: Meaning(_UNREACHED, "DNS cannot resolve our host name.", _ORIGIN, _OUT),
    11220: Meaning(_UNREACHED, "TLS with us fails.", _CERTIFICATE, _OUT),
    11235: Meaning(_UNREACHED, "Our certificate is for another name.", _CERTIFICATE, _OUT),
    11236: Meaning(_UNREACHED, "Our certificate has expired.", "Renew it.", _OUT),
    11237: Meaning(_UNREACHED, "Our certificate's chain is not complete.", _CERTIFICATE, _OUT),
    12100: Meaning(_SOUND, "Twilio cannot read our TwiML.", _BUG, _NO_SOUND),
    12300: Meaning(
        _SOUND,
        "The answer that Twilio got is not XML.",
        "Something in front of the gateway answers in its place: see the proxy's log.",
        _NO_SOUND,
    ),
    # The media stream.
    31901: Meaning(_SOUND, "The media socket got no answer.", _ORIGIN, _NO_SOUND),
    31902: Meaning(_SOUND, "The media socket was refused.", _ORIGIN, _NO_SOUND),
    31903: Meaning(_SOUND, "The media socket broke.", "Check the proxy's time-outs.", _NO_SOUND),
    31904: Meaning(_SOUND, "Our host cannot be reached.", _ORIGIN, _NO_SOUND),
    31910: Meaning(_SOUND, "TLS of the media socket fails.", _CERTIFICATE, _NO_SOUND),
    31920: Meaning(
        _SOUND,
        "The media socket was blocked.",
        "Let the proxy pass WebSockets below /n/ (headers Upgrade and Connection).",
        _NO_SOUND,
    ),
    31921: Meaning(
        _SOUND,
        "We closed the media socket, as we do at the end of a call.",
        "Nothing, unless calls end before people hang up.",
        _NO_SOUND,
    ),
    31922: Meaning(
        _SOUND, "The media socket is not wss.", "Set CALLER_PUBLIC_ORIGIN to https.", _NO_SOUND
    ),
    31923: Meaning(_SOUND, "The media socket's address is malformed.", _ORIGIN, _NO_SOUND),
    31924: Meaning(_SOUND, "Our WebSocket violates the protocol.", _BUG, _NO_SOUND),
    31941: Meaning(_SOUND, "The stream's track is not supported.", _BUG, _NO_SOUND),
    31950: Meaning(_SOUND, "One of our messages cannot be decoded.", _BUG, _NO_SOUND),
    31951: Meaning(_SOUND, "One of our messages is not valid.", _BUG, _NO_SOUND),
    32015: Meaning(
        Cause.ALLOTTED_TIMEOUT,
        "The call reached Twilio's time limit.",
        "Nothing; CALLER_CALL_DURATION_MAX_S ends calls sooner, with a warning.",
        CallerSentence.TOO_LONG,
    ),
}
"""By Twilio's code."""

_TRIAL_RULE: Final = Meaning(
    _BARRED,
    "A rule of Twilio's trial forbids the call; a trial ends after 30 days.",
    f"Check the trial in {_CONSOLE}, Voice, or upgrade the account.",
    _TRIAL,
)
_REFUSED_CREDENTIALS: Final = Meaning(
    _DOWN, "Twilio does not accept the credentials.", _CREDENTIALS, _OUT
)
_FAILED: Final = Meaning(_DOWN, "Twilio failed.", _STATUS, CallerSentence.FAULT)
_OTHER: Final = Meaning(
    Cause.CALL_REJECTED,
    "Twilio gives a reason that is not listed here.",
    "Look the code up at https://www.twilio.com/docs/api/errors.",
    _OUT,
)


def meaning_of(code: int, status: int = 0) -> Meaning:
    """Return what an error code means; the HTTP status decides for one that is not listed.

    0 stands for no code, or no status.
    """
    # A code says more than the status that it comes with.
    if code in MEANINGS:
        return MEANINGS[code]
    # Twilio numbers the rules of a trial by product: 573… are those of voice.
    if code // 1000 == 573:
        return _TRIAL_RULE
    if status >= 500:
        return _FAILED
    return _REFUSED_CREDENTIALS if status in (401, 403) else _OTHER


def refusal(code: int, text: str, status: int = 0) -> CarrierRefusal:
    """Return a refusal as it is stored and shown."""
    meaning = meaning_of(code, status)
    return CarrierRefusal(code, without_numbers(text), meaning.told.words)


def of_notes(notes: Iterable[tuple[object, object, object]]) -> CarrierRefusal | None:
    """Return the refusal in Twilio's notifications about a call; None if none is an error.

    Each is level ("0" for an error), code and text, as strings, the newest first ("Notifications",
    https://www.twilio.com/docs/api/rest/notification). The text is a form with Twilio's words in
    its field `Msg`, as the replies in the tests of Twilio's own libraries show.
    """
    errors = [(_whole(code), str(text or "")) for level, code, text in notes if str(level) == "0"]
    # Consequences of a failure may be noted after it: the earliest known code explains most.
    known = [each for each in reversed(errors) if each[0] in MEANINGS]
    for code, text in known or errors:
        return refusal(code, parse_qs(text).get("Msg", [text])[0])
    return None


def of_stream(text: str) -> CarrierRefusal:
    """Return the refusal in a stream callback's `StreamError`.

    Twilio's documents call it a detailed error message and show none. If it contains a known code,
    that decides; otherwise its text is kept, and Twilio's notifications are queried.
    """
    codes = [int(each) for each in _STREAM_CODE.findall(text) if int(each) in MEANINGS]
    if codes:
        return refusal(codes[0], text)
    return CarrierRefusal(0, without_numbers(text), _NO_SOUND.words)


def _whole(code: object) -> int:
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def without_numbers(text: str) -> str:
    """Return Twilio's own words on one line, shortened, and without the numbers of people."""
    words = _SPACES.sub(" ", _NUMBER.sub("…", text.replace("\0", " "))).strip()
    return words if len(words) <= TEXT_MAX else words[: TEXT_MAX - 1] + "…"


def markdown() -> str:
    """Return the table of all codes, for the operator."""
    rows = [
        f"| [{code}](https://www.twilio.com/docs/api/errors/{code}) | {each.what} | {each.do} |"
        f" {each.cause.name} | {each.told.words['en']} |"
        for code, each in sorted(MEANINGS.items())
    ]
    head = ["| code | what it means | what to do | cause | what the caller reads |"]
    return "\n".join([*head, "|---|---|---|---|---|", *rows]) + "\n"
