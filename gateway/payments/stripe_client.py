"""Accesses the payment service through Stripe's SDK; any service with Stripe's API, by origin.

Turns Stripe's errors into PaymentError; its objects are read in `stripe_objects`. Card details
never come here, and Stripe's messages are never logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, cast

import httpx
import stripe
import structlog

from billing.payments import REPEATED_MAX, CheckoutPage, Intent, Payment, Refund
from gateway.errors import PaymentError
from gateway.payments.events import CHECKOUT, EVENT_TYPES, INTENT
from gateway.payments.ports import Charge, CheckoutOrder, HistoryPage, MissedEvents
from gateway.payments.stripe_objects import (
    TRACES,
    Reply,
    charge_params,
    checkout_page,
    checkout_params,
    id_in,
    intent_in,
    refund_in,
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
CHARGE_PAGES_MAX: Final = 20
"""Pages of charges that are searched for one whose customer is not known."""
CHARGE_BEFORE_MAX: Final = timedelta(hours=1)
"""How long before its payment a charge may be dated, by two clocks."""
KEY_LIFE_MAX: Final = timedelta(hours=30)
"""How long before its payment a charge may have been made that has its idempotency key: the
payment's row may have been lost with an older copy of the database, and recreated."""

# Telemetry would store an id of this machine in the home folder, and send it to Stripe.
stripe.enable_telemetry = False

_HTTPX: Final = SimpleNamespace(
    **{**vars(httpx), "AsyncClient": partial(httpx.AsyncClient, trust_env=False)}
)
"""httpx, but with no proxy from the environment (ALL_PROXY, HTTPS_PROXY): the carrier is reached
without one, too, and a kind that httpx lacks, such as SOCKS, would end the process."""

