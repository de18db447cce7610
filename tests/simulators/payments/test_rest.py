"""Around every request: keys, versions, errors, lists, expansion, injected faults."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.payments.access import BODY_BYTES_MAX
from simulators.payments.resources import API_VERSION
from simulators.payments.rest import EXCEPTION_HANDLERS

from .conftest import KEY, Payments
from .receiver import Receiver

AUTH = {"Authorization": f"Bearer {KEY}"}


def client(payments: Payments, key: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": payments.service.origin},
        http_client=payments.client._requestor._client,
        max_network_retries=0,
    )


async def request(payments: Payments, method: str, path: str, **options: Any) -> httpx.Response:
    options.setdefault("headers", AUTH)
    return await payments.browser.request(method, f"{payments.service.origin}{path}", **options)


async def test_another_key_is_refused_and_never_repeated(payments: Payments) -> None:
    with pytest.raises(stripe.AuthenticationError) as caught:
        await client(payments, "sk_test_another").v1.balance.retrieve_async()
    assert "another" not in str(caught.value.http_body)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"bearer {KEY}", 200),
        (f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}", 200),
        ("Basic %%%", 401),
        ("Digest x", 401),
        ("", 401),
    ],
)
async def test_the_key_comes_as_bearer_or_basic(
    payments: Payments, header: str, status: int
) -> None:
    for path in ("/v1/balance", "/simulator/v1/state", "/simulator/v1/faults"):
        reply = await request(payments, "GET", path, headers={"Authorization": header})
        assert reply.status_code == status


async def test_the_version_and_a_request_id_come_back(payments: Payments) -> None:
    reply = await request(payments, "GET", "/v1/balance")
    assert reply.headers["Stripe-Version"] == API_VERSION
    assert reply.headers["Request-Id"].startswith("req_")
    old = {**AUTH, "Stripe-Version": "2024-06-20"}
    reply = await request(payments, "GET", "/v1/balance", headers=old)
    assert reply.headers["Stripe-Version"] == "2024-06-20"
    wrong = {**AUTH, "Stripe-Version": "newest"}
    assert (await request(payments, "GET", "/v1/balance", headers=wrong)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/subscriptions", 404),
        ("PATCH", "/v1/refunds", 404),
        ("GET", "/v1/refunds/re_none", 404),
        ("GET", "/v1/refunds?limit=0", 400),
        ("GET", "/v1/refunds?limit=101", 400),
        ("GET", "/v1/refunds?colour=red", 400),
        ("GET", "/v1/refunds?starting_after=re_none", 404),
        ("GET", "/v1/refunds?starting_after=a&ending_before=b", 400),
        ("GET", "/v1/refunds?created[around]=1", 400),
        ("GET", "/v1/balance?expand[]=a.b.c.d.e.f", 400),
        ("GET", "/v1/balance?expand[]=nothing", 400),
        ("GET", "/v1/balance?" + "&".join(f"expand[{n}]=a" for n in range(21)), 400),
    ],
)
async def test_errors_have_stripes_envelope(
    payments: Payments, method: str, path: str, status: int
) -> None:
    reply = await request(payments, method, path)
    assert reply.status_code == status
    assert reply.json()["error"]["type"] == "invalid_request_error"


async def test_bodies_are_bounded_text(payments: Payments) -> None:
    for body, status in ((b"a" * (BODY_BYTES_MAX + 1), 413), (b"\xff=1", 400), (b"a[=1", 400)):
        reply = await request(payments, "POST", "/v1/customers", content=body)
        assert reply.status_code == status
    listed = await payments.client.v1.customers.list_async()
    assert listed.data == []


async def test_lists_come_page_by_page(payments: Payments) -> None:
    customers = payments.client.v1.customers
    made = [(await customers.create_async({"name": str(n)})).id for n in range(5)][::-1]
    first = await customers.list_async({"limit": 2})
    assert ([c.id for c in first.data], first.has_more) == (made[:2], True)
    assert [c.id async for c in first.auto_paging_iter()] == made
    last = await customers.list_async({"limit": 2, "starting_after": made[3]})
    assert ([c.id for c in last.data], last.has_more) == (made[4:], False)
    before = await customers.list_async({"limit": 2, "ending_before": made[3]})
    assert ([c.id for c in before.data], before.has_more) == (made[1:3], True)


async def test_lists_are_filtered_by_time(payments: Payments) -> None:
    customers = payments.client.v1.customers
    early = await customers.create_async({"name": "A"})
    await payments.order("PUT", "/clock", offset_s=3600)
    late = await customers.create_async({"name": "B"})
    for bounds, expected in (
        ({"gte": late.created}, [late.id]),
        ({"gt": early.created, "lte": late.created}, [late.id]),
        ({"lt": late.created}, [early.id]),
        (early.created, [early.id]),
    ):
        listed = await customers.list_async({"created": bounds})
        assert [c.id for c in listed.data] == expected


async def test_events_are_filtered_by_type(payments: Payments, receiver: Receiver) -> None:
    await payments.paid()
    await receiver.until("charge.updated")
    events = payments.client.v1.events
    for params, expected in (
        ({"type": "charge.succeeded"}, ["charge.succeeded"]),
        ({"type": "charge.*"}, ["charge.updated", "charge.succeeded"]),
        (
            {"types": ["charge.succeeded", "payment_intent.created"]},
            ["charge.succeeded", "payment_intent.created"],
        ),
        ({"types": ["checkout.session.expired"]}, []),
    ):
        listed = await events.list_async(params)
        assert [event.type for event in listed.data] == expected


async def test_an_event_says_which_request_caused_it(payments: Payments) -> None:
    customer = await payments.client.v1.customers.create_async(
        {"name": "A"}, {"idempotency_key": "k1"}
    )
    listed = await payments.client.v1.events.list_async({"type": "customer.created"})
    cause = listed.data[0].request
    assert cause is not None
    assert (cause.id, cause.idempotency_key) == (customer.last_response.request_id, "k1")


async def test_identifiers_are_expanded_in_objects_and_lists(payments: Payments) -> None:
    session = await payments.paid(customer_creation="always")
    intents = payments.client.v1.payment_intents
    intent: Any = await intents.retrieve_async(
        session.payment_intent.id, {"expand": ["latest_charge.balance_transaction", "customer"]}
    )
    assert intent.customer.id == session.customer
    assert intent.latest_charge.balance_transaction.net == 2500
    listed: Any = await intents.list_async({"expand": ["data.latest_charge", "data.review"]})
    assert listed.data[0].latest_charge.paid


async def test_requests_fail_when_asked_to(payments: Payments) -> None:
    customers = payments.client.v1.customers
    for status, kind in ((500, stripe.APIError), (429, stripe.RateLimitError)):
        fault = {"status": status, "method": "POST", "path": "/v1/customers"}
        await payments.order("PUT", "/faults", requests=fault)
        with pytest.raises(kind):
            await customers.create_async({"name": "A"})
        assert (await customers.list_async()).data == []
    await customers.create_async({"name": "A"})


async def test_a_reply_that_is_held_back_was_carried_out(payments: Payments) -> None:
    await payments.order("PUT", "/faults", requests={"hold_s": 0.05})
    await payments.client.v1.customers.create_async({"name": "A"})
    await payments.order("PUT", "/faults", requests={"hold_s": 600})
    with pytest.raises(httpx.ReadTimeout):
        await request(payments, "POST", "/v1/customers", timeout=0.1)
    assert len((await payments.client.v1.customers.list_async()).data) == 2


async def test_stopping_lets_held_replies_go(payments: Payments) -> None:
    await payments.order("PUT", "/faults", requests={"hold_s": 600})
    held = asyncio.ensure_future(request(payments, "POST", "/v1/customers", timeout=None))
    async with asyncio.timeout(10):
        while not (await payments.order("GET", "/objects/customers"))["data"]:
            pass
        await payments.service.stop()
        assert (await held).status_code == 200


async def test_a_request_that_is_broken_off_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reads(request: Request) -> Response:
        return Response(await request.body())

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        """Nobody reads it."""

    app = Starlette(
        routes=[Route("/", reads, methods=["POST"])], exception_handlers=dict(EXCEPTION_HANDLERS)
    )
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert caplog.records == []
