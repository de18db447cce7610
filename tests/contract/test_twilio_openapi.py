"""Twilio's documents grade the gateway's requests and the simulated carrier's replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from openapi_core.exceptions import OpenAPIError

from gateway.call.carrier_status import CarrierState
from gateway.carriers.twilio.account import AccountStatus, Number, TwilioAccount
from gateway.carriers.twilio.hooks import CallHooks
from gateway.carriers.twilio.rest import TwilioCarrier
from gateway.ports import DialOrder

from .conftest import ACCOUNT, CALLER_ID, MUTE_NUMBER, OTHER_NUMBER, OWN_NUMBER, TOKEN
from .document import Document, Json
from .graded import Form, Graded
from .twilio_server import TwilioServer

CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
SID = "CA" + "a" * 32
KEY = "incoming_phone_numbers"
ECHO, BUSY, NO_ANSWER, FAILED = (f"+1500555{n}" for n in (1000, 1004, 1005, 1006))
AUTH = (ACCOUNT, TOKEN)

ORDER = DialOrder(
    call_id="01JD3",
    destination=ECHO,
    ring_timeout_s=45,
    time_limit_s=600,
)
HOOKS = CallHooks(
    stream_url="wss://phone.example/n/a/media/carrier",
    stream_status_url="https://phone.example/n/a/twilio/stream/01JD3",
    status_url="https://phone.example/n/a/twilio/status/01JD3",
    reattach_url="https://phone.example/n/a/twilio/reattach/01JD3",
    token="01JD3.secret&<>",
)


# -- the gateway's requests ------------------------------------------------------------------------


@pytest.fixture
async def twilio(api: Document) -> AsyncIterator[TwilioServer]:
    async with TwilioServer(api) as server:
        yield server


@pytest.fixture
async def adapter(twilio: TwilioServer) -> AsyncIterator[TwilioCarrier]:
    carrier = TwilioCarrier(
        base_url=twilio.url,
        account_sid=ACCOUNT,
        username=ACCOUNT,
        password=TOKEN,
        caller_id=CALLER_ID,
        timeout_s=5,
        hooks=lambda _: HOOKS,
    )
    yield carrier
    await carrier.close()


def graded(api: Document, twilio: TwilioServer) -> list[str]:
    """Grade all that was asked and return the names of the operations."""
    return [api.check_request(asked) for asked in twilio.asked]


async def test_placing_a_call(
    api: Document, whole_api: Json, twilio: TwilioServer, adapter: TwilioCarrier
) -> None:
    assert await adapter.place(ORDER) == SID
    assert graded(api, twilio) == ["CreateCall"]
    form = twilio.asked[0].form
    assert (form["To"], form["From"]) == ([ECHO], [CALLER_ID])
    assert (form["Timeout"], form["TimeLimit"]) == (["45"], ["600"])
    # The field is described as free strings; the words that it takes stand elsewhere.
    events = whole_api["components"]["schemas"]["call_enum_event"]["enum"]
    assert set(form["StatusCallbackEvent"]) == set(events)


async def test_hanging_up(api: Document, twilio: TwilioServer, adapter: TwilioCarrier) -> None:
    assert (await adapter.hang_up(SID)).state is CarrierState.COMPLETED
    assert graded(api, twilio) == ["UpdateCall"]


async def test_hanging_up_what_has_ended(
    api: Document, twilio: TwilioServer, adapter: TwilioCarrier
) -> None:
    twilio.refusals["UpdateCall"] = (400, 21220)
    assert (await adapter.hang_up(SID)).state is CarrierState.COMPLETED
    assert graded(api, twilio) == ["UpdateCall", "FetchCall"]


async def test_fetching_a_call(api: Document, twilio: TwilioServer, adapter: TwilioCarrier) -> None:
    assert (await adapter.fetch(SID)).carrier_call_id == SID
    assert graded(api, twilio) == ["FetchCall"]


def account_by(url: str, username: str = ACCOUNT) -> TwilioAccount:
    return TwilioAccount(
        base_url=url, account_sid=ACCOUNT, username=username, password=TOKEN, timeout_s=5
    )


async def test_reaching_the_account(api: Document, twilio: TwilioServer) -> None:
    account = account_by(twilio.url)
    assert await account.standing() == AccountStatus("active", is_trial=False)
    await account.close()
    assert graded(api, twilio) == ["FetchAccount"]


async def test_reaching_the_account_with_a_standard_key(
    api: Document, twilio: TwilioServer
) -> None:
    twilio.refusals["FetchAccount"] = (401, 20003)
    account = account_by(twilio.url, "SK" + "b" * 32)
    assert await account.standing() == AccountStatus("", is_trial=False)
    await account.close()
    assert graded(api, twilio) == ["FetchAccount", "CreateCall", "FetchCall", "UpdateCall"]


async def test_looking_a_number_up(api: Document, twilio: TwilioServer) -> None:
    account = account_by(twilio.url)
    assert await account.number(OWN_NUMBER) is Number.OWN, "Twilio's own example"
    assert await account.number(ECHO) is Number.FOREIGN
    await account.close()
    assert graded(api, twilio) == [
        "ListIncomingPhoneNumber",
        "ListIncomingPhoneNumber",
        "ListOutgoingCallerId",
    ]


async def test_an_order_spoiled_inside_the_adapter_is_caught(
    api: Document, twilio: TwilioServer, adapter: TwilioCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.carriers.twilio.rest.connect_twiml", lambda _: "<Response>")
    await adapter.place(ORDER)
    with pytest.raises(OpenAPIError):
        graded(api, twilio)


# -- the simulated carrier's replies ---------------------------------------------------------------


def order(to: str, twiml: str = '<Response><Pause length="40"/></Response>') -> Form:
    return {"To": to, "From": CALLER_ID, "Twiml": twiml, "Timeout": "5", "TimeLimit": "60"}


def one(sid: str) -> str:
    return CALLS.replace(".json", f"/{sid}.json")


async def until(ask: Graded, sid: str, **fields: object) -> Any:
    """Fetch a call, graded each time, until it shows these fields."""
    async with asyncio.timeout(10):
        while True:
            call = await ask("GET", one(sid))
            if fields.items() <= call.items():
                return call
            await asyncio.sleep(0.01)


async def test_a_call_from_queue_to_price(simulator: str, api: Document) -> None:
    async with Graded(api, simulator, AUTH) as ask:
        created = await ask("POST", CALLS, order(ECHO))
        sid = created["sid"]
        assert created["status"] == "queued"
        await until(ask, sid, status="ringing")
        await until(ask, sid, status="in-progress")
        await ask("POST", one(sid), {"Status": "completed"})
        await until(ask, sid, status="completed", price="-0.01400")
        assert await ask("DELETE", one(sid)) is None
        assert ask.operations == {"CreateCall", "FetchCall", "UpdateCall", "DeleteCall"}


@pytest.mark.parametrize(
    ("to", "status"), [(BUSY, "busy"), (FAILED, "failed"), (NO_ANSWER, "no-answer")]
)
async def test_calls_that_nobody_answers(
    simulator: str, api: Document, to: str, status: str
) -> None:
    async with Graded(api, simulator, AUTH) as ask:
        created = await ask("POST", CALLS, order(to) | {"Timeout": "1"})
        await until(ask, created["sid"], status=status)


async def test_a_canceled_call(simulator: str, api: Document) -> None:
    async with Graded(api, simulator, AUTH) as ask:
        sid = (await ask("POST", CALLS, order(NO_ANSWER)))["sid"]
        await until(ask, sid, status="ringing")
        await ask("POST", one(sid), {"Status": "canceled"})
        await until(ask, sid, status="canceled")


async def test_new_instructions_for_a_live_call(simulator: str, api: Document) -> None:
    async with Graded(api, simulator, AUTH) as ask:
        sid = (await ask("POST", CALLS, order(ECHO)))["sid"]
        await until(ask, sid, status="in-progress")
        await ask("POST", one(sid), {"Twiml": "<Response><Hangup/></Response>"})
        await until(ask, sid, status="completed")


async def test_lists_of_calls(simulator: str, api: Document) -> None:
    async with Graded(api, simulator, AUTH) as ask:
        assert (await ask("GET", CALLS))["calls"] == []
        placed = [(await ask("POST", CALLS, order(BUSY)))["sid"] for _ in range(3)]
        for sid in placed:
            await until(ask, sid, status="busy")
        pages = [await ask("GET", CALLS, To=BUSY, PageSize="2", Page=page) for page in "01"]
        assert [call["sid"] for page in pages for call in page["calls"]] == placed[::-1]


async def test_the_account_its_tokens_and_caller_ids(simulator: str, api: Document) -> None:
    account = CALLS.removesuffix("/Calls.json")
    async with Graded(api, simulator, AUTH) as ask:
        shown = await ask("GET", f"{account}.json")
        assert (shown["status"], shown["type"]) == ("active", "Trial")
        assert (await ask("POST", f"{account}/Tokens.json", {"Ttl": "60"}))["ttl"] == "60"
        await ask("POST", f"{account}/OutgoingCallerIds.json", {"PhoneNumber": "+37129123456"})
        listed = await ask("GET", f"{account}/OutgoingCallerIds.json", PageSize="2")
        numbers = [caller["phone_number"] for caller in listed["outgoing_caller_ids"]]
        assert numbers == [CALLER_ID, OTHER_NUMBER]


async def test_the_numbers_of_the_account(simulator: str, api: Document) -> None:
    numbers = CALLS.replace("/Calls", "/IncomingPhoneNumbers")
    async with Graded(api, simulator, AUTH) as ask:
        whole = await ask("GET", numbers, PageSize="1")
        assert whole["next_page_uri"]
        for number, has_voice in ((OWN_NUMBER, True), (MUTE_NUMBER, False)):
            listed = await ask("GET", numbers, PhoneNumber=number)
            found = [(n["phone_number"], n["capabilities"]["voice"]) for n in listed[KEY]]
            assert found == [(number, has_voice)]
        assert (await ask("GET", numbers, PhoneNumber=ECHO))[KEY] == []
        assert (await ask("POST", CALLS, order(BUSY) | {"From": OWN_NUMBER}))["sid"]


async def test_prices_of_numbers(simulator: str, pricing: Document) -> None:
    async with Graded(pricing, simulator, AUTH) as ask:
        quote = await ask("GET", "/v2/Voice/Numbers/+37129123456", OriginationNumber=CALLER_ID)
        assert quote["iso_country"] == "LV"


async def test_permissions_to_call_countries(simulator: str, voice: Document) -> None:
    countries = "/v1/DialingPermissions/Countries"
    async with Graded(voice, simulator, AUTH) as ask:
        listed = await ask("GET", countries)
        assert {"US", "GB", "LV"} <= {country["iso_code"] for country in listed["content"]}
        assert (await ask("GET", f"{countries}/LV"))["country_codes"] == ["+371"]
        for iso, is_on, is_risky in (("US", True, False), ("DE", False, False), ("GB", True, True)):
            country = await ask("GET", f"{countries}/{iso}")
            assert country["low_risk_numbers_enabled"] is is_on
            assert country["high_risk_special_numbers_enabled"] is is_risky


async def test_lists_of_the_voice_api_come_in_pages(simulator: str, voice: Document) -> None:
    countries = "/v1/DialingPermissions/Countries"
    prefixes = f"{countries}/GB/HighRiskSpecialPrefixes"
    async with Graded(voice, simulator, AUTH) as ask:
        latvia = await ask("GET", f"{countries}/LV/HighRiskSpecialPrefixes")
        assert latvia["content"] == [{"prefix": "+37181"}, {"prefix": "+3719000"}]
        assert latvia["meta"]["next_page_url"] is None
        first = await ask("GET", prefixes)
        assert len(first["content"]) == first["meta"]["page_size"] == 50
        address = urlsplit(first["meta"]["next_page_url"])
        second = await ask("GET", address.path, **dict(parse_qsl(address.query)))
        assert second["meta"]["previous_page_url"]
        assert second["meta"]["next_page_url"] is None
        whole = await ask("GET", prefixes, PageSize="1000")
        assert whole["content"] == first["content"] + second["content"]
        some = await ask("GET", countries, Continent="EUROPE", PageSize="2", Page="1")
        assert [country["iso_code"] for country in some["content"]] == ["DE", "ES"]
        assert "Continent=EUROPE" in some["meta"]["next_page_url"]
