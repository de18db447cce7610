"""Visitors' calls with a button, by its whole way: and what a visitor cannot make of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from altcha import v1 as altcha

from gateway.app import PeopleServices
from gateway.buttons.build import new_proofs
from gateway.buttons.ports import ButtonChange, CodeTry, NewButton, ProofCaller, ProofStart
from gateway.calls.index import CallIndex
from gateway.calls.no_calls import NoCalls
from gateway.carriers.twilio.carrier import CARRIER
from gateway.embed.hours import OpeningHours
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules
from gateway.heartbeat.ticker import Ticker
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles import http
from gateway.roles.access import compose_access
from gateway.roles.fleet import compose_fleet
from gateway.roles.fraud import compose_fraud
from gateway.roles.membership import new_membership
from gateway.roles.prices import load_deck, load_prices
from tests.calls.world import ECHO, SILENT_FRAME, Customer, Phone, World, eventually
from tests.gateway.buttons.button_books import buttons_of

TONE = "+15005551001"
SECOND_MICROS = 1000
"""What the example deck charges for a second of a call to the simulated network."""
MONEY = ("balance", "cost", "credit", "rate", "affordable", "price", ECHO, TONE)
"""What no visitor reads."""


@dataclass
class Shop:
    """A customer's button, and a visitor's browser in front of it."""

    world: World
    owner: Customer
    button: NewButton
    http: httpx.AsyncClient

    @property
    def key(self) -> str:
        return self.button.live_key

    async def state(self, key: str = "") -> dict[str, Any]:
        reply = await self.http.get(f"/v1/embed/{key or self.key}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def solution(self, key: str = "") -> str:
        """Do the work that a token needs."""
        reply = await self.http.post(f"/v1/embed/{key or self.key}/challenges", json={})
        assert reply.status_code == 201, reply.text
        given = reply.json()["challenge"]
        found = await asyncio.to_thread(
            altcha.solve_challenge,
            given["challenge"],
            given["salt"],
            given["algorithm"],
            given["maxnumber"],
        )
        payload = {k: given[k] for k in ("algorithm", "challenge", "salt", "signature")}
        return base64.b64encode(json.dumps(payload | {"number": found.number}).encode()).decode()

    async def ask(self, key: str = "", **body: Any) -> httpx.Response:
        """Ask for a token; without a body with a solution of its own."""
        key = key or self.key
        body = body or {"solution": await self.solution(key)}
        return await self.http.post(f"/v1/embed/{key}/call-tokens", json=body)

    async def token(self, key: str = "") -> dict[str, Any]:
        reply = await self.ask(key)
        assert reply.status_code == 201, reply.text
        return reply.json()

    async def refusal(self, key: str = "", **body: Any) -> str:
        reply = await self.ask(key, **body)
        assert reply.headers["content-type"] == "application/problem+json", reply.text
        told = reply.json()
        assert told["title"]
        assert told["action"]
        assert not [word for word in MONEY if word in reply.text], reply.text
        return told["code"]

    async def signed(self, **body: Any) -> httpx.Response:
        """Let the owner's back end ask."""
        body = {"button": self.key, "visitor": "v-7", **body}
        return await self.owner.http.post("/v1/call-tokens", json=body)

    @contextlib.asynccontextmanager
    async def call(self, token: dict[str, Any]) -> AsyncIterator[Phone]:
        async with self.owner.connect(token["media_url"]) as phone:
            await phone.send(type="start", version=1, token=token["token"])
            yield phone

    async def change(self, **rules: Any) -> None:
        async with self.world.stores() as stores:
            found = await buttons_of(stores).change(
                self.owner.account_id,
                None,
                self.button.id,
                label="shop",
                rules=msgspec.structs.replace(self.button.rules, **rules),
            )
            assert found is ButtonChange.DONE

    async def pause(self, is_paused: bool = True) -> None:
        async with self.world.stores() as stores:
            await buttons_of(stores).pause(
                self.owner.account_id, None, self.button.id, is_paused=is_paused
            )


