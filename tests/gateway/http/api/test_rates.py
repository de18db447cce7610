"""`/v1/rates`: rate, prices and affordable time of a number or a prefix."""

from dataclasses import dataclass

import pytest
from httpx import AsyncClient

from billing.clock import utc_now
from billing.rate_deck import RateDeck
from gateway.call.high_risk import ClosedList
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.charging.current_rates import CurrentRates
from gateway.http.api.rates import RatesApi
from gateway.http.bearer import key_hash
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Account, Accounts, authenticator
from tests.gateway.stage import CREDIT

DECK = """prefix,description,country,rate_per_minute,connect_fee,first,next,minimum,cap,free
44,United Kingdom,GB,1.20,0.05,60,6,0.10,3,5
1,North America,US,0.60,0,1,1,,,
1900,"Premium, priced by mistake",US,9,0,1,1,,,
"""


@dataclass
class Ask:
    """Asks for rates: of a number, or of a list."""

    client: AsyncClient
    velocity: Velocity
    closed_destinations: ClosedDestinations

    async def __call__(self, number, key="ck_alice"):
        headers = {"authorization": f"Bearer {key}"}
        return await self.client.post("/v1/rates", json={"destination": number}, headers=headers)

    async def look(self, **query):
        headers = {"authorization": "Bearer ck_alice"}
        return await self.client.get("/v1/rates", params=query, headers=headers)


@pytest.fixture
def ask(stage, client_of):
    accounts = Accounts()
    accounts.by_hash[key_hash("ck_alice")] = Account("alice")
    deck, velocity = RateDeck.from_csv(DECK), Velocity()
    api = RatesApi(
        settings=stage.services().settings,
        auth=authenticator(accounts),
        velocity=velocity,
        gate=stage.gate,
        rates=CurrentRates(None, fallback=deck, clock=utc_now),
        closed_destinations=ClosedDestinations(None, ()),
    )
    return Ask(client_of(api.routes()), velocity, api.closed_destinations)


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
        (60, 1_250_000),
        (180, 3_000_000),
        (600, 3_000_000),
    ]
    assert body["balance"]["micros"] == CREDIT
    assert body["affordable_seconds"] == 14_400


async def test_affordable_time_is_what_the_balance_pays(ask):
    body = (await ask("+14155552671")).json()
    assert (body["cap"], body["affordable_seconds"]) == (None, CREDIT // 10_000)


async def test_a_prefix_has_the_rate_of_what_no_longer_one_takes(ask):
    for prefix, found in (("44", "44"), ("4420794", "44"), ("190", "1"), ("1900", "1900")):
        body = (await ask.look(prefix=prefix)).json()
        assert (body["prefix"], body["destination"]) == (found, None)
    assert body["per_minute"]["micros"] == 9_000_000
    assert (await ask.look(prefix="49")).json()["code"] == "destination_not_priced"


@pytest.mark.parametrize("prefix", ["", "+44", " 44", "044", "٤٤", "4 4", "44\n"])
async def test_what_is_no_prefix_is_refused(ask, prefix):
    reply = await ask.look(prefix=prefix)
    assert (reply.status_code, reply.json()["field"]) == (400, "prefix")


async def test_a_number_in_the_address_is_refused_with_what_to_use(ask):
    for query in (
        {"number": "+14155552671"},
        {"number": "", "prefix": "44"},
        {"prefix": "44207946"},
        {"prefix": "+442079460018"},
        {"prefix": ["442079460018", "44"]},
        {"prefix": "44", "of": "44 20 7946 0018"},
    ):
        reply = await ask.look(**query)
        assert (reply.status_code, reply.json()["code"]) == (400, "number_in_address")
        assert "body of POST /v1/rates" in reply.json()["action"]


async def test_a_prefix_is_asked_for_once_and_alone(ask):
    for query in ({"prefix": ["44", "1"]}, {"prefix": "44", "country": "GB"}):
        reply = await ask.look(**query)
        assert (reply.status_code, reply.json()["field"]) == (400, "prefix")


async def test_no_price_is_shown_for_what_is_closed(ask):
    reply = await ask.look(prefix="53")
    assert (reply.status_code, reply.json()["code"]) == (422, "number_high_risk")


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


async def test_a_prefix_that_is_asked_too_often_is_refused_for_a_while(ask):
    ask.velocity.refuses["key_quotes_minute"] = 3
    reply = await ask.look(prefix="44")
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "3")


async def test_what_the_carrier_lists_as_high_risk_has_no_rate(ask):
    assert (await ask("+442079460018")).status_code == 200
    assert (await ask.look(prefix="44207")).status_code == 200
    ask.closed_destinations.closed = ClosedList((), {"44207": "GB"})
    assert (await ask("+442079460018")).json()["code"] == "number_high_risk"
    assert (await ask.look(prefix="44207")).json()["code"] == "number_high_risk"
    assert (await ask.look(prefix="44")).status_code == 200
