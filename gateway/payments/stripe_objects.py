"""Translates between Stripe's objects and ours: requests that we make, and replies that we read.

Pure. Card details never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from billing.payments import (
    AUTOMATIC,
    BY_PAGE,
    BY_TAP,
    CheckoutPage,
    Dispute,
    Intent,
    Refund,
    dispute_amounts,
    refund_amounts,
    top_up_amounts,
    top_up_reference,
)
from gateway.errors import PaymentError
from gateway.payments.events import CHECKOUT, INTENT
from gateway.payments.ports import Charge, CheckoutOrder, PaymentTrace

Reply = dict[str, Any]
"""An object of Stripe's API as plain data."""
_SAVES_CARD: Final = "save_card"

_DESCRIPTIONS: Final = {
    AUTOMATIC: "Automatic top-up of calling credit",
    BY_TAP: "Top-up of calling credit by saved card",
}
"""Distinguishes charges of a saved card from payments on a page: every such charge carries one."""
_KINDS: Final = {description: kind for kind, description in _DESCRIPTIONS.items()}


def charge_params(charge: Charge) -> dict[str, Any]:
    """Return the request that charges a saved card; it does not contain its holder's address."""
    payment = charge.payment
    return {
        "amount": charge.minor,
        "currency": payment.currency.lower(),
        "customer": charge.customer_id,
        "payment_method": charge.payment_method_id,
        "confirm": True,
        # Tells the bank that the holder is absent; it may decline and ask for authentication.
        "off_session": True,
        "description": _DESCRIPTIONS[payment.kind],
        # Lets a payment that the book has lost be recreated from a webhook or a list.
        "metadata": {"account": payment.account_id, "payment": payment.id},
        "expand": ["latest_charge"],
    }


def checkout_params(order: CheckoutOrder) -> dict[str, Any]:
    """Return the request that opens a page."""
    payment = order.payment
    ours = {"account": payment.account_id, "payment": payment.id}
    intent: dict[str, Any] = {"metadata": ours}
    if order.save_card:
        # Only with the person's consent: the bank may ask them to authenticate for later charges.
        intent["setup_future_usage"] = "off_session"
    if order.email:
        intent["receipt_email"] = order.email
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": payment.currency.lower(),
                    "unit_amount": order.minor,
                    "product_data": {"name": "Calling credit"},
                },
            }
        ],
        "client_reference_id": payment.account_id,
        # Nothing else in the page object says whether it saves the card.
        "metadata": ours | ({_SAVES_CARD: "yes"} if order.save_card else {}),
        "payment_intent_data": intent,
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "expires_at": int(order.expires_at.timestamp()),
    }
    if order.customer_id:
        params["customer"] = order.customer_id
    elif order.save_card:
        # Cards are saved on customers, and by default a payment creates none.
        params["customer_creation"] = "always"
    return params


def checkout_page(reply: Reply) -> CheckoutPage:
    """Read a Checkout Session."""
    return CheckoutPage(
        id=reply["id"],
        status=reply["status"] or "",
        url=reply.get("url") or "",
        intent_id=id_in(reply.get("payment_intent")),
        payment_id=(reply.get("metadata") or {}).get("payment", ""),
        saves_card=_SAVES_CARD in (reply.get("metadata") or {}),
        account_id=(reply.get("metadata") or {}).get("account", "")
        or reply.get("client_reference_id")
        or "",
    )


