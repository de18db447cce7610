"""`/v1/admin/nodes` and `/v1/admin/live-calls`: for operators' keys, from their networks only."""

import httpx
import pytest

from gateway.administration.fleet_api import FleetApi
from gateway.fleet.control import FoundCalls, NodeStoppingError
from gateway.fleet.exchange import NodeSilentError
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.http.call_finder import CallFinder
from gateway.operators import Order
from gateway.scopes import Scope
from tests.gateway.cli.test_fleet_commands import live
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

KEY, OTHER = "ck_operators", "ck_payments"
NODES, CALLS = "/v1/admin/nodes", "/v1/admin/live-calls"
BECAUSE = {"reason": "abuse"}


class Control:
    """`FleetControl` of one call on node n1, that notes what it is asked."""

    def __init__(self):
        self.roster = self
        self.held, self.silent = [live("c1")], []
        self.done = []
        self.is_stopping = False

    def nodes(self):
        return [facts_of("n1", calls=1)]

    async def calls(self, *, account_id=None, call_id=None):
        found = [
            call
            for call in self.held
            if account_id in {None, call.opened.account_id}
            and call_id in {None, call.opened.call_id}
        ]
        return FoundCalls(found, 0, self.silent)

    async def end(self, call):
        if self.silent:
            raise NodeSilentError
        self.done.append(("end", call.opened.call_id))

    def require(self, node):
        if node != "n1":
            raise LookupError

    async def set_log_level(self, node, level, minutes):
        self.require(node)
        if self.silent:
            raise NodeSilentError
        self.done.append((level.value, minutes))

    async def take_calls(self, node, *, takes):
        if node != "n1":
            raise LookupError
        if self.silent:
            raise NodeSilentError
        if self.is_stopping:
            raise NodeStoppingError
        self.done.append(("takes", takes))


class Api:
    def __init__(self, clock_ns, networks=()):
        self.control, accounts = Control(), Accounts()
        self.noted, self.over = [], set()
        for key, scope in ((KEY, Scope.ADMIN), (OTHER, Scope.PAYMENTS)):
            account = Account("operators", scopes=frozenset({scope}))
            accounts.by_hash[key_hash(key)] = account
        routing = AdminRoutes(authenticator(accounts, clock_ns), networks)
        routes = FleetApi(routing, self.control, CallFinder(self.control, self), self).routes()
        transport = httpx.ASGITransport(create_app(routes), client=("192.0.2.1", 9))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def is_over(self, call_id, account_id):
        return (call_id, account_id) in self.over

    async def note_ended_call(self, account_id, call_id, order):
        self.noted.append((account_id, call_id, order))

    async def note_log_level(self, node, level, order):
        self.noted.append((node, level, order))

    async def ask(self, method, path, key=KEY, **options):
        headers = {"authorization": f"Bearer {key}"}
        reply = await self.client.request(method, path, headers=headers, **options)
        is_problem = reply.headers.get("content-type", "").startswith("application/problem")
        return reply.status_code, reply.json()[
            "code"
        ] if is_problem else reply.content and reply.json()


@pytest.fixture
def api(stage):
    return Api(stage.clock_ns)


async def test_nodes_are_listed(api):
    status, body = await api.ask("GET", NODES)
    assert (status, len(body["nodes"])) == (200, 1)
    assert {**body["nodes"][0], "node": "n1", "calls": 1} == body["nodes"][0]


async def test_a_node_is_drained_and_resumed(api):
    for name, takes in (("drain", False), ("resume", True)):
        assert await api.ask("POST", f"{NODES}/n1/{name}") == (204, b"")
        assert api.control.done[-1] == ("takes", takes)
        assert await api.ask("POST", f"{NODES}/n9/{name}") == (404, "node_not_found")
        assert await api.ask("POST", f"{NODES}/%00/{name}") == (404, "node_not_found")
    api.control.is_stopping = True
    assert await api.ask("POST", f"{NODES}/n1/resume") == (409, "node_stopping")
    api.control.silent = ["n1"]
    assert await api.ask("POST", f"{NODES}/n1/drain") == (503, "node_silent")