@contextlib.asynccontextmanager
async def shop_of(world: World, owner: Customer, **changes: Any) -> AsyncIterator[Shop]:
    """Open a shop with a button of its own."""
    rules = ButtonRules(title="Sales of Example", destination=ECHO, day_cap_micros=5_000_000)
    button = NewButton(
        secrets.token_hex(6),
        "shop",
        msgspec.structs.replace(rules, **changes),
        live_key=publishable_key(KeyMode.LIVE, secrets.token_bytes(32)),
        test_key=publishable_key(KeyMode.TEST, secrets.token_bytes(32)),
    )
    async with world.stores() as stores:
        buttons = buttons_of(stores)
        for number in (ECHO, TONE):
            await buttons.note_proven(owner.account_id, None, number)
        made = await buttons.make(owner.account_id, None, button)
        assert made is ButtonChange.DONE
    async with httpx.AsyncClient(base_url=world.base) as http:
        yield Shop(world, owner, button, http)


@pytest.fixture
async def shop(world: World, customer: Customer) -> AsyncIterator[Shop]:
    async with shop_of(world, customer) as shop:
        yield shop


async def test_a_visitor_calls_and_reads_nothing_of_the_owners_money(shop: Shop):
    state = await shop.state()
    assert (state["state"], state["mode"], state["name"]) == ("open", "live", "Sales of Example")
    assert state["hours"] == [[[0, 1440]]] * 7
    assert (state["opens_at"], state["seconds_max"]) == (None, 300)
    token = await shop.token()
    assert set(token) == {"token", "expires_at", "expires_in_seconds", "media_url", "codec"}
    async with shop.call(token) as phone:
        ready = await phone.wait("ready")
        assert (ready["destination"], ready["rate"]) == ("", None)
        await phone.wait("accept")
        await phone.wait("volume")
        # Of the phone's sound, without which nothing is owed; before it came the ringing.
        await phone.wait_frames(len(phone.frames) + 5)
        ended = await phone.hang_up()
        assert (ended["cost"], ended["ended_by"]) == (None, "caller")
        assert not {"cost", "credit"} & set(phone.kinds())
        assert ECHO not in json.dumps(phone.events)
    record = await shop.owner.record(ready["call_id"])
    assert record["destination"] == ECHO
    assert record["cost"]["micros"] == record["seconds"] * SECOND_MICROS > 0


async def test_a_test_key_reaches_an_echo_and_no_carrier(shop: Shop):
    before = await shop.owner.balance()
    key = shop.button.test_key
    assert (await shop.state(key))["mode"] == "test"
    await shop.change(seconds_max=2)
    async with shop.call(await shop.token(key)) as phone:
        ready = await phone.wait("ready")
        await phone.wait("accept")
        await phone.speak([SILENT_FRAME] * 5)
        assert await phone.wait_frames(5) == [SILENT_FRAME] * 5
        ended = await phone.wait("disconnect")
        assert (ended["seconds"], ended["cut_off"], ended["cost"]) == (2, "duration", None)
        assert await phone.wait_closed() == 1000
    assert await shop.owner.balance() == before
    shown = await shop.owner.http.get(f"/v1/calls/{ready['call_id']}")
    assert shown.status_code == 404


async def test_what_was_used_once_is_used_up(shop: Shop):
    solution = await shop.solution()
    asked = await asyncio.gather(*(shop.ask(solution=solution) for _ in range(4)))
    codes = sorted(reply.json().get("code", "") for reply in asked)
    assert codes == ["", *["challenge_used"] * 3]
    (token,) = (reply.json() for reply in asked if reply.status_code == 201)
    async with shop.call(token) as phone:
        await phone.wait("accept")
        async with shop.call(token) as again:
            assert await again.refused() == ("bad_token", 1008)
        await phone.hang_up()


async def test_nothing_is_swapped(shop: Shop, world: World):
    """Neither solutions nor tokens, numbers or buttons of others."""
    other_owner = await world.new_customer()
    async with shop_of(world, other_owner, destination="") as other:
        assert await shop.refusal(solution=await other.solution()) == "challenge_wrong"
        # Nor those of another key of the same button.
        of_test = await shop.solution(shop.button.test_key)
        assert await shop.refusal(solution=of_test) == "challenge_wrong"
        assert await shop.refusal(solution="") == "challenge_wrong"
        # Which number is called no visitor says.
        body = {"solution": await shop.solution(), "destination": TONE}
        assert await shop.refusal(**body) == "bad_request"
        # Only the owner's back end does, and only where the button has none of its own.
        assert (await shop.signed(destination=TONE)).json()["field"] == "destination"
        assert await other.refusal() == "bad_token"
        # A button of another account is none to whoever has a key.
        reply = await shop.signed(button=other.key, destination=TONE)
        assert (reply.status_code, reply.json()["code"]) == (404, "button_not_found")
        token = (await other.signed(destination=TONE)).json()
        assert await shop.refusal(token=token["token"]) == "bad_token"
        own = (await shop.owner.token())["token"]
        assert await shop.refusal(token=own) == "bad_token"
        assert (await other.ask(token=token["token"])).json()["media_url"] == token["media_url"]
    await other_owner.http.aclose()


