"""Accesses the payment service through Stripe's SDK; any service with Stripe's API, by origin.

Turns Stripe's objects into plain snapshots, and its errors into PaymentError. Card details never
come here, and Stripe's messages are never logged. Knows no store, and of accounts only ids.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, cast

import httpx
import stripe
import structlog

from billing.payments import (
    AUTOMATIC,
    BY_PAGE,
    BY_TAP,
    CheckoutPage,
    Dispute,
    Intent,
    Payment,
    Refund,
    dispute_amounts,
    refund_amounts,
    top_up_amounts,
    top_up_reference,
)
from gateway.errors import PaymentError
from gateway.payments.events import CHECKOUT, EVENT_TYPES, INTENT
from gateway.payments.ports import (
    Charge,
    CheckoutOrder,
    HistoryPage,
    MissedEvents,
    PaymentTrace,
)

TIMEOUT_S: Final = 20.0
"""Limit for one operation with all its attempts."""
ATTEMPT_TIMEOUT_S: Final = 8.0
# Further attempts and the SDK's pauses must fit into TIMEOUT_S.
RETRIES_MAX: Final = 2
"""Safe even for requests that create something: each has an idempotency key."""
LIST_MAX: Final = 100
"""Stripe's largest page, and more refunds or disputes than one payment ever has."""

FIND_PAGES_MAX: Final = 5
"""Pages of a list that are searched for one object."""
CLOCKS_DIFFER_MAX: Final = timedelta(minutes=1)
"""How far Stripe's clock may be behind ours."""

# It would store an id of this machine in the home folder, and send it to Stripe.
stripe.enable_telemetry = False

_HTTPX: Final = SimpleNamespace(
    **{**vars(httpx), "AsyncClient": partial(httpx.AsyncClient, trust_env=False)}
)
"""httpx, but with no proxy from the environment (ALL_PROXY, HTTPS_PROXY): the carrier is asked
without one, too, and one of a kind that httpx lacks, such as SOCKS, would end the process."""

log = structlog.get_logger(__name__)

_Reply = dict[str, Any]
"""An object of Stripe's API as plain data."""


