"""The API's document and a whole node agree, on real stores, for every operation.

No failure of ours, no status or shape that the document does not have, nothing wrong taken, and
nothing refused that it allows. Requests are made by Schemathesis from the document.
"""

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance
from websockets.sync.client import connect

from gateway.buttons.ports import NewButton
from gateway.embed.keys import KeyMode, publishable_key
from gateway.http.operation import PREFIX, ApiRoute
from gateway.openapi import document, operations
from gateway.scopes import PAGE, Scope
from gateway.webhooks.events import endpoint_id
from simulators.carrier.service import SimulatorService
from simulators.carrier.settings import SimulatorSettings
from simulators.payments.service import PaymentSimulatorService, PaymentSimulatorSettings
from tests.gateway.api_lives import DELETES, Fault, Lives
from tests.gateway.api_walk import Walk, with_whole_numbers
from tests.gateway.buttons.button_books import buttons_of
from tests.gateway.logs.levels import kept_levels
from tests.gateway.test_access import (
    BUTTON,
    CALL,
    ECHO,
    ENVIRON,
    PAYMENT,
    add_objects_of_alice,
    running,
)
from tests.thorough import one_in
from tests.valkey import ValkeyServer

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("migrated_books"),
    # Schemathesis draws the last of its choices from `random`, which Hypothesis seeds.
    pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies"),
]

