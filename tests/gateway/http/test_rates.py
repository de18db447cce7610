"""`GET /v1/rates`: rate, prices and affordable time of a number."""

from datetime import UTC, datetime

import pytest

from billing.rate_deck import RateDeck
from gateway.engine.rate_book import RateBook
from gateway.http.auth import Authenticator, key_hash
from gateway.http.rates import RatesApi
from tests.gateway.engine.stage import CREDIT
from tests.gateway.engine.test_calls import Velocity
from tests.gateway.http.test_auth import Account, Accounts

DECK = """prefix,description,country,rate_per_minute,connect_fee,first,next,minimum,cap,free
44,United Kingdom,GB,1.20,0.05,60,6,0.10,3,5
1,North America,US,0.60,0,1,1,,,
1900,"Premium, priced by mistake",US,9,0,1,1,,,
"""


@pytest.fixture
def ask(stage, client_of):
    accounts = Accounts()
    accounts.by_hash[key_hash("ck_alice")] = Account("alice")
    deck, velocity = RateDeck.from_csv(DECK), Velocity()
    api = RatesApi(
        settings=stage.services().settings,
        auth=Authenticator(accounts, stage.clock_ns),
        velocity=velocity,
        gate=stage.gate,
        book=RateBook(None, fallback=deck, clock=lambda: datetime.now(UTC)),
    )
    client = client_of(api.routes())

    async def ask(number, key="ck_alice"):
        headers = {"authorization": f"Bearer {key}"}
        return await client.get("/v1/rates", params={"number": number}, headers=headers)

    ask.client, ask.velocity = client, velocity
    return ask


async def test_a_rate_is_shown_with_prices_and_affordable_time(ask):
    body = (await ask("+44 20 7946-0018")).json()
    shown = {name: body[name]["micros"] for name in ("per_minute", "connect_fee", "minimum", "cap")}
    assert shown == {
        "per_minute": 1_200_000,
        "connect_fee": 50_000,
        "minimum": 100_000,
        "cap": 3_000_000,
    }
    assert (body["destination"], body["country"], body["prefix"]) == ("+442079460018", "GB", "44")
    assert (body["first_increment_s"], body["next_increment_s"], body["free_s"]) == (60, 6, 5)
    assert [(p["seconds"], p["cost"]["micros"]) for p in body["prices"]] == [
        *((60, 1_250_000), (180, 3_000_000), (600, 3_000_000))
    ]
    assert body["balance"]["micros"] == CREDIT
    assert body["affordable_seconds"] == 14_400


async def test_affordable_time_is_what_the_balance_pays(ask):
    body = (await ask("+14155552671")).json()
    assert (body["cap"], body["affordable_seconds"]) == (None, CREDIT // 10_000)


async def test_a_plus_sign_may_be_left_unescaped(ask):
    headers = {"authorization": "Bearer ck_alice"}
    reply = await ask.client.get("/v1/rates?number=+14155552671", headers=headers)
    assert reply.json()["destination"] == "+14155552671"


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("", 400, "bad_request"),
        ("+" + "1" * 64, 400, "bad_request"),
        ("hello", 422, "number_invalid"),
        ("911", 422, "number_emergency"),
        ("+4930123456", 422, "destination_not_priced"),
        ("+19005551234", 422, "number_premium"),
    ],
)
async def test_what_cannot_be_called_has_no_rate(ask, number, status, code):
    reply = await ask(number)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_only_accounts_are_told(ask):
    assert (await ask("+14155552671", key="ck_nobody")).status_code == 401


async def test_a_rate_that_is_asked_too_often_is_refused_for_a_while(ask):
    ask.velocity.refuses["address_quotes_minute"] = 3
    reply = await ask("+442079460018")
    assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "3"


async def test_a_high_risk_destination_has_no_rate(ask):
    assert (await ask("+2693212345")).json()["code"] == "number_high_risk"
