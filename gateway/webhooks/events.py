"""Lists the events that webhooks report, and writes the body of one.

Source of the body: Standard Webhooks 1.0.0, "Payload structure". Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from billing.cdr import LegQuality, shown_in
from billing.figures import Shown

BODY_BYTES_MAX: Final = 20_000
"""Standard Webhooks: below 20 KB, so that receivers can bound what they read."""
CALL_ENDED: Final = "call.ended"
TEST: Final = "webhook.test"
_ID_CHARS: Final = 24

_CALL = {"account_id": "a1b2c3", "call_id": "9fae4c21"}
_LEG = msgspec.to_builtins(LegQuality(frames_in=3_000, frames_out=3_000, paths=("webrtc",)))
_PAYMENT = {
    "account_id": "a1b2c3",
    "payment_id": "pay_5e0c",
    "kind": "checkout",
    "micros": 10_000_000,
    "currency": "EUR",
    "reference": "payment:pay_5e0c",
}
_CHARGE = {name: _PAYMENT[name] for name in ("account_id", "payment_id", "micros", "currency")}
_ALARM = {
    "account_id": "",
    "name": "node_lost:n1",
    "rule": "node_lost",
    "subject": "n1",
    "title": "A node is gone: n1.",
    "value": 12.0,
    "unit": "s",
    "since": "2026-11-28T12:00:00+00:00",
}


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of event."""

    name: str
    when: str
    """When it is sent, as a clause."""
    example: Mapping[str, Any]
    """Its `data`; for `call.ended` what `GET /v1/calls/{call_id}` returns."""
    is_of_account: bool = True
    """Whether account holders can receive it; the operator's endpoint gets all but `call.ended`."""


EVENT_TYPES: Final[Mapping[str, EventType]] = {
    each.name: each
    for each in (
        EventType(
            CALL_ENDED,
            "a call has ended and its price is booked",
            {
                "id": "9fae4c21",
                "state": "ended",
                "destination": "+15005550006",
                "country": "US",
                "codec": "pcmu",
                "node": "n1",
                "created_at": "2026-11-28T12:00:00Z",
                "answered_at": "2026-11-28T12:00:07Z",
                "ended_at": "2026-11-28T12:01:07Z",
                "seconds": 60,
                "cost": {"micros": 20_000, "currency": "EUR", "text": "€0.02"},
                "cause": 16,
                "cause_name": "NORMAL_CLEARING",
                "cause_message": "The call has ended.",
                "ended_by": "caller",
                "carrier_call_id": "CA0123",
                **{figure.name: figure.example for figure in shown_in(Shown.API)},
                "browser": _LEG,
                "carrier": _LEG,
                "feedback": None,
            },
        ),
        EventType(
            "call.credit_warning",
            "a call will be cut off soon for lack of `cause`: `credit`, `cap` or `duration`",
            {**_CALL, "cause": "credit", "seconds_left": 30},
        ),
        EventType(
            "call.cut_off",
            "a call was cut off for lack of `cause`: `credit`, `cap`, `duration`, or `grace`, if "
            "the stores were unavailable or the gateway stood still; `seconds` is null if another "
            "node may have settled the call, whose record then contains them",
            {**_CALL, "cause": "credit", "seconds": 412},
        ),
        EventType(
            "call.refunded",
            "the price of a call that went wrong was refunded",
            {
                **_CALL,
                "micros": 20_000,
                "rule": "no_audio",
                "reason": "No sound came.",
                "reference": "call:9fae4c21",
            },
        ),
        EventType(
            "payment.received",
            "a top-up was paid and added to the credit; `kind` is `checkout`, `auto` or `saved`",
            _PAYMENT,
        ),
        EventType(
            "payment.refunded",
            "part of a payment goes back to the card, no matter who started that",
            _PAYMENT,
        ),
        EventType(
            "payment.refund_failed", "a refund failed and was added back to the credit", _PAYMENT
        ),
        EventType("payment.disputed", "a payment is disputed; its credit is taken back", _PAYMENT),
        EventType(
            "payment.dispute_won", "a disputed payment was added back to the credit", _PAYMENT
        ),
        EventType(
            "auto_top_up.failed",
            "an automatic top-up was declined; it will be tried again",
            {**_CHARGE, "reason": "card_declined"},
        ),
        EventType(
            "auto_top_up.off",
            "automatic top-ups were switched off after a decline; `url` is where to pay by hand",
            {**_CHARGE, "reason": "expired_card", "url": ""},
        ),
        EventType(TEST, "a test was requested", {"account_id": "a1b2c3"}),
        EventType(
            "payment.account_deleted",
            "a payment arrived for a deleted account",
            _PAYMENT,
            is_of_account=False,
        ),
        *(
            EventType(f"alarm.{name}", when, _ALARM, is_of_account=False)
            for name, when in (
                ("raised", "an alarm was raised"),
                (
                    "reminder",
                    "an alarm has been active for hours without being acknowledged",
                ),
                ("over", "an alarm is over"),
            )
        ),
    )
}
"""Name -> type."""

OF_ACCOUNTS: Final = tuple(name for name, each in EVENT_TYPES.items() if each.is_of_account)
"""Names of the types that an account's endpoint can receive."""
OF_OPERATOR: Final = tuple(name for name in EVENT_TYPES if name != CALL_ENDED)


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event to be queued."""

    account_id: str
    """Empty if it is about no account, and only for the operator."""
    event_id: str
    type: str
    at: datetime
    call_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


def body_of(name: str, at: datetime, data: Any) -> bytes:
    """Return the body to post. Raises ValueError if it would be too long."""
    body = msgspec.json.encode({"type": name, "timestamp": at, "data": data})
    if len(body) >= BODY_BYTES_MAX:
        raise ValueError("the body of a webhook is too long")
    return body


def event_id(*facts: str) -> str:
    """Return the id of the event about a fact, the same each time the fact is reported."""
    # Hashed to one length without a full stop, which separates the parts of a signed message.
    return "evt_" + hashlib.sha256("\0".join(facts).encode()).hexdigest()[:32]


def endpoint_id(account_id: str, once: str) -> str:
    """Return the id of the endpoint that a request creates, the same for a repeat with its key."""
    digest = hashlib.sha256(f"{account_id}\0{once}".encode()).hexdigest()
    return f"wh_{digest[:_ID_CHARS]}"


def read_types(names: Collection[str]) -> str:
    """Return a filter in its stored form, in the order of the list; empty for all types.

    Raises ValueError for a name that an account's endpoint cannot subscribe to.
    """
    if not set(names) <= set(OF_ACCOUNTS):
        raise ValueError("no such type of event")
    return " ".join(name for name in OF_ACCOUNTS if name in names)