STRIPE_KEY = "sk_test_node"
CARRIER = SimulatorSettings(
    account_sid=ENVIRON["CALLER_TWILIO_ACCOUNT_SID"],
    auth_token=ENVIRON["CALLER_TWILIO_AUTH_TOKEN"],
    ring_s=0,
)
CHECKS = {
    # What a schema cannot tell, such as whether there is enough credit, is 402 to 422; how long the
    # whole body is, 413.
    "positive_data_acceptance": {
        "expected-statuses": ["2xx", "402", "403", "404", "409", "413", "422", "429"]
    },
    "negative_data_rejection": {
        "expected-statuses": ["400", "403", "404", "405", "413", "422", "429"]
    },
}
# Each request has a key that is good.
GENERATION = {"with-security-parameters": False}
CONFIG = SchemathesisConfig.from_dict({"generation": GENERATION, "checks": CHECKS})
# These two ask once more for each request, and nothing that was made changes what they find.
STATELESS = {name: {"enabled": False} for name in ("ignored_auth", "unsupported_method")}
WALK_CONFIG = SchemathesisConfig.from_dict({"generation": GENERATION, "checks": CHECKS | STATELESS})
SCHEMA = schemathesis.openapi.from_dict(document(), config=CONFIG)
DRAWN = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
SPARE = NewButton(
    "fedcba987654321001234567",
    "spare",
    BUTTON.rules,
    live_key=publishable_key(KeyMode.LIVE, b"3" * 32),
    test_key=publishable_key(KeyMode.TEST, b"4" * 32),
)
"""Whose key may be turned: visitors come by that of the other."""
ONCE = "a-webhook-that-stays"
WEBHOOK = {"url": "https://example.com/hooks", "label": "Books", "types": ["call.ended"]}
KNOWN = {
    "account_id": "bob",
    "button_id": SPARE.id,
    "call_id": CALL,
    "key": BUTTON.live_key,
    "node": "n1",
    "number": "1",
    "payment_id": PAYMENT,
    "webhook_id": endpoint_id("alice", ONCE),
    "delivery_id": "nothing",
}
JUDGED = {
    # Printable, and not only blanks.
    "reason",
    "silent_reason",
    "note",
    "label",
    # An event that there is.
    "types",
    # In the future; not nothing; no more than an amount of money can be.
    "until",
    "amount",
    "threshold",
    # With a button, or without one.
    "destination",
    "visitor",
}
"""Fields whose rule no schema tells."""
STREAMS = {"watch_live_calls", "watch_all_live_calls"}
"""They do not end."""
ACTS = {
    "change_button": 200,
    "delete_button": 204,
    "end_button_calls": 202,
    "pause_button": 200,
    "resume_button": 200,
    "show_button": 200,
    "turn_button_key": 200,
}
"""What is done with a button -> the status where there is one."""
BODY = {
    "label": "shop",
    "title": "Sales",
    "destination": BUTTON.rules.destination,
    "day_cap": "5.00",
}
NEXT_YEAR = f"{datetime.now(UTC).year + 1}-01-01T00:00:00Z"
REASON = {"reason": "a test"}
BODIES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("freeze", "unfreeze", "lock", "unlock", "sign_out"), REASON),
    "add_data_request": {"right": "access"},
    "allow": REASON | {"rule": "new-card", "until": NEXT_YEAR},
    "change_button": BODY | {"title": "Service"},
    "credit_account": REASON | {"amount": "1.00", "reference": "test"},
    "disallow": REASON | {"rule": "new-card"},
    "find_rate": {"destination": BUTTON.rules.destination},
    "give_challenge": {},
    "give_feedback": {"stars": 4},
    "issue_call_token": {"destination": BUTTON.rules.destination},
    "issue_check_token": {},
    "make_button": BODY,
    "set_node_log_level": REASON | {"level": "debug"},
    "set_supervision": REASON | {"most": "whisper"},
    "quote_call": {"destination": BUTTON.rules.destination},
    "search_accounts": {"text": "ali"},
    "set_auto_top_up": {"enabled": False},
    "silence_alarm": REASON | {"name": "node_lost:n9", "minutes": 1},
    "start_top_up": {"amount": "25.00"},
    "turn_button_key": {"overlap_days": 0},
    "unsilence_alarm": {"name": "node_lost:n9"},
}
ELSEWHERE = {
    # No call is live to be supervised.
    "supervise_call",
    "supervise_any_call",
    # No call is live, no alarm stands, no card is saved, no request of this number is open.
    "end_call",
    "end_any_call",
    "acknowledge_alarm",
    "charge_saved_card",
    "close_data_request",
    # A solved challenge; a call of a visitor; a holder.
    "issue_visitor_token",
    "give_visitor_feedback",
    "reset_second_factor",
    "sign_out",
    # The life of a webhook.
    "add_webhook",
    "show_webhook",
    "show_webhook_secret",
    "change_webhook",
    "delete_webhook",
    "turn_webhook_secret",
    "test_webhook",
    "list_webhook_deliveries",
    "replay_webhook_delivery",
    "replay_webhook_failures",
    # Other tests need what they take away.
    "delete_button",
    "turn_button_key",
    "take_back_destination",
    "lock",
    "unlock",
}
"""What the tests of those operations show."""
WALKED = schemathesis.openapi.from_dict(document(), config=WALK_CONFIG).exclude(
    # They do not end, or they change the node for all tests.
    operation_id=[
        *STREAMS,
        "list_nodes",
        "drain_node",
        "resume_node",
        "set_node_log_level",
        # What is said of accounts and prices, and done for holders, makes nothing and ends nothing.
        "lock",
        "unlock",
        "sign_out",
        "reset_second_factor",
        "set_supervision",
        "show_supervision",
        "show_fraud",
        "show_credit",
        "show_history",
        "show_document",
        "credit_account",
        "list_log",
        "show_phonebook",
        "find_rate",
        "show_rate",
        "quote_call",
        "set_auto_top_up",
        "show_top_up_offer",
        "charge_saved_card",
        "issue_check_token",
        "acknowledge_alarm",
        "list_ledger",
        "show_key",
    ]
)
RIGHT = [each for _, each in operations() if each.name not in STREAMS | ELSEWHERE]
NAMES = [each.name for _, each in operations() if each.name not in STREAMS]


