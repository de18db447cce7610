"""`/v1`: tokens, live calls and records, each of the key's own account only."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from billing.ports import Opening
from billing.rate_deck import RateDeck
from gateway.browser.messages import FRAME_BYTES
from gateway.calls.admission import Admission
from gateway.calls.closed_destinations import ClosedDestinations
from gateway.calls.index import CallIndex
from gateway.calls.risk import Risk
from gateway.http.bearer import key_hash
from gateway.http.body import PAGE_MAX
from gateway.limits.fraud import Policy
from gateway.limits.velocity import Use
from gateway.own_calls.api import CallsApi
from tests.gateway.calls.test_admission import DECK, Ledger, RiskBook
from tests.gateway.calls.test_index import Records
from tests.gateway.calls.test_live import Node, keep_talking
from tests.gateway.http.test_bearer import Account, Accounts, Epochs, authenticator
from tests.gateway.stage import CENT, CREDIT
from tests.limits import limits

ECHO = "+15005551000"
PAGE = "https://calls.example.com"
START = datetime(2026, 3, 1, tzinfo=UTC)


class Api:
    """The API of a node, and requests of one of its accounts."""

    def __init__(self, stage, client_of, **changes):
        self.stage = stage
        self.node = Node(stage, **changes)
        self.accounts, self.ledger, self.records = Accounts(), Ledger(), Records()
        for account_id in ("alice", "bob"):
            self.accounts.by_hash[key_hash(f"ck_{account_id}")] = Account(account_id)
        settings = stage.services(**changes).settings
        self.closed_destinations = ClosedDestinations(None, settings.open_high_risk)
        self.admission = Admission(
            settings,
            tokens=self.node.tokens,
            velocity=self.node.velocity,
            gate=stage.gate,
            ledger=self.ledger,
            rates=RateDeck.from_csv(DECK),
            closed_destinations=self.closed_destinations,
            risk=Risk(Policy(), RiskBook(), Epochs()),
            choose_node=lambda: None if self.node.calls.is_draining else "n1",
        )
        self.api = CallsApi(
            settings=settings,
            auth=authenticator(self.accounts, stage.clock_ns),
            admission=self.admission,
            index=CallIndex(settings.node, self.node.calls, self.records, stage.gate),
            gate=stage.gate,
            # Calls with a button: `test_calls_of_buttons`.
            buttons=None,
            button_admission=None,
        )
        self.client = client_of(self.api.routes())

    async def ask(self, method, path, account="alice", **options):
        headers = {"authorization": f"Bearer ck_{account}", **options.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **options)

    async def token(self, destination=ECHO, *, headers=None, **body):
        body = {"destination": destination, **body}
        return await self.ask("POST", "/v1/call-tokens", json=body, headers=headers or {})

    async def live_call(self):
        """Place a call of alice and return the caller's socket."""
        caller = await self.node.starts()
        return caller, caller.messages[0]["call_id"]


@pytest.fixture
def api(stage, client_of):
    return Api(stage, client_of)


def code_of(reply):
    return reply.status_code, reply.json()["code"]


# Tokens.


async def test_a_token_quotes_the_call(api):
    reply = await api.token()
    body = reply.json()
    assert reply.status_code == 201
    assert api.node.tokens.orders.keys() == {body["token"]}
    assert body["media_url"] == "wss://calls.example.com/n/n1/media/browser"
    assert (body["destination"], body["country"], body["codec"]) == (ECHO, "US", "pcmu")
    assert body["rate"]["per_minute"]["micros"] == 600_000
    assert body["balance"]["micros"] == CREDIT
    assert body["affordable_seconds"] == 1000
    assert body["expires_in_seconds"] == 60
    left = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left < timedelta(seconds=61)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"destination": "hello"}, (422, "number_invalid")),
        ({"destination": "112"}, (422, "number_emergency")),
        ({"destination": "+15005"}, (422, "number_too_short")),
        ({"destination": "+442079460018", "codec": "opus"}, (422, "codec_unknown")),
        ({"destination": "+33123456789"}, (422, "destination_not_priced")),
        ({"destination": "+449098790000"}, (422, "number_premium")),
        ({"destination": ECHO, "origin": "https://evil.example"}, (403, "bad_origin")),
        ({}, (400, "bad_request")),
        ({"destination": 5}, (400, "bad_request")),
        ({"destination": "1" * 65}, (400, "bad_request")),
        ({"destination": ECHO, "extra": 1}, (400, "bad_request")),
        # Whom a program calls for is asked with a button alone.
        ({"destination": ECHO, "visitor": "v-7"}, (400, "bad_request")),
        ([], (400, "bad_request")),
    ],
)
async def test_a_request_that_cannot_be_granted_says_why(api, body, expected):
    reply = await api.ask("POST", "/v1/call-tokens", json=body)
    assert code_of(reply) == expected
    assert api.node.tokens.orders == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 4000])
