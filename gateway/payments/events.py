"""Reads from a webhook event which object it is about; nothing else in it is trusted.

Events come in two forms: with a snapshot of the object, or "thin", with its id.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
import structlog

from gateway.unreadable import UNREADABLE

log = structlog.get_logger(__name__)

EVENT_TYPES: Final = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
"""Events that may report a fact to book; Stripe lists at most twenty types at once."""

CHECKOUT: Final = "checkout.session"
INTENT: Final = "payment_intent"
HISTORY: Final = (CHECKOUT, INTENT, "refund", "dispute")
"""Kinds of objects that together prove everything there is to book: money comes in by the first
two, and leaves, often much later, by the others."""
KINDS: Final = frozenset({*HISTORY, "charge"})
"""Kinds of the service's objects that belong to a payment."""

_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
"""What may be requested from the service; Stripe's ids have at most 255 characters."""

_THIN_PREFIX = "v1."
"""Precedes the type of a thin event about an object of the older API."""


# Only what identifies the object; unknown fields are ignored, as Stripe adds fields at any time.
class _Snapshot(msgspec.Struct):
    object: str = ""
    id: str = ""


class _Data(msgspec.Struct):
    object: _Snapshot | None = None


class _Related(msgspec.Struct):
    type: str = ""
    id: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    data: _Data | None = None
    related_object: _Related | None = None
    """Of a thin event."""


def subject(body: bytes) -> tuple[str, str] | None:
    """Return the kind and id of the object that an event is about.

    None for an event that proves nothing about a payment, and for anything that is not an event.
    """
    try:
        event = msgspec.json.decode(body, type=_Event)
    except UNREADABLE:
        return None
    # The endpoint may be subscribed to more, and others may use the same Stripe account.
    if event.type.removeprefix(_THIN_PREFIX) not in EVENT_TYPES:
        return None
    kind = object_id = ""
    # Thin events carry no object; it is fetched anyway, so both forms are equivalent.
    if event.related_object is not None:
        kind, object_id = event.related_object.type, event.related_object.id
    elif event.data is not None and event.data.object is not None:
        kind, object_id = event.data.object.object, event.data.object.id
    if kind not in KINDS:
        return None
    if _ID.fullmatch(object_id) is None:
        # Sent again it would be the same, so it must not fail. Its text is not logged.
        log.warning("payment event names no object", kind=kind, characters=len(object_id))
        return None
    return kind, object_id
