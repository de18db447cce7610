"""What a button's page asks, and that nothing in the answers is the owner's alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing.call_feedback import Feedback, Only
from gateway.buttons.admission import ButtonPhase, VisitorProof
from gateway.buttons.ports import VisitorChallenge
from gateway.buttons.visitor_api import EmbedApi
from gateway.calls.admission import Ticket
from gateway.embed.hours import OpeningHours, Span
from gateway.embed.keys import KeyMode
from gateway.errors import RequestRefusedError
from gateway.settings_variables import from_mapping
from tests.gateway.buttons.shop import BUTTON, HOST, KEY, OWN, RULES, Shop
from tests.gateway.http.test_bearer import Account

AT = datetime(2026, 11, 28, 13, tzinfo=UTC)
TICKET = Ticket("ct_1", AT, 60, "wss://calls.example.com/n/n1/media/browser")
SHOWN = {
    "token": "ct_1",
    "expires_at": "2026-11-28T13:00:00Z",
    "expires_in_seconds": 60,
    "media_url": "wss://calls.example.com/n/n1/media/browser",
    "codec": "pcmu",
}


class Desk(Shop):
    """The routes, over an admission that answers what the test says."""

    def __init__(self, client_of):
        super().__init__()
        self.challenges = self
        self.at_once = ButtonPhase.OPEN, None
        self.refusal, self.asked = None, []
        self.humans, self.visitor_refused = None, []
        settings = from_mapping(
            {"CALLER_PUBLIC_ORIGIN": OWN, "CALLER_OPERATOR": "Example Calls Ltd"}
        )
        routes = EmbedApi(settings, self.door, self, self, lambda: AT).routes()
        self.client = client_of(routes)

    async def phase(self, visit):
        return self.at_once

    def turn_away(self, visit, code):
        self.visitor_refused.append((visit.button.button_id, code))

    async def admit(self, visit, proof, origin):
        self.asked.append(("admit", proof, origin))
        if self.refusal:
            raise self.refusal
        return TICKET

    async def show(self, visit, token):
        self.asked.append(("show", token))
        return TICKET

    async def give(self, *asked):
        # A challenge, or feedback: each is asked for by one part of the routes alone.
        if len(asked) == 2:
            return VisitorChallenge("SHA-256", "c", 20_000, f"salt of {asked[0]}&", "s")
        self.asked.append(asked)
        return None if asked[1] != "c1" else asked[2]

    async def say(self, call_id="c1", **body):
        reply = await self.client.put(f"/v1/embed/{KEY}/calls/{call_id}/feedback", json=body)
        return reply.status_code, reply.json()

    async def ask(self, **body):
        reply = await self.client.post(f"/v1/embed/{KEY}/call-tokens", json=body)
        return reply.status_code, reply.json()


@pytest.fixture
def desk(client_of):
    return Desk(client_of)


async def test_how_a_button_stands(desk):
    hours = OpeningHours("Europe/Berlin", ((Span(540, 1020),),) * 5 + ((), ()))
    rules = msgspec.structs.replace(RULES, hours=hours)
    desk.buttons.by[KEY] = replace(BUTTON, rules=rules)
    desk.at_once = ButtonPhase.CLOSED, AT
    reply = await desk.client.get(f"/v1/embed/{KEY}")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json() == {
        "state": "closed",
        "mode": "live",
        "opens_at": "2026-11-28T13:00:00Z",
        "zone": "Europe/Berlin",
        "hours": [[[540, 1020]]] * 5 + [[], []],
        "name": "Sales",
        "human_check": False,
        "seconds_max": 300,
        "takes_feedback": True,
        "operator": {"name": "Example Calls Ltd", "privacy_url": f"{OWN}/privacy"},
        "codec": "pcmu",
    }
    desk.at_once = ButtonPhase.OPEN, None
    assert (await desk.client.get(f"/v1/embed/{KEY}")).json()["opens_at"] is None
    desk.humans = object()
    assert (await desk.client.get(f"/v1/embed/{KEY}")).json()["human_check"] is True


async def test_a_challenge_is_given_in_altchas_words(desk):
    reply = await desk.client.post(f"/v1/embed/{KEY}/challenges", json={})
    assert reply.status_code == 201
    assert reply.json() == {
        "challenge": {
            "algorithm": "SHA-256",
            "challenge": "c",
            "maxnumber": 20_000,
            "salt": f"salt of {KEY}&",
            "signature": "s",
        },
        "expires_in_seconds": 120,
    }
    more = await desk.client.post(f"/v1/embed/{KEY}/challenges", json={"maxnumber": 1})
    assert more.json()["code"] == "bad_request"


async def test_a_token_has_no_word_of_money(desk):
    assert await desk.ask(solution="s") == (201, SHOWN)
    assert await desk.ask(token="ct_1") == (201, SHOWN)
    assert await desk.ask(solution="s", human="r") == (201, SHOWN)
    assert desk.asked == [
        ("admit", VisitorProof("s"), ""),
        ("show", "ct_1"),
        ("admit", VisitorProof("s", "r"), ""),
    ]


@pytest.mark.parametrize(
    "body",
    [{"destination": "+1"}, {"solution": 1}, {"solution": "x" * 2_049}, {"token": "x" * 257}],
)
async def test_nothing_else_is_taken(desk, body):
    assert (await desk.ask(**body))[1]["code"] == "bad_request"
    assert desk.asked == []


async def test_only_pages_on_the_list_hold_the_frame(desk):
    for host in (HOST, OWN, ""):
        assert (await desk.ask(solution="s", host=host))[0] == 201
    # Written by a person: what the list has as https://shop.example.
    for host in (f"{HOST}/", HOST.upper()):
        assert (await desk.ask(solution="s", host=host))[0] == 201
    others = {
        "https://evil.example": None,
        "null": "origin_invalid",
        "http://evil.example": "origin_insecure",
        "shop.example": "origin_invalid",
        f"{HOST}/cart": "origin_path",
        "https://*.shop.example": "origin_wildcard",
        "https://a\u202eb": "origin_invalid",
    }
    for host, reason in others.items():
        status, told = await desk.ask(solution="s", host=host)
        assert (status, told["code"], told["field"]) == (403, "bad_origin", "host")
        assert told.get("reason") == reason
        assert "list of sites" in told["action"]
    assert desk.visitor_refused == [("b1", "bad_origin")] * len(others)


async def test_a_refusal_says_when_it_opens_and_when_to_try_again(desk):
    desk.refusal = RequestRefusedError("button_closed", opens_at=AT)
    status, told = await desk.ask(solution="s")
    assert (status, told["code"]) == (409, "button_closed")
    assert told["opens_at"] == "2026-11-28T13:00:00Z"
    desk.refusal = RequestRefusedError("button_limited", retry_after_s=30)
    reply = await desk.client.post(f"/v1/embed/{KEY}/call-tokens", json={"solution": "s"})
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "30")


async def test_a_visitor_says_how_their_call_was(desk):
    assert await desk.say(stars=4) == (200, {"kept": {"stars": 4, "flaws": []}})
    # Only of the button's own calls that have just ended.
    only = Only("k1", AT - timedelta(minutes=10))
    assert desk.asked == [("alice", "c1", Feedback(stars=4), only)]
    status, problem = await desk.say("c2", stars=4)
    assert (status, problem["code"]) == (404, "call_not_found")


@pytest.mark.parametrize("body", [{}, {"stars": 6}, {"stars": 4, "text": "hello"}])
async def test_nothing_else_is_said_of_a_call(desk, body):
    status, problem = await desk.say(**body)
    assert (status, problem["code"], desk.asked) == (400, "bad_request", [])


async def test_only_the_frame_says_how_a_call_was(desk):
    path, page = f"/v1/embed/{KEY}/calls/c1/feedback", {"origin": "https://elsewhere.example"}
    reply = await desk.client.put(path, json={"stars": 1}, headers=page)
    assert (reply.json()["code"], desk.asked) == ("bad_origin", [])


@pytest.mark.parametrize(
    ("mode", "keeps_quality"),
    [(KeyMode.TEST, True), (KeyMode.LIVE, False)],
    ids=["test", "objection"],
)
async def test_where_nothing_is_kept_nobody_is_asked(desk, mode, keeps_quality):
    desk.buttons.by[KEY] = replace(BUTTON, mode=mode)
    desk.accounts.by_hash["x"] = Account(keeps_quality=keeps_quality)
    shown = (await desk.client.get(f"/v1/embed/{KEY}")).json()
    assert shown["takes_feedback"] is False
    assert await desk.say(stars=4) == (200, {"kept": None})
    assert desk.asked == []