async def test_what_is_no_json_is_refused(api, body):
    assert code_of(await api.ask("POST", "/v1/call-tokens", content=body)) == (400, "bad_request")


async def test_a_long_body_is_refused(api):
    reply = await api.ask("POST", "/v1/call-tokens", content=b" " * 5000)
    assert code_of(reply) == (413, "payload_too_large")


async def test_a_quote_says_the_same_and_promises_nothing(api):
    reply = await api.ask("POST", "/v1/quotes", json={"destination": "+44 20 7946-0018"})
    token = (await api.token("+442079460018")).json()
    assert reply.status_code == 200
    assert reply.json() == {name: token[name] for name in reply.json()}
    assert reply.json()["rate"]["connect_fee"]["micros"] == 50_000
    assert len(api.node.tokens.orders) == 1


@pytest.mark.parametrize(
    ("destination", "code"),
    [
        ("+33123456789", "destination_not_priced"),
        ("112", "number_emergency"),
        ("+112", "number_emergency"),
        ("+15005", "number_too_short"),
        ("+449098790000", "number_premium"),
        ("hello", "number_invalid"),
    ],
)
async def test_the_quote_of_what_could_not_be_called_says_why(api, destination, code):
    reply = await api.ask("POST", "/v1/quotes", json={"destination": destination})
    refused = await api.token(destination)
    assert (reply.status_code, refused.status_code) == (200, 422)
    problem = refused.json()
    assert problem["code"] == code
    refusal = {name: problem[name] for name in ("code", "title", "action")}
    assert reply.json() == {"refusal": refusal}


async def test_a_quote_says_that_there_is_no_credit_no_room_or_no_leave(api):
    async def code():
        # What is known of a key is believed for ten seconds.
        await api.stage.run(11)
        reply = await api.ask("POST", "/v1/quotes", json={"destination": ECHO})
        assert reply.status_code == 200
        return reply.json()["refusal"]["code"]

    cap(api, day=CENT - 1)
    assert await code() == "cap_reached"
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice", frozen=True)
    assert await code() == "account_frozen"
    # A key is no way around the proof that its maker owes.
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice", is_unproven=True)
    assert await code() == "address_unproven"
    assert code_of(await api.token()) == (403, "address_unproven")
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice")
    api.stage.gate.fill(alice=CENT - 1)
    assert await code() == "insufficient_credit"


async def test_the_quote_of_a_call_that_a_range_limit_refuses_is_an_answer(api):
    api.node.velocity.refuses["range_short_calls_hour"] = 9
    reply = await api.ask("POST", "/v1/quotes", json={"destination": ECHO})
    assert (reply.status_code, reply.json()["refusal"]["code"]) == (200, "range_limited")
    assert code_of(await api.token()) == (429, "range_limited")


async def test_a_quote_that_is_no_request_is_refused(api):
    body = {"destination": ECHO, "codec": "pcmu"}
    assert code_of(await api.ask("POST", "/v1/quotes", json=body)) == (400, "bad_request")
    reply = await api.ask("POST", "/v1/quotes", account="eve", json={"destination": ECHO})
    assert code_of(reply) == (401, "unauthorized")


async def test_a_page_gets_a_token_for_itself_only(api):
    ours = await api.token(headers={"origin": PAGE})
    assert api.node.tokens.orders[ours.json()["token"]].origin == PAGE
    foreign = await api.token(headers={"origin": "https://evil.example"}, origin=PAGE)
    assert code_of(foreign) == (403, "bad_origin")


def cap(api, **caps):
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice", limits=limits(**caps))


async def test_what_neither_credit_nor_caps_cover_must_be_paid_for(api):
    cap(api, day=CENT - 1)
    assert code_of(await api.token()) == (402, "cap_reached")
    api.stage.gate.fill(alice=CENT - 1)
    assert code_of(await api.token()) == (402, "insufficient_credit")


async def test_a_frozen_account_gets_no_token(api):
    api.accounts.by_hash[key_hash("ck_alice")] = Account("alice", frozen=True)
    assert code_of(await api.token()) == (403, "account_frozen")


async def test_a_draining_node_gives_no_token(api):
    await api.node.calls.drain(0)
    assert code_of(await api.token()) == (503, "gateway_draining")