def intent_in(reply: Reply, refunds: Any, disputes: Any) -> Intent:
    """Read a PaymentIntent; its refunds and disputes are listed separately."""
    ours = reply.get("metadata") or {}
    charge = reply.get("latest_charge")
    charge = charge if isinstance(charge, dict) else {}
    failure = reply.get("last_payment_error") or {}
    return Intent(
        id=reply["id"],
        status=reply["status"],
        # `amount_received` and not `amount`, which is what was requested.
        received_minor=_minor(reply, "amount_received"),
        currency=reply["currency"].upper(),
        account_id=ours.get("account", ""),
        payment_id=ours.get("payment", ""),
        customer_id=id_in(reply.get("customer")),
        payment_method_id=id_in(reply.get("payment_method")),
        is_card_saved=reply.get("setup_future_usage") == "off_session",
        email=(charge.get("billing_details") or {}).get("email") or "",
        receipt_url=charge.get("receipt_url") or "",
        failure=failure.get("decline_code") or failure.get("code") or "",
        refunds=[refund_in(each) for each in refunds],
        disputes=[_dispute(each) for each in disputes],
        kind=_KINDS.get(reply.get("description") or "", BY_PAGE),
    )


def refund_in(reply: Reply) -> Refund:
    """Read a Refund."""
    return Refund(
        id=reply["id"],
        minor=_minor(reply, "amount"),
        status=reply.get("status") or "",
        our_id=(reply.get("metadata") or {}).get("refund", ""),
        currency=reply["currency"].upper(),
        intent_id=id_in(reply.get("payment_intent")),
    )


def _dispute(reply: Reply) -> Dispute:
    return Dispute(
        id=reply["id"],
        minor=_minor(reply, "amount"),
        currency=reply["currency"].upper(),
        status=reply["status"],
        intent_id=id_in(reply.get("payment_intent")),
        reason=reply.get("reason") or "",
    )


def _trace_of_checkout(reply: Reply) -> PaymentTrace:
    page = checkout_page(reply)
    # A complete page may be unpaid: with slow methods the money arrives days later.
    is_paid = page.intent_id and reply["payment_status"] == "paid"
    total = _minor(reply, "amount_total") if is_paid and reply["amount_total"] is not None else 0
    return PaymentTrace(
        page.intent_id,
        {top_up_reference(page.intent_id): total} if is_paid else {},
        (reply.get("currency") or "").upper(),
        page.account_id,
        page.payment_id,
        page.id,
        _created_at(reply),
    )


def _trace_of_intent(reply: Reply) -> PaymentTrace:
    intent = intent_in(reply, (), ())
    amounts = top_up_amounts(intent)
    return PaymentTrace(
        intent.id,
        amounts,
        intent.currency,
        intent.account_id,
        intent.payment_id,
        created_at=_created_at(reply),
    )


def _trace_of_refund(reply: Reply) -> PaymentTrace:
    refund, created_at = refund_in(reply), _created_at(reply)
    amounts = refund_amounts(refund)
    return PaymentTrace(refund.intent_id, amounts, refund.currency, created_at=created_at)


def _trace_of_dispute(reply: Reply) -> PaymentTrace:
    dispute, created_at = _dispute(reply), _created_at(reply)
    amounts = dispute_amounts(dispute)
    return PaymentTrace(dispute.intent_id, amounts, dispute.currency, created_at=created_at)


def _created_at(reply: Reply) -> datetime:
    return datetime.fromtimestamp(reply["created"], UTC)


TRACES: Final[Mapping[str, Callable[[Reply], PaymentTrace]]] = {
    CHECKOUT: _trace_of_checkout,
    INTENT: _trace_of_intent,
    "refund": _trace_of_refund,
    "dispute": _trace_of_dispute,
}


def _minor(reply: Reply, name: str) -> int:
    """Return an amount in minor units. Raises PaymentError naming the object that lacks it."""
    minor = reply[name]
    # `isinstance` would accept a bool; a float would lose cents.
    if type(minor) is not int:
        of = f"{reply.get('object', 'object')} {id_in(reply.get('id'))}"
        raise PaymentError(f"At the payment service {of} has no whole {name}.", retryable=True)
    return minor


def id_in(reference: Any) -> str:
    """Return an id that is given on its own, or inside the whole object."""
    if isinstance(reference, dict):
        reference = reference.get("id")
    return reference or ""