async def test_a_node_logs_more_for_a_reason_that_is_kept(api):
    path, why = f"{NODES}/n1/log-level", {"reason": "calls drop"}
    assert await api.ask("POST", path, json={"level": "debug", **why}) == (204, b"")
    assert await api.ask("POST", path, json={"level": "setting", "minutes": 5, **why}) == (204, b"")
    assert api.control.done == [("debug", 15), ("setting", 5)]
    order = Order("key k1", "calls drop")
    noted = [("n1", "debug for 15 minutes", order), ("n1", "setting", order)]
    assert api.noted == noted
    for body in (
        {},
        why,
        {"level": "debug"},
        {"level": "debug", "reason": ""},
        {"level": "trace", **why},
        *({"level": "debug", "minutes": minutes, **why} for minutes in (0, 1441, "15", 1.5)),
        {"level": "debug", "for": 5, **why},
    ):
        assert (await api.ask("POST", path, json=body))[0] == 400, body
    for unknown in ("n9", "%00"):
        asked = await api.ask("POST", f"{NODES}/{unknown}/log-level", json={"level": "info", **why})
        assert asked == (404, "node_not_found")
    assert (api.noted, len(api.control.done)) == (noted, 2)
    api.control.silent = ["n1"]
    asked = await api.ask("POST", path, json={"level": "debug", **why})
    # Written before it was tried.
    assert (asked, len(api.noted)) == ((503, "node_silent"), 3)


async def test_live_calls_are_listed_with_their_accounts(api):
    status, body = await api.ask("GET", CALLS)
    assert (status, body["more"], body["silent_nodes"]) == (200, 0, [])
    (found,) = body["calls"]
    assert (found["account_id"], found["call"]["id"], found["call"]["node"]) == ("ada", "c1", "n1")
    assert found["call"]["cost"]["micros"] == 70_000
    assert (await api.ask("GET", f"{CALLS}?account=ada"))[1]["calls"]
    assert (await api.ask("GET", f"{CALLS}?account=bob"))[1]["calls"] == []


async def test_a_call_is_ended_for_a_reason_that_is_kept(api):
    assert await api.ask("POST", f"{CALLS}/c1/end", json=BECAUSE) == (202, b"")
    assert api.noted == [("ada", "c1", Order("key k1", "abuse"))]
    assert api.control.done == [("end", "c1")]
    assert await api.ask("POST", f"{CALLS}/c9/end", json=BECAUSE) == (404, "call_not_found")
    api.over = {("c9", None)}
    assert await api.ask("POST", f"{CALLS}/c9/end", json=BECAUSE) == (409, "call_ended")
    assert await api.ask("POST", f"{CALLS}/c9%00/end", json=BECAUSE) == (404, "call_not_found")
    for body in ({}, {"reason": ""}, {"reason": "x" * 1000}, {"reason": "a", "x": 1}):
        assert (await api.ask("POST", f"{CALLS}/c1/end", json=body))[0] == 400
    assert len(api.noted) == len(api.control.done) == 1


async def test_a_node_that_is_silent_is_said_to_be(api):
    api.control.silent = ["n1"]
    assert (await api.ask("GET", CALLS))[1]["silent_nodes"] == ["n1"]
    assert await api.ask("POST", f"{CALLS}/c1/end", json=BECAUSE) == (503, "node_silent")
    # Written before it was tried.
    assert len(api.noted) == 1
    api.control.held = []
    assert await api.ask("POST", f"{CALLS}/c1/end", json=BECAUSE) == (503, "node_silent")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", NODES),
        ("POST", f"{NODES}/n1/drain"),
        ("POST", f"{NODES}/n1/resume"),
        ("POST", f"{NODES}/n1/log-level"),
        ("GET", CALLS),
        ("POST", f"{CALLS}/c1/end"),
    ],
)
async def test_another_key_and_another_network_reach_none_of_it(stage, api, method, path):
    assert (await api.ask(method, path, key=OTHER, json=BECAUSE))[0] == 403
    assert (await api.ask(method, path, key="ck_none", json=BECAUSE))[0] == 401
    elsewhere = Api(stage.clock_ns, ["198.51.100.0/24"])
    assert await elsewhere.ask(method, path, json=BECAUSE) == (403, "network_refused")
    assert api.control.done == elsewhere.control.done == []