async def test_no_token_while_the_gate_is_away(api):
    api.stage.gate.is_away = True
    reply = await api.token()
    assert code_of(reply) == (503, "store_unavailable")
    assert reply.headers["retry-after"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/call-tokens"),
        ("GET", "/v1/calls"),
        ("GET", "/v1/calls/c1"),
        ("DELETE", "/v1/calls/c1"),
        ("GET", "/v1/account"),
        ("GET", "/v1/phonebook"),
    ],
)
async def test_nothing_is_served_without_a_key(api, method, path):
    assert code_of(await api.ask(method, path, "mallory")) == (401, "unauthorized")


def test_every_codec_can_be_asked_for():
    assert set(FRAME_BYTES) == {"pcmu", "pcm16"}


# Calls.


async def test_a_live_call_is_shown_as_it_stands(api):
    _, call_id = await api.live_call()
    stream = api.node.begins_stream()
    api.stage.spawn(keep_talking(stream))
    await api.stage.run(1.5)
    shown = (await api.ask("GET", f"/v1/calls/{call_id}")).json()
    assert (shown["id"], shown["state"], shown["seconds"]) == (call_id, "live", 2)
    assert shown["cost"]["micros"] == 2 * CENT
    assert (shown["carrier_call_id"], shown["ended_at"], shown["cause"]) == ("CA1", None, None)
    assert shown["answered_at"] >= shown["created_at"]


async def test_a_record_is_shown_with_its_cause_in_words(api):
    api.records.add("c1")
    shown = (await api.ask("GET", "/v1/calls/c1")).json()
    assert (shown["state"], shown["seconds"], shown["cost"]["micros"]) == ("ended", 7, 7 * CENT)
    assert (shown["cause"], shown["cause_name"]) == (17, "USER_BUSY")
    assert shown["cause_message"] == "The line is busy."
    assert (shown["carrier_call_id"], shown["carrier_seconds"]) == ("CA9", 7)
    assert (shown["browser"]["frames_in"], shown["browser"]["paths"]) == (0, [])
    assert (shown["carrier"]["mos"], shown["carrier"]["packets_lost"]) == (None, 0)


async def test_a_live_call_is_not_shown_as_its_unfinished_record(api):
    _, call_id = await api.live_call()
    api.records.add(call_id, is_closed=False)
    listed = (await api.ask("GET", "/v1/calls")).json()["calls"]
    assert [(c["id"], c["state"], c["carrier_call_id"]) for c in listed] == [
        (call_id, "live", "CA1")
    ]


async def test_a_call_of_another_node_is_live_by_its_record(api):
    api.records.add("c1", is_closed=False, node="n2")
    shown = (await api.ask("GET", "/v1/calls/c1")).json()
    assert (shown["state"], shown["ended_at"]) == ("live", None)
    assert (shown["seconds"], shown["cost"]["micros"]) == (7, 7 * CENT)


async def test_a_call_that_has_ended_here_has_no_cost_until_its_record_is_written(api):
    api.records.add("c1", is_closed=False)
    shown = (await api.ask("GET", "/v1/calls/c1")).json()
    assert (shown["state"], shown["cost"]) == ("settling", None)


async def test_a_call_that_is_being_settled_has_no_cost_and_says_how_it_ended(api):
    caller, call_id = await api.live_call()
    api.stage.gate.is_away = True
    await api.ask("DELETE", f"/v1/calls/{call_id}")
    await api.stage.run(0.5)
    for shown in (
        (await api.ask("GET", f"/v1/calls/{call_id}")).json(),
        (await api.ask("GET", "/v1/calls")).json()["calls"][0],
    ):
        assert (shown["state"], shown["cost"]) == ("settling", None)
        assert shown["ended_at"] is not None
        assert shown["ended_by"] == caller.of("disconnect")[0]["ended_by"]
        assert shown["cause"] == caller.of("disconnect")[0]["cause"]


async def test_what_is_held_for_a_call_is_not_spent(api):
    """The balance falls by what is used, second by second, and by nothing before the answer."""
    _, call_id = await api.live_call()
    assert api.stage.balance() < CREDIT
    stream = api.node.begins_stream()
    api.stage.spawn(keep_talking(stream))
    await api.stage.run(3.5)
    used = (await api.ask("GET", f"/v1/calls/{call_id}")).json()["cost"]["micros"]
    account = (await api.ask("GET", "/v1/account")).json()
    assert used > 0
    assert account["balance"]["micros"] == CREDIT - used


async def test_other_accounts_calls_do_not_exist(api):
    _, live = await api.live_call()
    api.records.add("c1")
    for call_id in (live, "c1", "nothing"):
        for method in ("GET", "DELETE"):
            reply = await api.ask(method, f"/v1/calls/{call_id}", "bob")
            assert code_of(reply) == (404, "call_not_found")
    assert (await api.ask("GET", "/v1/calls", "bob")).json() == {"calls": [], "next": None}
    assert len(api.node.calls) == 1


