"""Reads a request to place or change a call from form fields, as Twilio does.

Pure: fields in, an order or a `RestError` out. Parameters that Twilio knows and this simulator
does not act on are accepted and ignored; it only checks those that matter to a caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulators.carrier import errors, numbers
from simulators.carrier.errors import RestError

Form = Mapping[str, Sequence[str]]

TWIML_CHARS_MAX: Final = 4000
STATUS_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
TIMEOUT_DEFAULT_S: Final = 60
TIMEOUT_MAX_S: Final = 600
_DIGITS_MAX: Final = 9
"""Of a number in a field; more than any bound has, and fewer than `int` refuses."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where a webhook goes."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """Everything a create request asked for."""

    to: str
    from_: str
    twiml: str | None
    url: Hook | None
    status_callback: Hook | None
    events: frozenset[str]
    """Status events to announce; the terminal one alone unless asked otherwise."""
    timeout_s: int
    time_limit_s: int | None
    detection: str
    """`Enable`, `DetectMessageEnd` or empty."""
    detection_async: bool
    detection_callback: Hook | None
    send_digits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUpdate:
    """Everything an update request asked for."""

    status: str | None
    twiml: str | None
    url: Hook | None
    status_callback: Hook | None
    time_limit_s: int | None


def read_order(form: Form, owned: frozenset[str]) -> CallOrder:
    """Return the order in a create request.

    Args:
        form: decoded fields; a repeated field has several values.
        owned: numbers that may be the caller.

    Raises:
        RestError: with the code Twilio gives for the first thing that is wrong.
    """
    to, from_ = _first(form, "To"), _first(form, "From")
    if (refusal := numbers.refusal_to(to)) is not None:
        raise RestError(refusal, to)
    if (refusal := numbers.refusal_from(from_, owned)) is not None:
        raise RestError(refusal, from_)
    # After the numbers: Twilio reports the first thing that is wrong, and these come first.
    twiml, url = _twiml(form), _hook(form, "Url", "Method")
    if twiml is None and url is None:
        raise RestError(errors.URL_MISSING)
    detection = _choice(form, "MachineDetection", ("", "Enable", "DetectMessageEnd"))
    return CallOrder(
        to=to,
        from_=from_,
        twiml=twiml,
        url=url,
        status_callback=_hook(form, "StatusCallback", "StatusCallbackMethod"),
        events=_events(form),
        timeout_s=_integer(form, "Timeout", 1, TIMEOUT_MAX_S) or TIMEOUT_DEFAULT_S,
        time_limit_s=_integer(form, "TimeLimit", 1, 86400),
        detection=detection,
        detection_async=_choice(form, "AsyncAmd", ("", "false", "true")) == "true",
        detection_callback=_hook(form, "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod"),
        send_digits=_first(form, "SendDigits"),
    )


def read_update(form: Form) -> CallUpdate:
    """Return the change in an update request.

    Raises:
        RestError: with the code Twilio gives for the first thing that is wrong.
    """
    return CallUpdate(
        status=_choice(form, "Status", ("", "canceled", "completed")) or None,
        twiml=_twiml(form),
        url=_hook(form, "Url", "Method"),
        status_callback=_hook(form, "StatusCallback", "StatusCallbackMethod"),
        time_limit_s=_integer(form, "TimeLimit", 1, 86400),
    )


def _first(form: Form, name: str) -> str:
    values = form.get(name)
    return values[0] if values else ""


def _twiml(form: Form) -> str | None:
    twiml = _first(form, "Twiml")
    if len(twiml) > TWIML_CHARS_MAX:
        raise RestError(errors.INVALID_PARAMETER, "Twiml")
    return twiml or None


def _hook(form: Form, url_field: str, method_field: str) -> Hook | None:
    url = _first(form, url_field)
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise RestError(errors.INVALID_PARAMETER, url_field)
    method = _first(form, method_field).upper() or "POST"
    if method not in ("GET", "POST"):
        raise RestError(errors.METHOD_INVALID, method)
    return Hook(url, method)


def _events(form: Form) -> frozenset[str]:
    # A client may repeat the field or separate events by spaces in one.
    events = [event for value in form.get("StatusCallbackEvent", ()) for event in value.split()]
    if any(event not in STATUS_EVENTS for event in events):
        raise RestError(errors.INVALID_PARAMETER, "StatusCallbackEvent")
    # Twilio announces the terminal status alone unless the order names events.
    return frozenset(events or ("completed",))


def _choice(form: Form, name: str, allowed: Sequence[str]) -> str:
    value = _first(form, name)
    if value not in allowed:
        raise RestError(errors.INVALID_PARAMETER, name)
    return value


def _integer(form: Form, name: str, low: int, high: int) -> int | None:
    value = _first(form, name)
    if not value:
        return None
    is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX
    if not (is_number and low <= int(value) <= high):
        raise RestError(errors.INVALID_PARAMETER, name)
    return int(value)