log = structlog.get_logger(__name__)


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
        params, key = checkout_params(order), f"{order.payment.id}:checkout"
        async with self._asking():
            reply = await self._sessions.create_async(cast(Any, params), {"idempotency_key": key})
            return checkout_page(reply.to_dict())

    async def checkout(self, checkout_id: str) -> CheckoutPage:
        """Fetch a page's state."""
        async with self._asking():
            return checkout_page((await self._sessions.retrieve_async(checkout_id)).to_dict())

    async def expire_checkout(self, checkout_id: str) -> None:
        """Close a page that no one has paid; refused if it was paid, or has ended."""
        async with self._asking():
            await self._sessions.expire_async(checkout_id)

    async def find_checkout(self, payment: Payment) -> CheckoutPage | None:
        """Look for a page that was opened for a payment but not recorded; None if there is none."""
        # Sessions cannot be searched by metadata, so recent ones are scanned, newest first.
        since = int((payment.created_at - CLOCKS_DIFFER_MAX).timestamp())
        params: Reply = {"created": {"gte": since}, "limit": LIST_MAX}
        async with self._asking():
            for _ in range(FIND_PAGES_MAX):
                found = (await self._sessions.list_async(cast(Any, params))).to_dict()
                for page in map(checkout_page, found["data"]):
                    if page.payment_id == payment.id:
                        return page
                if not found["has_more"] or not found["data"]:
                    break
                params["starting_after"] = found["data"][-1]["id"]
        return None

    def charge_request(self, charge: Charge) -> str:
        """Write the request that charges a saved card."""
        return json.dumps(charge_params(charge))

    async def charge(self, payment_id: str, request: str) -> Intent:
        """Charge a saved card in its holder's absence, by a request of `charge_request`."""
        params, key = json.loads(request), f"{payment_id}:intent"
        async with self._asking():
            reply = await self._intents.create_async(params, {"idempotency_key": key})
            # Just created: no refunds or disputes yet.
            return intent_in(reply.to_dict(), (), ())

    async def find_charge(self, payment: Payment, request: str) -> Intent | None:
        """Look for the charge of a payment, one that succeeded first; None if there is none.

        With the request, among those of its customer; with "", among all.
        """
        try:
            return await self._find_charge(payment, request)
        except PaymentError as error:
            if not (error.is_missing and request):
                raise
        # The customer was deleted there.
        return await self._find_charge(payment, "")

    async def _find_charge(self, payment: Payment, request: str) -> Intent | None:
        since = payment.created_at - (CHARGE_BEFORE_MAX if request else KEY_LIFE_MAX)
        until = payment.created_at + REPEATED_MAX + CHARGE_BEFORE_MAX
        params: Reply = {
            "created": {"gte": int(since.timestamp()), "lte": int(until.timestamp())},
            "limit": LIST_MAX,
        }
        if request:
            params["customer"] = json.loads(request)["customer"]
        best: Intent | None = None
        async with self._asking():
            for _ in range(CHARGE_PAGES_MAX):
                found = (await self._intents.list_async(cast(Any, params))).to_dict()
                for intent in (intent_in(each, (), ()) for each in found["data"]):
                    if intent.payment_id != payment.id:
                        continue
                    if intent.received_minor:
                        return intent
                    best = best or intent
                if not found["has_more"] or not found["data"]:
                    return best
                params["starting_after"] = found["data"][-1]["id"]
        raise PaymentError("The payment service has too many charges to look for one.")

    async def intent(self, intent_id: str) -> Intent:
        """Fetch a payment intent with its refunds and disputes."""
        async with self._asking():
            # The charge has the receipt and the payer's address, which the intent lacks.
            found = await self._intents.retrieve_async(intent_id, {"expand": ["latest_charge"]})
            reply = found.to_dict()
            # Nothing was received, so nothing can have gone back: saves two requests.
            if reply["status"] != "succeeded":
                return intent_in(reply, (), ())
            of_it: Reply = {"payment_intent": intent_id, "limit": LIST_MAX}
            refunds = await self._refunds.list_async(cast(Any, of_it))
            disputes = await self._disputes.list_async(cast(Any, of_it))
            return intent_in(reply, refunds.to_dict()["data"], disputes.to_dict()["data"])

    async def intent_id_of(self, kind: str, object_id: str) -> str:
        """Return the payment intent of a `charge`, `refund` or `dispute`, or ""."""
        fetch: Mapping[str, Callable[[str], Awaitable[stripe.StripeObject]]] = {
            "charge": self._charges.retrieve_async,
            "refund": self._refunds.retrieve_async,
            "dispute": self._disputes.retrieve_async,
        }
        async with self._asking():
            return id_in((await fetch[kind](object_id)).to_dict().get("payment_intent"))

    async def refund(self, intent_id: str, minor: int, our_id: str) -> Refund:
        """Send part of a payment back to its card."""
        async with self._asking():
            reply = await self._refunds.create_async(
                {
                    "payment_intent": intent_id,
                    "amount": minor,
                    "reason": "requested_by_customer",
                    # Distinguishes it from refunds made on Stripe's pages, once the key has
                    # expired.
                    "metadata": {"refund": our_id},
                },
                # A header, which does not allow every name.
                {"idempotency_key": f"refund-{hashlib.sha256(our_id.encode()).hexdigest()}"},
            )
            return refund_in(reply.to_dict())

    async def give_evidence(
        self, dispute_id: str, evidence: Mapping[str, str], *, submit: bool
    ) -> None:
        """Store evidence against a dispute; with `submit` send it to the bank, for good."""
        params = {"evidence": dict(evidence), "submit": submit}
        async with self._asking():
            await self._disputes.update_async(dispute_id, cast(Any, params))

    async def missed_events(self, since: datetime, after: str) -> MissedEvents:
        """Return a page of undelivered events since then, newest first."""
        params: Reply = {
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
        params: Reply = {"created": {"gte": int(since.timestamp())}, "limit": LIST_MAX}
        if after:
            params["starting_after"] = after
        async with self._asking():
            reply = (await lists[kind](params)).to_dict()
            objects = reply["data"]
            traces = [TRACES[kind](each) for each in objects]
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
    body: Any = error.json_body
    detail = body["error"] if isinstance(body, dict) else {}
    # The SDK provides the code of some errors only.
    code = error.code or detail.get("code") or ""
    intent_id = ""
    if isinstance(error, stripe.CardError):
        # `decline_code` is more precise, except for this code, which asks the holder to act.
        if code != "authentication_required":
            code = detail.get("decline_code") or code
        intent_id = id_in(detail.get("payment_intent"))
    # The same key with other parameters, which has no code of its own.
    elif isinstance(error, stripe.IdempotencyError) and status not in _RETRYABLE:
        code = "idempotency_error"
    # The service remembers its own failures for as long as answers (Stripe, "Idempotent requests").
    elif status >= 500 and "idempotent-replayed" in {name.lower() for name in error.headers or ()}:
        code = "failure_replayed"
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


_RETRYABLE: Final = frozenset({409, 429})
"""Another request with this key is in progress; too many requests."""