async def test_a_live_call_is_ended_by_request(api):
    caller, call_id = await api.live_call()
    reply = await api.ask("DELETE", f"/v1/calls/{call_id}")
    assert (reply.status_code, reply.json()["id"]) == (202, call_id)
    assert caller.of("disconnect")[0]["ended_by"] == "operator"


async def test_an_ended_call_cannot_be_ended(api):
    api.records.add("c1")
    assert code_of(await api.ask("DELETE", "/v1/calls/c1")) == (409, "call_ended")


async def test_who_would_end_a_call_of_a_node_that_is_silent_is_told_to_try_again(api):
    await api.stage.gate.open(Opening("c1", "alice", "n2", CENT, CENT, 9, b"{}"))
    for _ in range(2):
        reply = await api.ask("DELETE", "/v1/calls/c1")
        assert code_of(reply) == (503, "node_silent")
        assert reply.json()["action"].startswith("Try again")
        api.records.add("c1", is_closed=False, node="n2")


async def test_calls_come_in_pages_newest_first_each_once(api):
    ids = [f"{n:012}" for n in range(7)]
    for each in ids:
        api.records.add(each)
    _, live = await api.live_call()
    seen, before = [], {}
    while True:
        page = (await api.ask("GET", "/v1/calls", params={"limit": 3, **before})).json()
        seen += [call["id"] for call in page["calls"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [live, *reversed(ids)]


@pytest.mark.parametrize("before", ["", "x", "-1", "0" * 13, "0" * 11 + "A"])
async def test_a_page_before_what_is_no_call_is_refused_and_does_not_look_like_the_end(api, before):
    reply = await api.ask("GET", "/v1/calls", params={"before": before})
    assert code_of(reply) == (400, "bad_request")
    assert reply.json()["field"] == "before"
    # One that was forgotten since.
    page = (await api.ask("GET", "/v1/calls", params={"before": "0" * 12})).json()
    assert page == {"calls": [], "next": None}


async def test_a_page_that_is_just_full_is_the_last(api):
    for n in range(3):
        api.records.add(f"c{n}")
    page = (await api.ask("GET", "/v1/calls", params={"limit": 3})).json()
    assert (len(page["calls"]), page["next"]) == (3, None)


@pytest.mark.parametrize(
    "limit", ["0", "-1", "201", "x", "", "1.5", "٣", "9" * 30, "9" * 5_000, "0" * 8 + "1" + "9" * 5]
)
async def test_a_limit_out_of_bounds_is_refused(api, limit):
    reply = await api.ask("GET", "/v1/calls", params={"limit": limit})
    assert code_of(reply) == (400, "bad_request")
    assert reply.json()["field"] == "limit"


@pytest.mark.parametrize("limit", ["1", str(PAGE_MAX)])
async def test_a_limit_within_bounds_is_taken(api, limit):
    assert (await api.ask("GET", "/v1/calls", params={"limit": limit})).status_code == 200


# The account.


async def test_the_account_shows_its_balance_and_live_calls(api):
    await api.live_call()
    shown = (await api.ask("GET", "/v1/account")).json()
    assert shown == {
        "id": "alice",
        "currency": "USD",
        "balance": {"micros": CREDIT, "currency": "USD", "text": "$10.00"},
        "live_calls": 1,
    }


async def test_the_phonebook_is_the_operators(stage, client_of):
    api = Api(stage, client_of, phonebook=("+15005551000=Echo: hear yourself",))
    shown = (await api.ask("GET", "/v1/phonebook")).json()
    assert shown == {"entries": [{"number": ECHO, "label": "Echo: hear yourself"}]}
    assert msgspec.json.encode(shown)


# Velocity.


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/call-tokens", "account_tokens_minute"),
        ("/v1/check-tokens", "address_tokens_minute"),
        ("/v1/quotes", "account_quotes_minute"),
    ],
)
async def test_what_is_asked_too_often_is_refused_for_a_while(api, path, limit):
    api.node.velocity.refuses[limit] = 17
    body = {} if "check" in path else {"destination": ECHO}
    reply = await api.ask("POST", path, json=body)
    assert code_of(reply) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "17"
    assert api.node.tokens.orders == {}


async def test_no_token_is_given_for_a_call_that_may_not_start(api):
    api.node.velocity.refuses["number_calls_minute"] = 9
    reply = await api.token()
    assert code_of(reply) == (429, "number_limited")
    assert reply.headers["retry-after"] == "9"
    assert api.node.tokens.orders == {}
    counted = {use.limit for use in api.node.velocity.used}
    assert counted == {f"{of}_tokens_minute" for of in ("account", "key", "address")}
    assert Use("number_calls_minute", f"alice {ECHO}") in api.node.velocity.looked