class Node:
    """A node, with a key for what people do and one for operators."""

    def __init__(self, site, key, operators):
        self.site, self.loop = site, asyncio.get_running_loop()
        self.gateway = gateway = site.nodes[0]
        self.url = f"http://127.0.0.1:{gateway.port}"
        self._keys = {False: key, True: operators}

    def headers(self, path):
        """Return what says who sends a request."""
        return {"Authorization": f"Bearer {self._keys[path.startswith('/v1/admin')]}"}

    def asks(self, name, status, *, body=None, once="", query=None, **path):
        """Return what an operation answers, as the document says, with this status."""
        operation = SCHEMA.find_operation_by_id(name)
        options = {} if body is None else {"body": body, "media_type": "application/json"}
        if "Idempotency-Key" in str(operation.definition.raw):
            options["headers"] = {"Idempotency-Key": once}
        case = operation.Case(path_parameters=path, query=query or {}, **options)
        reply = case.call_and_validate(base_url=self.url, headers=self.headers(operation.path))
        assert reply.status_code == status, reply.text
        return reply.json() if reply.content else None

    def new_life(self):
        """Return an account of which there is nothing but its key and a number that is proven."""
        return self.awaits(Life.begin(self))

    def awaits(self, work):
        """Return what a coroutine returns that the thread of the node runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


class Life:
    """An account that a walk uses up: its key, what is right for it, and what there is of it."""

    def __init__(self, node, account_id, key):
        self._node, self._key, self._calls = node, key, contextlib.ExitStack()
        self.account_id = account_id
        self.lives = Lives(account_id, ECHO)

    @classmethod
    async def begin(cls, node):
        """Make the account."""
        account_id = f"life-{uuid4().hex}"
        key, _ = await node.site.new_key(account_id)
        await buttons_of(node.site.stores).note_proven(account_id, None, ECHO)
        return cls(node, account_id, key)

    def headers(self, path):
        """Return what says who sends a request."""
        operators = self._node.headers(path)
        return operators if "/admin" in path else {"Authorization": f"Bearer {self._key}"}

    def right_body(self, name, random):
        """Return a body that an operation takes of this account; None for one of no rules."""
        match name:
            case "make_button" | "change_button":
                return BODY | {
                    "label": random.choice("ab"),
                    "day_cap": random.choice(["1.00", "2"]),
                }
            case "add_webhook":
                return WEBHOOK | {"label": random.choice("ab")}
            case "change_webhook":
                return random.choice([{"disabled": True}, {"disabled": False}, {"label": "c"}])
            case "silence_alarm" | "unsilence_alarm":
                return BODIES[name] | {"name": random.choice(["node_lost:n7", "node_lost:n8"])}
            case "search_accounts":
                return {"text": self.account_id}
            case "end_any_call":
                return REASON
            case "close_data_request":
                return {"note": ""}
            case "take_back_destination":
                return {"number": ECHO}
            case "replay_webhook_failures":
                return {"since": "2026-01-01T00:00:00Z"}
        return BODIES.get(name)

    def right_query(self, name):
        """Return what an operation is to be asked for, so that it shows what is of this account."""
        is_of_all = name in ("list_data_requests", "list_all_live_calls")
        return {"account": self.account_id} if is_of_all else {}

    def _is_recorded(self, call_id):
        """Return once a call is found; for a moment after its end there is no record of it yet."""
        url = f"{self._node.url}/v1/calls/{call_id}"
        for _ in range(600):
            if httpx.get(url, headers=self.headers(url)).status_code == 200:
                return
            time.sleep(0.1)
        raise Fault(f"{call_id} has no record")

    def begin_call(self):
        """Begin a call that goes on, as a browser does; return its id, or None if it may not."""
        url, body = f"{self._node.url}/v1/call-tokens", BODIES["issue_call_token"]
        token = httpx.post(url, json=body, headers=self.headers("/v1/call-tokens"))
        if token.status_code != 201:
            return None
        socket = self._calls.enter_context(connect(token.json()["media_url"], max_queue=None))
        start = {"type": "start", "version": 1, "token": token.json()["token"]}
        socket.send(json.dumps(start))
        return json.loads(socket.recv(60))["call_id"]

    def close(self):
        """Hang up, and take away what others would see, or what would be posted for days."""
        self._calls.close()
        for call_id in self.lives.there["call_id"]:
            self._is_recorded(call_id)
        for name, is_so in self.lives.silenced.items():
            if is_so:
                self._node.asks("unsilence_alarm", 204, body={"name": name})
        for webhook_id in self.lives.there["webhook_id"]:
            url = f"{self._node.url}/v1/webhooks/{webhook_id}"
            assert httpx.delete(url, headers=self.headers(url)).status_code == 204


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory, migrated_books):
    """A node with a payment service beside it, and an account of whom operators may do anything."""
    folder = tmp_path_factory.mktemp("node")
    payments = PaymentSimulatorService(PaymentSimulatorSettings(api_key=STRIPE_KEY))
    carrier = SimulatorService(CARRIER)
    await payments.start()
    await carrier.start()
    beside = {"CALLER_STRIPE_URL": payments.origin, "CALLER_CARRIER_URL": carrier.url}
    try:
        # Among all that it is asked is to log more, or less.
        with contextlib.closing(ValkeyServer().start()) as server, kept_levels():
            async with running(folder, server.url, **beside) as site:
                key, _ = await site.new_key(scopes=PAGE)
                await add_objects_of_alice(site)
                await buttons_of(site.stores).make("alice", None, SPARE)
                await site.new_key("bob")
                operators, _ = await site.new_key("operators", scopes={Scope.ADMIN})
                node = Node(site, key, operators)
                await asyncio.to_thread(
                    lambda: node.asks("add_webhook", 201, body=WEBHOOK, once=ONCE)
                )
                yield node
    finally:
        await carrier.stop()
        await payments.stop()


async def test_the_document_is_of_what_is_served(node):
    routes = [route for route in node.gateway.app.routes if route.path.startswith(PREFIX)]
    assert all(isinstance(route, ApiRoute) for route in routes)
    served = sorted(route.operation.name for route in routes)
    assert served == sorted(each.name for _, each in operations())


@pytest.mark.parametrize("name", one_in(6, NAMES))
async def test_an_operation_answers_as_the_document_says(node, name):
    operation = SCHEMA.find_operation_by_id(name)

    @seed(1)
    @settings(DRAWN)
    @given(st.data())
    def run(data):
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()) and operation.method != "delete":
            case.path_parameters.update({name: KNOWN[name] for name in case.path_parameters})
        if mode is GenerationMode.POSITIVE:
            case.body = with_whole_numbers(case.body)
        reply = case.call(base_url=node.url, headers=node.headers(operation.path))
        case.validate_response(reply, excluded_checks=excluded(reply))

    await asyncio.to_thread(run)


def excluded(reply):
    """Return the checks that do not hold for what was refused for what no schema tells."""
    is_judged = reply.status_code == 400 and reply.json().get("field") in JUDGED
    return [positive_data_acceptance] if is_judged else []


@pytest.mark.parametrize("operation", RIGHT, ids=lambda each: each.name)
async def test_a_right_request_is_answered_as_documented(node, operation):
    """What is drawn is seldom a number that is priced, or an account that there is."""
    options = {} if operation.body is None else {"body": BODIES[operation.name]}
    path = {name: KNOWN[name] for name in KNOWN if f"{{{name}}}" in operation.path}
    if operation.name == "show_rate":
        options["query"] = {"prefix": "1500555"}
    await asyncio.to_thread(
        lambda: node.asks(operation.name, operation.status, once=uuid4().hex, **options, **path)
    )


async def test_a_button_answers_as_documented_through_its_life(node):
    @seed(1)
    @settings(DRAWN, max_examples=8)
    @given(st.lists(st.sampled_from(sorted(ACTS)), min_size=4, max_size=12))
    def run(acts):
        button_id = node.asks("make_button", 201, body=BODY, once=uuid4().hex)["id"]
        is_there = True
        # Whatever was done before, it is deleted in the end: there may be twenty.
        for name in [*acts, "delete_button", "show_button"]:
            options = {"body": BODIES[name]} if name in BODIES else {}
            status = ACTS[name] if is_there or name == "delete_button" else 404
            told = node.asks(name, status, button_id=button_id, once=uuid4().hex, **options)
            assert told is None or told.get("id", button_id) == button_id
            is_there = is_there and name != "delete_button"

    await asyncio.to_thread(run)


async def test_a_webhook_answers_as_documented_through_its_life(node):
    def run():
        made = node.asks("add_webhook", 201, body=WEBHOOK, once=uuid4().hex)
        known = {"webhook_id": made["id"]}
        assert node.asks("show_webhook", 200, **known) == {
            name: value for name, value in made.items() if name != "secret"
        }
        assert node.asks("show_webhook_secret", 200, **known) == made
        turned = node.asks("turn_webhook_secret", 200, once=uuid4().hex, **known)
        assert turned["secret"] != made["secret"]
        sent = node.asks("test_webhook", 202, **known)
        (listed,) = node.asks("list_webhook_deliveries", 200, **known)["deliveries"]
        assert (listed["id"], listed["type"]) == (sent["id"], "webhook.test")
        node.asks("replay_webhook_delivery", 202, delivery_id=sent["id"], **known)
        since = {"since": "2026-01-01T00:00:00Z"}
        assert node.asks("replay_webhook_failures", 202, body=since, **known)["replayed"] == 0
        node.asks("change_webhook", 200, body={"disabled": True}, **known)
        assert node.asks("test_webhook", 409, **known)["code"] == "webhook_disabled"
        node.asks("delete_webhook", 204, **known)
        assert node.asks("show_webhook", 404, **known)["code"] == "webhook_not_found"

    await asyncio.to_thread(run)


async def test_a_key_with_another_body_is_refused(node):
    def run():
        made = node.asks("make_button", 201, body=BODY, once="one-button")
        assert node.asks("make_button", 201, body=BODY, once="one-button")["id"] == made["id"]
        told = node.asks("make_button", 422, body=BODY | {"label": "other"}, once="one-button")
        assert told["code"] == "idempotency_key_reused"
        node.asks("delete_button", 204, button_id=made["id"])

    await asyncio.to_thread(run)


async def test_a_payment_is_found_by_what_its_start_answers(node):
    def run():
        made = node.asks("start_top_up", 201, body={"amount": "25.00"}, once="wish")
        assert node.asks("start_top_up", 201, body={"amount": "25.00"}, once="wish") == made
        found = node.asks("show_top_up", 200, payment_id=made["id"])
        assert (found["id"], found["state"]) == (made["id"], made["state"])
        assert made["id"] in [each["id"] for each in node.asks("list_payments", 200)["payments"]]

    await asyncio.to_thread(run)


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_what_is_not_there_is_a_problem_too(node, accept):
    async with httpx.AsyncClient(base_url=node.url, headers={"accept": accept}) as client:
        missing, other = await client.get("/v1/nothing"), await client.patch("/v1/calls/c1")
    for reply, code in ((missing, "not_found"), (other, "method_not_allowed")):
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["code"] == code
    assert other.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.thorough
@pytest.mark.parametrize("seed", one_in(8, range(1, 9)))
async def test_things_live_and_end_as_documented(node, seed):
    """The seed takes the same steps on any node: what fails does so again."""
    answers = await asyncio.to_thread(Walk(WALKED, node, excluded, seed).take, 150)
    done = {name for name, status in answers if status < 300}
    assert {"make_button", "add_webhook"} <= done
    assert done & DELETES.keys()