async def test_the_owners_back_end_signs_a_number(shop: Shop):
    await shop.change(destination="")
    reply = await shop.signed(destination=TONE)
    assert reply.status_code == 201, reply.text
    assert set(reply.json()) == {"token", "expires_at", "expires_in_seconds", "media_url", "codec"}
    async with shop.call(reply.json()) as phone:
        ready = await phone.wait("ready")
        assert (ready["destination"], ready["rate"]) == ("", None)
        await phone.wait("accept")
        await phone.hang_up()
    assert (await shop.owner.record(ready["call_id"]))["destination"] == TONE
    # Whom its calls are counted by, it has to say.
    refused = await shop.signed(destination=TONE, visitor="")
    assert (refused.status_code, refused.json()["code"]) == (422, "visitor_needed")
    assert refused.json()["field"] == "visitor"
    # Refusals to a back end are those of any call.
    refused = await shop.signed(destination="+4420")
    assert (refused.status_code, refused.json()["code"]) == (422, "number_too_short")
    assert (await shop.signed()).json()["field"] == "destination"


async def test_a_page_that_is_not_ours_asks_in_vain(shop: Shop):
    solution = await shop.solution()
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        path = f"/v1/embed/{shop.key}/call-tokens"
        reply = await shop.http.post(path, json={"solution": solution}, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (403, "bad_origin")
    body = {"solution": solution, "host": "https://evil.example"}
    assert await shop.refusal(**body) == "bad_origin"
    await shop.change(origins=("https://example.com",))
    own = {"solution": solution, "host": "https://example.com"}
    assert (await shop.ask(**own)).status_code == 201


async def test_a_pause_holds_at_once_and_a_call_that_runs_goes_on(shop: Shop):
    saved = await shop.token()
    async with shop.call(await shop.token()) as phone:
        await phone.wait("accept")
        await shop.pause()
        assert (await shop.state())["state"] == "paused"
        assert await shop.refusal() == "button_paused"
        async with shop.call(saved) as late:
            assert await late.refused() == ("button_paused", 1008)
        await phone.wait_frames(10)
        ended = await phone.hang_up()
        assert ended["ended_by"] == "caller"
    await shop.pause(is_paused=False)
    assert await shop.token()


async def test_a_key_that_was_turned_at_once_begins_no_call_by_a_token_of_before(shop: Shop):
    saved = await shop.token()
    async with shop.call(await shop.token()) as phone:
        await phone.wait("accept")
        async with shop.world.stores() as stores:
            turned = await buttons_of(stores).turn(
                shop.owner.account_id,
                None,
                shop.button.id,
                new_key=publishable_key(KeyMode.LIVE, secrets.token_bytes(32)),
                ends_at=datetime.now(UTC),
            )
        assert turned is ButtonChange.DONE
        async with shop.call(saved) as late:
            assert await late.refused() == ("button_not_found", 1008)
        await phone.wait_frames(10)
        assert (await phone.hang_up())["ended_by"] == "caller"


async def test_opening_hours_and_a_frozen_owner_close_it(shop: Shop):
    await shop.change(hours=OpeningHours(week=((),) * 7))
    state = await shop.state()
    assert (state["state"], state["opens_at"]) == ("closed", None)
    assert await shop.refusal() == "button_closed"
    await shop.change()
    async with shop.world.stores() as stores:
        await stores.freeze(shop.owner.account_id, True)
        assert (await shop.state())["state"] == "unavailable"
        assert await shop.refusal() == "button_unavailable"
        await stores.freeze(shop.owner.account_id, False)
    assert (await shop.state())["state"] == "open"


async def test_an_owner_without_credit_is_not_told_of(world: World):
    owner = await world.new_customer(0)
    async with shop_of(world, owner) as shop:
        assert (await shop.state())["state"] == "unavailable"
        assert await shop.refusal() == "button_unavailable"
    await owner.http.aclose()


async def test_a_call_ends_at_the_budget_to_the_second(shop: Shop):
    await shop.change(day_cap_micros=3 * SECOND_MICROS)
    async with shop.call(await shop.token()) as phone:
        await phone.wait("accept")
        warning = await phone.wait("credit-warning")
        assert warning["cause"] == "cap"
        ended = await phone.wait("disconnect")
        assert (ended["seconds"], ended["cut_off"], ended["cost"]) == (3, "cap", None)
        assert not [word for word in ("credit", "limit", "top up") if word in ended["message"]]
        call_id = ended["call_id"]
    assert (await shop.owner.record(call_id))["cost"]["micros"] == 3 * SECOND_MICROS
    assert await shop.refusal() == "budget_reached"


async def test_two_keys_of_one_button_share_its_budget(shop: Shop):
    await shop.change(day_cap_micros=2 * SECOND_MICROS)
    turned = publishable_key(KeyMode.LIVE, secrets.token_bytes(32))
    async with shop.world.stores() as stores:
        await buttons_of(stores).turn(
            shop.owner.account_id,
            None,
            shop.button.id,
            new_key=turned,
            ends_at=datetime.now(UTC) + timedelta(days=1),
        )
    async with shop.call(await shop.token()) as phone:
        ended = await phone.wait("disconnect")
    await shop.owner.record(ended["call_id"])
    for key in (shop.key, turned):
        assert await shop.refusal(key) == "budget_reached"


async def test_a_number_is_proven_by_a_code_that_a_call_speaks(world: World, customer: Customer):
    """Over the real stores and the carrier's REST, as the owner's pages ask for it."""
    carrier = CARRIER.client(world.settings)
    caller = ProofCaller(customer.account_id, "192.0.2.1", "de")
    async with world.stores() as stores:
        deck = load_deck(world.settings)
        prices = await load_prices(world.settings, stores.engine, deck)
        fraud = compose_fraud(world.settings, stores)
        services = http.compose_services(
            PeopleServices(settings=world.settings, stores=stores, taking_back=TAKING_BACK),
            compose_access(world.settings, stores),
            prices,
            fraud,
            index=CallIndex("", NoCalls(), stores.records, stores.gate),
            choose_node=lambda: None,
            on_balance=lambda _account_id, _micros: None,
            announcer=carrier,
            refused_signatures=RefusedSignatures(Ticker(lambda: 0)),
            fleet=compose_fleet(
                world.settings,
                stores,
                new_membership(world.settings, stores.redis, ""),
                takes=lambda _node: True,
            ).control,
            instance="office",
            ticker=Ticker(lambda: 0),
            answer_fields={},
        )
        proofs = new_proofs(services)
        assert await proofs.start(caller, "+1 500 555 1001") is ProofStart.CALLED

        async def spoken() -> str:
            calls = (await world.carrier_get("/calls"))["calls"]
            texts = [said["text"] for call in calls for said in call["said"]]
            return next((text for text in texts if "Ihr Code" in text), "")

        digits = [word[0] for word in (await eventually(spoken)).split() if word[:-1].isdigit()]
        assert digits[:6] == digits[6:]
        code = "".join(digits[:6])
        wrong = code[::-1] if code != code[::-1] else "123456"
        whose = (customer.account_id, None, TONE)
        assert await proofs.try_code(*whose, wrong) is CodeTry.WRONG
        assert await proofs.try_code(*whose, f"{code[:3]} {code[3:]}") is CodeTry.PROVEN
        assert await proofs.try_code(*whose, code) is CodeTry.OVER
        assert await proofs.start(caller, TONE) is ProofStart.ALREADY_PROVEN
        found = await buttons_of(stores).destinations(customer.account_id)
        assert [each.number for each in found] == [TONE]
        await fraud.refusals.close()
    await carrier.close()


async def test_no_more_calls_at_once_than_it_may(shop: Shop):
    await shop.change(calls_at_once=1)
    saved = [await shop.token(), await shop.token()]
    async with shop.call(saved.pop()) as phone:
        await phone.wait("accept")
        assert await shop.refusal() == "button_busy"
        async with shop.call(saved.pop()) as second:
            code, _ = await second.refused()
            assert code == "button_busy"
        # The owner's own calls are no calls of the button.
        await shop.owner.ordinary_call()
        ended = await phone.hang_up()
    await shop.owner.record(ended["call_id"])

    async def is_free() -> bool:
        return (await shop.ask()).status_code == 201

    await eventually(is_free)
