"""`/v1` top-ups and payments."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from billing.payments import Payment, PaymentProfile, PaymentState
from database.errors import StoreUnavailableError
from gateway import settings
from gateway.errors import PaymentError, RequestRefusedError
from gateway.http.bearer import key_hash
from gateway.http.body import JSON_BYTES_MAX, PAGE_MAX
from gateway.http.operation import ApiRoute, handlers_of
from gateway.payments.api import CardPayments, PaymentsApi
from gateway.payments.service import payment_id_of
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

UNIT = 1_000_000
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PAY_URL = "https://pay.example/cs_1"
ALICE = PaymentProfile("alice", "USD")


def payment(payment_id="pay_1", account_id="alice", **changes):
    plain = Payment(payment_id, account_id, "checkout", 25 * UNIT, "USD", PaymentState.OPEN, AT, AT)
    return replace(plain, **changes)


class Store:
    """What the API reads of `gateway.payments.ports.PaymentStore`, in memory."""

    def __init__(self):
        self.payments = []
        self.profiles = {"alice": ALICE, "bob": PaymentProfile("bob", "EUR")}

    async def find(self, payment_id):
        return next((p for p in self.payments if p.id == payment_id), None)

    async def page(self, account_id, *, limit, before=None):
        mine = [p for p in self.payments if p.account_id == account_id]
        ids = [p.id for p in mine]
        return mine[ids.index(before) + 1 :][:limit] if before else mine[:limit]

    async def profile(self, account_id):
        return self.profiles[account_id]


class Till:
    """Replaces `Payments`: records its calls, or fails on demand."""

    def __init__(self):
        self.asked = []
        self.failure = None

    def _note(self, *what):
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure

    async def start_checkout(self, account_id, micros, *, save_card, key):
        self._note(account_id, micros, save_card, key)
        return payment(account_id=account_id, micros=micros), PAY_URL

    async def set_auto(self, account_id, *, enabled, threshold_micros, amount_micros, key_id):
        self._note(account_id, enabled, threshold_micros, amount_micros, key_id)
        return replace(
            ALICE,
            auto_enabled=enabled,
            auto_threshold_micros=threshold_micros,
            auto_amount_micros=amount_micros,
            customer_id="cus_1",
            payment_method_id="pm_1",
        )

    async def refresh(self, known):
        self._note(known.id)
        return replace(known, state=PaymentState.PAID, receipt_url="https://receipt.example/1")


class Auto:
    """Notes whose settings are to be asked for again."""

    def __init__(self):
        self.forgotten, self.charged = [], []
        self.failure = None

    def forget(self, account_id):
        self.forgotten.append(account_id)

    async def charge_now(self, account_id, micros, key):
        self.charged.append((account_id, micros, key))
        if self.failure is not None:
            raise self.failure
        return payment(account_id=account_id, micros=micros, kind="saved", state=PaymentState.PAID)


class Api:
    """The API, and requests of one of its accounts."""

    def __init__(self, client_of, *, is_on=True):
        self.store, self.till, self.auto = Store(), Till(), Auto()
        self.accounts = accounts = Accounts()
        self.velocity = Velocity()
        for account_id in ("alice", "bob"):
            accounts.by_hash[key_hash(f"ck_{account_id}")] = Account(account_id)
        api = PaymentsApi(
            settings=settings.Settings(),
            auth=authenticator(accounts),
            velocity=self.velocity,
            store=self.store,
            cards=CardPayments(self.till, self.auto) if is_on else None,
        )
        self.client = client_of(api.routes())

    async def ask(self, method, path, account="alice", **options):
        headers = {"authorization": f"Bearer ck_{account}", **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def pay(self, amount="25.00", *, headers=None, **body):
        body = {"amount": amount, **body}
        return await self.ask("POST", "/v1/top-ups", json=body, headers=headers or {})


@pytest.fixture
def api(client_of):
    return Api(client_of)


@pytest.fixture
def closed_api(client_of):
    return Api(client_of, is_on=False)


class Unproven:
    """An authenticator for which everybody is a person with an unproven address."""

    def serve(self, api):
        return [ApiRoute(self.endpoint(handler), each) for each, handler in handlers_of(api)]

    def endpoint(self, handler):
        async def endpoint(request):
            return await handler(request, SimpleNamespace(account=Account(), is_proven=False))

        return endpoint


async def test_who_has_not_proven_their_address_pays_nothing_and_sees_all(client_of):
    store = Store()
    cards = CardPayments(Till(), Auto())
    api = PaymentsApi(settings.Settings(), Unproven(), Velocity(), store, cards)
    client = client_of(api.routes())
    for method, path in (
        ("POST", "/v1/top-ups"),
        ("POST", "/v1/saved-card-charges"),
        ("PUT", "/v1/auto-top-up"),
    ):
        reply = await client.request(method, path, json={})
        assert (reply.status_code, reply.json()["code"]) == (403, "address_unproven")
    assert (await client.get("/v1/top-ups")).status_code == 200


async def test_a_key_of_who_has_not_proven_their_address_pays_nothing(api):
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice", is_unproven=True)
    reply = await api.ask("PUT", "/v1/auto-top-up", json={})
    assert (reply.status_code, reply.json()["code"]) == (403, "address_unproven")


def money(units, text=None):
    return {"micros": units * UNIT, "currency": "USD", "text": text or f"${units}.00"}


async def test_an_offer_names_what_can_be_paid(api):
    reply = await api.ask("GET", "/v1/top-ups")
    assert reply.json() == {
        "enabled": True,
        "currency": "USD",
        "amounts": [money(units) for units in (10, 25, 50, 100)],
        "minimum": money(5),
        "maximum": money(500),
        "auto": {
            "enabled": False,
            "threshold": money(0),
            "amount": money(0),
            "maximum": money(200),
            "has_card": False,
            "off_reason": "",
        },
    }
    assert (await api.ask("GET", "/v1/top-ups", "bob")).json()["currency"] == "EUR"


async def test_where_nothing_can_be_paid_everything_can_be_read(closed_api):
    assert (await closed_api.ask("GET", "/v1/top-ups")).json()["enabled"] is False
    closed_api.store.payments = [payment()]
    shown = await closed_api.ask("GET", "/v1/top-ups/pay_1")
    assert shown.json()["state"] == "open"
    assert len((await closed_api.ask("GET", "/v1/payments")).json()["payments"]) == 1
    for reply in (
        await closed_api.pay(),
        await closed_api.ask("PUT", "/v1/auto-top-up", json={"enabled": False}),
    ):
        assert (reply.status_code, reply.json()["code"]) == (501, "payments_off")


async def test_a_top_up_leads_to_the_page_that_takes_it(api):
    reply = await api.pay("25.00", save_card=True, headers={"idempotency-key": "form-1"})
    assert reply.status_code == 201
    assert reply.json() == {
        "id": "pay_1",
        "kind": "checkout",
        "state": "open",
        "amount": money(25),
        "refunded": money(0),
        "receipt_url": "",
        "failure": "",
        "created_at": "2026-11-24T12:00:00Z",
        "url": PAY_URL,
    }
    await api.pay("7.50")
    assert api.till.asked == [
        ("alice", 25 * UNIT, True, "form-1"),
        ("alice", 7_500_000, False, ""),
    ]


@pytest.mark.parametrize("amount", ["", "-5", "1e3", "5,00", "0.0000001", "five", "9" * 40, None])
async def test_an_amount_is_a_plain_number(api, amount):
    reply = await api.pay(amount)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
    assert api.till.asked == []


@pytest.mark.parametrize("path", ["/v1/top-ups", "/v1/saved-card-charges"])
@pytest.mark.parametrize("amount", ["4.99", "500.01", "10.001"])
async def test_an_amount_that_cannot_be_charged_does_not_count_as_a_start(api, path, amount):
    headers = {"idempotency-key": "form-1"}
    reply = await api.ask("POST", path, json={"amount": amount}, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (422, "amount_out_of_range")
    assert reply.json()["field"] == "amount"
    assert (api.till.asked, api.auto.charged, api.velocity.used) == ([], [], [])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"amount": "5", "card": "4242"}', b"[" * 4_000])
async def test_a_body_of_another_shape_is_refused(api, content):
    reply = await api.ask("POST", "/v1/top-ups", content=content)
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("key", ["a b", "x" * 256, "\u00fc".encode("latin-1")])
async def test_an_idempotency_key_is_short_and_plain(api, key):
    reply = await api.pay(headers={"idempotency-key": key})
    assert (reply.status_code, reply.json()["field"]) == (400, "Idempotency-Key")


async def test_a_body_is_bounded(api):
    reply = await api.ask("POST", "/v1/top-ups", content=b" " * (JSON_BYTES_MAX + 1))
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (PaymentError("x", retryable=True), 503, "payment_unavailable"),
        (PaymentError("x", service_code="resource_missing"), 503, "payment_unavailable"),
        (PaymentError("x", service_code="amount_too_small"), 422, "amount_out_of_range"),
        (PaymentError("x", service_code="amount_too_large"), 422, "amount_out_of_range"),
        (RequestRefusedError("amount_out_of_range", field="amount"), 422, "amount_out_of_range"),
        (StoreUnavailableError("x"), 503, "store_unavailable"),
    ],
)
async def test_what_keeps_a_payment_from_beginning_is_told(api, failure, status, code):
    api.till.failure = failure
    reply = await api.pay()
    assert (reply.status_code, reply.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/top-ups"),
        ("POST", "/v1/top-ups"),
        ("GET", "/v1/top-ups/pay_1"),
        ("GET", "/v1/payments"),
        ("PUT", "/v1/auto-top-up"),
    ],
)
async def test_nothing_is_told_without_a_key(api, method, path):
    assert (await api.client.request(method, path)).status_code == 401


async def test_a_payment_is_looked_up_when_it_is_read(api):
    api.store.payments = [payment()]
    shown = await api.ask("GET", "/v1/top-ups/pay_1")
    assert (shown.json()["state"], shown.json()["receipt_url"]) == (
        "paid",
        "https://receipt.example/1",
    )
    assert api.till.asked == [("pay_1",)]


@pytest.mark.parametrize("payment_id", ["pay_2", "pay_b"])
async def test_nobody_elses_payment_is_shown(api, payment_id):
    api.store.payments = [payment("pay_b", "bob")]
    reply = await api.ask("GET", f"/v1/top-ups/{payment_id}")
    assert (reply.status_code, reply.json()["code"]) == (404, "payment_not_found")
    assert api.till.asked == []


async def test_payments_come_in_pages(api):
    api.store.payments = [
        payment("pay_3", state=PaymentState.WON, refunded_micros=5 * UNIT),
        payment("pay_2", state=PaymentState.LOST),
        payment("pay_b", "bob"),
        payment("pay_1", state=PaymentState.FAILED, failure="card_declined"),
    ]
    first = (await api.ask("GET", "/v1/payments?limit=2")).json()
    assert [(p["id"], p["state"], p["refunded"]) for p in first["payments"]] == [
        ("pay_3", "paid", money(5)),
        ("pay_2", "lost", money(0)),
    ]
    assert first["next"] == "pay_2"
    second = (await api.ask("GET", "/v1/payments?limit=2&before=pay_2")).json()
    assert [(p["id"], p["failure"]) for p in second["payments"]] == [("pay_1", "card_declined")]
    assert second["next"] is None
    for before in ("", "x", "pay_", "pay_%00"):
        reply = await api.ask("GET", f"/v1/payments?before={before}")
        assert (reply.status_code, reply.json()["field"]) == (400, "before")


@pytest.mark.parametrize("limit", ["0", "-1", str(PAGE_MAX + 1), "x", "1" * 20])
async def test_a_page_is_bounded(api, limit):
    assert (await api.ask("GET", f"/v1/payments?limit={limit}")).status_code == 400


async def test_automatic_top_ups_are_set_and_asked_for_again(api):
    body = {"enabled": True, "threshold": "5.00", "amount": "25.00"}
    reply = await api.ask("PUT", "/v1/auto-top-up", json=body)
    assert reply.json() == {
        "enabled": True,
        "threshold": money(5),
        "amount": money(25),
        "maximum": money(200),
        "has_card": True,
        "off_reason": "",
    }
    # The audit log will name the key.
    assert api.till.asked == [("alice", True, 5 * UNIT, 25 * UNIT, "k1")]
    assert api.auto.forgotten == ["alice"]


async def test_without_a_card_nothing_is_set(api):
    api.till.failure = RequestRefusedError("no_saved_card")
    reply = await api.ask("PUT", "/v1/auto-top-up", json={"enabled": True, "amount": "25"})
    assert (reply.status_code, reply.json()["code"]) == (409, "no_saved_card")
    wrong = await api.ask("PUT", "/v1/auto-top-up", json={"enabled": True, "threshold": "-1"})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "threshold")


async def test_payments_that_are_begun_too_often_reach_no_payment_service(api):
    api.velocity.refuses["account_checkouts_hour"] = 1200
    reply = await api.pay()
    assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "1200"
    assert api.till.asked == []
    assert [use.subject for use in api.velocity.used] == ["alice", "127.0.0.1"]


async def test_the_repeat_of_a_payment_begins_none(api):
    api.store.payments.append(payment(payment_id_of("alice", "key-1234")))
    api.velocity.refuses["account_checkouts_hour"] = 1200
    for _ in range(3):
        assert (await api.pay(headers={"Idempotency-Key": "key-1234"})).status_code == 201
    assert api.velocity.used == []
    assert (await api.pay(headers={"Idempotency-Key": "key-5678"})).status_code == 429


# One tap on the saved card.


async def test_a_saved_card_is_charged_at_once(api):
    reply = await api.ask(
        "POST",
        "/v1/saved-card-charges",
        json={"amount": "25.00"},
        headers={"idempotency-key": "tap-1"},
    )
    assert reply.status_code == 201
    shown = reply.json()
    assert (shown["kind"], shown["state"], shown["url"]) == ("saved", "paid", "")
    assert api.auto.charged == [("alice", 25 * UNIT, "tap-1")]
    assert [use.limit for use in api.velocity.used] == [
        "account_checkouts_hour",
        "address_checkouts_hour",
    ]


async def test_a_tap_without_a_key_of_its_own_charges_nothing(api):
    for headers in ({}, {"idempotency-key": "a b"}):
        reply = await api.ask(
            "POST", "/v1/saved-card-charges", json={"amount": "25.00"}, headers=headers
        )
        assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
    assert api.auto.charged == []


@pytest.mark.parametrize(
    ("code", "status"),
    [("no_saved_card", 409), ("charge_in_flight", 409), ("card_limit_reached", 409)],
)
async def test_a_tap_that_is_refused_says_why(api, code, status):
    api.auto.failure = RequestRefusedError(code)
    reply = await api.ask(
        "POST", "/v1/saved-card-charges", json={"amount": "25"}, headers={"idempotency-key": "k"}
    )
    assert (reply.status_code, reply.json()["code"]) == (status, code)