class StripePayments:
    """`PaymentService` on a Stripe account; must be created inside a running event loop."""

    def __init__(self, *, api_key: str, origin: str, timeout_s: float = TIMEOUT_S) -> None:
        # No synchronous methods, so that nothing can block the loop by mistake.
        self._http = stripe.HTTPXClient(
            timeout=ATTEMPT_TIMEOUT_S, allow_sync_methods=False, _lib=_HTTPX
        )
        client = stripe.StripeClient(
            api_key,
            base_addresses={"api": origin},
            max_network_retries=RETRIES_MAX,
            http_client=self._http,
        )
        self._timeout_s = timeout_s
        # Accessed here so that the SDK loads them now, not during a call.
        self._sessions = client.v1.checkout.sessions
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds
        self._disputes = client.v1.disputes
        self._charges = client.v1.charges
        self._events = client.v1.events
        self._customers = client.v1.customers
        _ = (stripe.checkout.Session, stripe.PaymentIntent, stripe.Refund, stripe.Dispute)
        _ = (stripe.Charge, stripe.Event, stripe.ListObject, stripe.Customer)

    async def open_checkout(self, order: CheckoutOrder) -> CheckoutPage:
        """Open a page to pay on."""
        # Derived from our id, so that a repetition by any node is the same request; a random key
        # would only protect the SDK's own retries.
        params, key = _checkout_params(order), f"{order.payment.id}:checkout"
        async with self._asking():
            reply = await self._sessions.create_async(cast(Any, params), {"idempotency_key": key})
            return _checkout_page(reply.to_dict())

    async def checkout(self, checkout_id: str) -> CheckoutPage:
        """Fetch a page's state."""
        async with self._asking():
            return _checkout_page((await self._sessions.retrieve_async(checkout_id)).to_dict())

    async def expire_checkout(self, checkout_id: str) -> None:
        """Close a page that nobody has paid; refused where it was paid, or has ended."""
        async with self._asking():
            await self._sessions.expire_async(checkout_id)

    async def find_checkout(self, payment: Payment) -> CheckoutPage | None:
        """Look for a page that was opened for a payment but not recorded; None if there is none."""
        # Sessions cannot be searched by metadata, so recent ones are scanned, newest first.
        since = int((payment.created_at - CLOCKS_DIFFER_MAX).timestamp())
        params: _Reply = {"created": {"gte": since}, "limit": LIST_MAX}
        async with self._asking():
            for _ in range(FIND_PAGES_MAX):
                found = (await self._sessions.list_async(cast(Any, params))).to_dict()
                for page in map(_checkout_page, found["data"]):
                    if page.payment_id == payment.id:
                        return page
                if not found["has_more"] or not found["data"]:
                    break
                params["starting_after"] = found["data"][-1]["id"]
        return None

    async def charge(self, charge: Charge) -> Intent:
        """Charge a saved card in its holder's absence."""
        params, key = _charge_params(charge), f"{charge.payment.id}:intent"
        async with self._asking():
            reply = await self._intents.create_async(cast(Any, params), {"idempotency_key": key})
            # Just created: no refunds or disputes yet.
            return _intent(reply.to_dict(), (), ())

    async def intent(self, intent_id: str) -> Intent:
        """Fetch a payment intent with its refunds and disputes."""
        async with self._asking():
            # The charge has the receipt and the payer's address, which the intent lacks.
            found = await self._intents.retrieve_async(intent_id, {"expand": ["latest_charge"]})
            reply = found.to_dict()
            # Nothing was received, so nothing can have gone back: saves two requests.
            if reply["status"] != "succeeded":
                return _intent(reply, (), ())
            of_it: _Reply = {"payment_intent": intent_id, "limit": LIST_MAX}
            refunds = await self._refunds.list_async(cast(Any, of_it))
            disputes = await self._disputes.list_async(cast(Any, of_it))
            return _intent(reply, refunds.to_dict()["data"], disputes.to_dict()["data"])

    async def intent_id_of(self, kind: str, object_id: str) -> str:
        """Return the payment intent of a `charge`, `refund` or `dispute`, or ""."""
        fetch: Mapping[str, Callable[[str], Awaitable[stripe.StripeObject]]] = {
            "charge": self._charges.retrieve_async,
            "refund": self._refunds.retrieve_async,
            "dispute": self._disputes.retrieve_async,
        }
        async with self._asking():
            return _id((await fetch[kind](object_id)).to_dict().get("payment_intent"))

    async def refund(self, intent_id: str, minor: int, our_id: str) -> Refund:
        """Send part of a payment back to its card."""
        async with self._asking():
            reply = await self._refunds.create_async(
                {
                    "payment_intent": intent_id,
                    "amount": minor,
                    "reason": "requested_by_customer",
                    # Distinguishes it from those made on Stripe's pages, when the key has expired.
                    "metadata": {"refund": our_id},
                },
                # A header, in which not every name may stand.
                {"idempotency_key": f"refund-{hashlib.sha256(our_id.encode()).hexdigest()}"},
            )
            return _refund(reply.to_dict())

    async def give_evidence(
        self, dispute_id: str, evidence: Mapping[str, str], *, submit: bool
    ) -> None:
        """Store evidence against a dispute; with `submit` send it to the bank, for good."""
        params = {"evidence": dict(evidence), "submit": submit}
        async with self._asking():
            await self._disputes.update_async(dispute_id, cast(Any, params))

    async def missed_events(self, since: datetime, after: str) -> MissedEvents:
        """Return a page of undelivered events since then, newest first."""
        params: _Reply = {
            "created": {"gte": int(since.timestamp())},
            # Events that were delivered successfully are booked: the webhook fails otherwise.
            "delivery_success": False,
            "types": list(EVENT_TYPES),
            "limit": LIST_MAX,
        }
        if after:
            params["starting_after"] = after
        async with self._asking():
            reply = (await self._events.list_async(cast(Any, params))).to_dict()
            events = reply["data"]
            objects = [event["data"]["object"] for event in events]
            return MissedEvents(
                objects=[(each["object"], each["id"]) for each in objects],
                after=events[-1]["id"] if reply["has_more"] and events else "",
            )

    async def history(self, kind: str, since: datetime, after: str) -> HistoryPage:
        """Return a page of the objects of a kind created since then, newest first."""
        lists: Mapping[str, Callable[[Any], Awaitable[stripe.StripeObject]]] = {
            CHECKOUT: self._sessions.list_async,
            INTENT: self._intents.list_async,
            "refund": self._refunds.list_async,
            "dispute": self._disputes.list_async,
        }
        params: _Reply = {"created": {"gte": int(since.timestamp())}, "limit": LIST_MAX}
        if after:
            params["starting_after"] = after
        async with self._asking():
            reply = (await lists[kind](params)).to_dict()
            objects = reply["data"]
            traces = [_TRACES[kind](each) for each in objects]
            return HistoryPage(
                count=len(objects),
                traces=[trace for trace in traces if trace.intent_id or trace.checkout_id],
                after=objects[-1]["id"] if reply["has_more"] and objects else "",
            )

    async def forget_customer(self, customer_id: str) -> None:
        """Delete a customer with all saved cards; a missing one counts as deleted."""
        try:
            async with self._asking():
                reply = (await self._customers.delete_async(customer_id)).to_dict()
                # Any other reply is treated as no answer, so that the deletion is repeated.
                if reply["deleted"] is not True:
                    raise ValueError("not deleted")
        except PaymentError as error:
            if not error.is_missing:
                raise

    async def reach(self) -> None:
        """Check address and key by a request that changes nothing. Raises PaymentError."""
        async with self._asking():
            await self._intents.list_async({"limit": 1})

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Bound one operation; turn every way it can fail into a PaymentError."""
        try:
            # Bounds all attempts together; the SDK's own time-out applies to each.
            async with asyncio.timeout(self._timeout_s):
                yield
        except stripe.APIConnectionError:
            raise PaymentError(
                "The payment service could not be reached.", retryable=True
            ) from None
        except stripe.StripeError as error:
            # Without the cause, which would put Stripe's message into the log.
            raise _refusal(error) from None
        except (TimeoutError, OSError, *_NONSENSE):
            raise PaymentError("The payment service gave no answer.", retryable=True) from None


_NONSENSE = (ValueError, AttributeError, TypeError, LookupError)
"""What the SDK raises for a reply of an unexpected shape."""


def _refusal(error: stripe.StripeError) -> PaymentError:
    status = error.http_status or 0
    code = error.code or ""
    intent_id = ""
    if isinstance(error, stripe.CardError):
        body: Any = error.json_body
        detail = body["error"] if isinstance(body, dict) else {}
        # `decline_code` is more precise, except for this code, which asks the holder to act.
        if code != "authentication_required":
            code = detail.get("decline_code") or code
        intent_id = _id(detail.get("payment_intent"))
    # The same key with other parameters: see `Payments._page_of`.
    elif isinstance(error, stripe.IdempotencyError) and status not in _RETRYABLE:
        code = "idempotency_error"
    refused = PaymentError(
        "The payment service refused the request.",
        # A 4xx is final. Without a status, or at 5xx, the request may have taken effect.
        retryable=not 400 <= status < 500 or status in _RETRYABLE,
        service_code=code,
        status=status,
        payment_intent_id=intent_id,
    )
    # The request id finds the entry in Stripe's log; the message itself is never logged.
    log.warning(
        "payment service refused", status=status, code=code, request_id=error.request_id or ""
    )
    return refused


_SAVES_CARD = "save_card"
_RETRYABLE = frozenset({409, 429})
"""Another request with this key is in progress; too many requests."""


_DESCRIPTIONS = {
    AUTOMATIC: "Automatic top-up of calling credit",
    BY_TAP: "Top-up of calling credit by saved card",
}
"""Distinguishes charges of a saved card from payments on a page: every such charge carries one.
Metadata added to a request would break its repetition, whose parameters must be equal."""
_KINDS = {description: kind for kind, description in _DESCRIPTIONS.items()}


def _charge_params(charge: Charge) -> dict[str, Any]:
    payment = charge.payment
    params: dict[str, Any] = {
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
    if charge.email:
        params["receipt_email"] = charge.email
    return params


def _checkout_params(order: CheckoutOrder) -> dict[str, Any]:
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


def _checkout_page(reply: _Reply) -> CheckoutPage:
    return CheckoutPage(
        id=reply["id"],
        status=reply["status"] or "",
        url=reply.get("url") or "",
        intent_id=_id(reply.get("payment_intent")),
        payment_id=(reply.get("metadata") or {}).get("payment", ""),
        saves_card=_SAVES_CARD in (reply.get("metadata") or {}),
        account_id=(reply.get("metadata") or {}).get("account", "")
        or reply.get("client_reference_id")
        or "",
    )


def _intent(reply: _Reply, refunds: Any, disputes: Any) -> Intent:
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
        customer_id=_id(reply.get("customer")),
        payment_method_id=_id(reply.get("payment_method")),
        is_card_saved=reply.get("setup_future_usage") == "off_session",
        email=(charge.get("billing_details") or {}).get("email") or "",
        receipt_url=charge.get("receipt_url") or "",
        failure=failure.get("decline_code") or failure.get("code") or "",
        refunds=[_refund(each) for each in refunds],
        disputes=[_dispute(each) for each in disputes],
        kind=_KINDS.get(reply.get("description") or "", BY_PAGE),
    )


def _refund(reply: _Reply) -> Refund:
    return Refund(
        id=reply["id"],
        minor=_minor(reply, "amount"),
        status=reply.get("status") or "",
        our_id=(reply.get("metadata") or {}).get("refund", ""),
        currency=reply["currency"].upper(),
        intent_id=_id(reply.get("payment_intent")),
    )


def _dispute(reply: _Reply) -> Dispute:
    return Dispute(
        id=reply["id"],
        minor=_minor(reply, "amount"),
        currency=reply["currency"].upper(),
        status=reply["status"],
        intent_id=_id(reply.get("payment_intent")),
        reason=reply.get("reason") or "",
    )


def _trace_of_checkout(reply: _Reply) -> PaymentTrace:
    page = _checkout_page(reply)
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


def _trace_of_intent(reply: _Reply) -> PaymentTrace:
    intent = _intent(reply, (), ())
    amounts = top_up_amounts(intent)
    return PaymentTrace(
        *(intent.id, amounts, intent.currency, intent.account_id, intent.payment_id),
        created_at=_created_at(reply),
    )


def _trace_of_refund(reply: _Reply) -> PaymentTrace:
    refund, created_at = _refund(reply), _created_at(reply)
    amounts = refund_amounts(refund)
    return PaymentTrace(refund.intent_id, amounts, refund.currency, created_at=created_at)


def _trace_of_dispute(reply: _Reply) -> PaymentTrace:
    dispute, created_at = _dispute(reply), _created_at(reply)
    amounts = dispute_amounts(dispute)
    return PaymentTrace(dispute.intent_id, amounts, dispute.currency, created_at=created_at)


def _created_at(reply: _Reply) -> datetime:
    return datetime.fromtimestamp(reply["created"], UTC)


_TRACES: Mapping[str, Callable[[_Reply], PaymentTrace]] = {
    CHECKOUT: _trace_of_checkout,
    INTENT: _trace_of_intent,
    "refund": _trace_of_refund,
    "dispute": _trace_of_dispute,
}


def _minor(reply: _Reply, name: str) -> int:
    """Return an amount in minor units. Raises PaymentError naming the object it is not in."""
    minor = reply[name]
    # `isinstance` would accept a bool; a float would lose cents.
    if type(minor) is not int:
        of = f"{reply.get('object', 'object')} {_id(reply.get('id'))}"
        raise PaymentError(f"At the payment service {of} has no whole {name}.", retryable=True)
    return minor


def _id(reference: Any) -> str:
    """Return an id that is given on its own, or inside the whole object."""
    if isinstance(reference, dict):
        reference = reference.get("id")
    return reference or ""
