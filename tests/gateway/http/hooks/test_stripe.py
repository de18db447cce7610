"""The payment service's webhook: only what is signed is looked into, and only that."""

import hashlib
import hmac
import json
import time
from datetime import timedelta

import pytest

from billing.errors import MoneyError
from database.errors import StoreUnavailableError
from gateway.errors import PaymentError
from gateway.heartbeat.ticker import Ticker
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.payments.stripe_hook import WEBHOOK_BYTES_MAX, StripeWebhook
from gateway.secret import Secret

NOW_S = 1_900_000_000
SECRET = "whsec_test"


class Hook:
    """The webhook, and the payment service's own way of calling it."""

    def __init__(self, client_of):
        self.asked = []
        """The objects that were looked into."""
        self.failure = None
        webhook = StripeWebhook(
            (Secret(SECRET), Secret("whsec_old")),
            self.book_object,
            lambda: NOW_S,
            RefusedSignatures(Ticker(time.monotonic_ns)),
        )
        self.client = client_of(webhook.routes())

    async def book_object(self, kind, object_id):
        self.asked.append((kind, object_id))
        if self.failure is not None:
            raise self.failure

    async def deliver(self, event, *, secret=SECRET, at=NOW_S, headers=None):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        if headers is None:
            headers = {"stripe-signature": f"t={at},v1={digest}"}
        return await self.client.post("/stripe/webhook", content=body, headers=headers)


@pytest.fixture
def hook(client_of):
    return Hook(client_of)


PAID = {
    "object": "event",
    "type": "payment_intent.succeeded",
    "data": {"object": {"object": "payment_intent", "id": "pi_1", "amount_received": 10**9}},
}


async def test_a_signed_event_is_looked_into(hook):
    assert (await hook.deliver(PAID)).status_code == 200
    assert (await hook.deliver(PAID, secret="whsec_old")).status_code == 200
    assert hook.asked == [("payment_intent", "pi_1")] * 2


async def test_an_event_that_could_never_be_looked_into_is_not_sent_again(hook):
    data = {"object": {"object": "payment_intent", "id": "../../v1/refunds"}}
    assert (await hook.deliver(PAID | {"data": data})).status_code == 200
    assert hook.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "whsec_other"},
        {"at": NOW_S - int(timedelta(minutes=6).total_seconds())},
        {"at": NOW_S + int(timedelta(days=1).total_seconds())},
        {"headers": {}},
        {"headers": {"stripe-signature": "t=1,v1=2"}},
    ],
)
async def test_what_is_not_signed_now_does_nothing(hook, changes):
    reply = await hook.deliver(PAID, **changes)
    assert (reply.status_code, reply.json()["code"]) == (403, "bad_signature")
    assert hook.asked == []


@pytest.mark.parametrize("event", [b"", b"not json", {"type": "payout.paid"}, {}])
async def test_an_event_about_nothing_of_ours_is_taken(hook, event):
    assert (await hook.deliver(event)).status_code == 200
    assert hook.asked == []


async def test_an_event_is_bounded(hook):
    reply = await hook.deliver(b" " * (WEBHOOK_BYTES_MAX + 1))
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (PaymentError("x", retryable=True), 503),
        (StoreUnavailableError("x"), 503),
        (MoneyError("x"), 500),
    ],
)
async def test_what_is_not_booked_is_to_be_sent_again(hook, failure, status):
    hook.failure = failure
    assert (await hook.deliver(PAID)).status_code == status
