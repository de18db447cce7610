"""Grants to supervise live calls: who gets one, for which call, and where it is good."""

from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from gateway.call.supervision import Grant, Mode, Rule
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.http.call_finder import CallFinder
from gateway.scopes import Scope
from gateway.supervision.api import (
    OWN_REASON,
    FleetSupervisionApi,
    GrantDesk,
    OwnSupervisionApi,
)
from tests.gateway.calls.test_live import Velocity
from tests.gateway.cli.test_fleet_commands import live
from tests.gateway.http.api.test_fleet import Control
from tests.gateway.http.test_bearer import Account, Accounts, authenticator
from tests.gateway.stage import SETTINGS

KEY, OWN, AUDITOR = "ck_operators", "ck_calls", "ck_auditor"
MINE = "/v1/live-calls/c1/supervision"
PATH, RULE = "/v1/admin/live-calls/c1/supervision", "/v1/admin/accounts/ada/supervision"
BECAUSE = {"reason": "training"}
AT = datetime(2026, 11, 29, tzinfo=UTC)


class Api:
    def __init__(self, clock_ns):
        self.control, accounts = Control(), Accounts()
        self.control.held = [msgspec.structs.replace(live("c1"), answered_at=AT)]
        self.velocity = Velocity()
        self.allowed, self.given, self.orders = Rule(Mode.BARGE), [], []
        self.over = set()
        keys = ((KEY, Scope.ADMIN), (OWN, Scope.CALLS), (AUDITOR, Scope.SUPERVISE))
        for key, scope in keys:
            account = Account(
                "operators", scopes=frozenset({scope}), key_id=key.removeprefix("ck_")
            )
            accounts.by_hash[key_hash(key)] = account
        auth = authenticator(accounts, clock_ns)
        desk = GrantDesk(SETTINGS, CallFinder(self.control, self), self, self, self.velocity)
        routes = [
            *OwnSupervisionApi(auth, desk).routes(),
            *FleetSupervisionApi(AdminRoutes(auth, ()), desk).routes(),
        ]
        transport = httpx.ASGITransport(create_app(routes), client=("192.0.2.1", 9))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def rule(self, _account_id):
        return self.allowed

    async def known_rule(self, account_id):
        if account_id == "nobody":
            raise LookupError
        return self.allowed

    async def is_over(self, call_id, account_id):
        return (call_id, account_id) in self.over

    async def order(self, account_id, rule, order):
        if account_id == "nobody":
            raise LookupError
        self.orders.append((account_id, rule, order.reason))
        return account_id != "person"

    async def issue(self, grant):
        self.given.append(grant)
        return "sg_1"

    async def ask(self, method, path, key=KEY, headers=(), **options):
        headers = {"authorization": f"Bearer {key}", **dict(headers)}
        reply = await self.client.request(method, path, headers=headers, **options)
        body = reply.json()
        return reply.status_code, body.get("code", body)


@pytest.fixture
def api(stage):
    return Api(stage.clock_ns)


async def test_an_operator_gets_a_grant_for_a_reason(api):
    status, body = await api.ask("POST", PATH, json=BECAUSE)
    assert (status, body) == (
        201,
        {
            "token": "sg_1",
            "expires_in_seconds": 60,
            "media_url": "wss://calls.example.com/n/n1/media/browser",
            "call_id": "c1",
            "most": "barge",
            "announced": True,
        },
    )
    (grant,) = api.given
    assert isinstance(grant, Grant)
    assert (grant.call_id, grant.account_id, grant.reason) == ("c1", "ada", "training")
    assert grant.operator
    assert grant.credentials_epoch is None


async def test_a_page_gets_one_that_is_bound_to_it(api):
    page = {"origin": "https://calls.example.com"}
    assert (await api.ask("POST", PATH, headers=page, json=BECAUSE))[0] == 201
    assert api.given[0].origin == page["origin"]


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "a\nb"}, {"reason": 7}])
async def test_without_a_reason_there_is_none(api, body):
    assert await api.ask("POST", PATH, json=body) == (400, "bad_request")
    assert api.given == []


async def test_a_key_that_places_calls_listens_to_none(api):
    for path in (PATH, MINE):
        assert await api.ask("POST", path, key=OWN, json=BECAUSE) == (403, "scope_missing")
    assert api.given == []


async def test_a_key_of_the_account_gets_a_grant_for_its_own_calls(api):
    assert (await api.ask("POST", MINE, key=AUDITOR, json={}))[0] == 404, "it is another's call"
    api.control.held = [msgspec.structs.replace(live("c1", "operators"), answered_at=AT)]
    assert (await api.ask("POST", MINE, key=AUDITOR, json={}))[0] == 201
    (grant,) = api.given
    assert (grant.operator, grant.account_id) == ("", "operators")
    assert (grant.key_id, grant.reason) == ("auditor", OWN_REASON)


@pytest.mark.parametrize("reason", ["\x1b[31m", "\u202e", " \n ", "a\x00b"])
async def test_a_reason_that_cannot_be_kept_is_refused(api, reason):
    api.control.held = [msgspec.structs.replace(live("c1", "operators"), answered_at=AT)]
    body = {"reason": reason}
    assert await api.ask("POST", MINE, key=AUDITOR, json=body) == (400, "bad_request")
    assert api.given == []


async def test_grants_are_few(api):
    api.velocity.refuses = {"supervision_grants_minute": 7}
    assert await api.ask("POST", PATH, json=BECAUSE) == (429, "rate_limited")
    assert [use.subject for use in api.velocity.used] == ["operators"]


async def test_an_account_that_allows_nothing_is_said_to(api):
    api.allowed = Rule()
    assert await api.ask("POST", PATH, json=BECAUSE) == (403, "supervision_refused")


async def test_there_must_be_a_call_in_which_somebody_has_answered(api):
    held = api.control.held[0]
    for changes, expected in (
        ({"answered_at": None}, (409, "call_not_answered")),
        ({"ended_at": AT}, (409, "call_ended")),
    ):
        api.control.held = [msgspec.structs.replace(held, **changes)]
        assert await api.ask("POST", PATH, json=BECAUSE) == expected
    api.control.held = []
    for path, key in ((PATH, KEY), (MINE, AUDITOR)):
        api.over = set()
        assert await api.ask("POST", path, key, json=BECAUSE) == (404, "call_not_found")
        api.over = {("c1", None if key == KEY else "operators")}
        assert await api.ask("POST", path, key, json=BECAUSE) == (409, "call_ended")
        unfit = path.replace("c1", "c1%00")
        assert await api.ask("POST", unfit, key, json=BECAUSE) == (404, "call_not_found")
    api.control.silent = ["n1"]
    assert await api.ask("POST", PATH, json=BECAUSE) == (503, "node_silent")
    assert api.given == []


async def test_the_rule_of_an_account_is_shown_and_set(api):
    shown = {"most": "barge", "announced": True, "silent_reason": ""}
    assert await api.ask("GET", RULE) == (200, shown)
    body = {"most": "listen", "silent_reason": " by contract ", **BECAUSE}
    assert (await api.ask("PUT", RULE, json=body))[0] == 200
    assert api.orders == [("ada", Rule(Mode.LISTEN, "by contract"), "training")]
    off = {"most": "off", "announced": True, "silent_reason": ""}
    assert await api.ask("PUT", RULE, json={"most": "off", **BECAUSE}) == (200, off)
    assert api.orders[-1][1] == Rule()


@pytest.mark.parametrize(
    "changes", [{"most": "spy"}, {"silent_reason": "  "}, {"silent_reason": "a\x00"}, {"more": 1}]
)
async def test_what_is_no_rule_is_refused(api, changes):
    body = {"most": "listen", **BECAUSE, **changes}
    assert await api.ask("PUT", RULE, json=body) == (400, "bad_request")
    assert api.orders == []


async def test_of_a_person_and_of_nobody_no_operator_decides(api):
    body = {"most": "listen", **BECAUSE}
    person = RULE.replace("ada", "person")
    assert await api.ask("PUT", person, json=body) == (403, "holder_decides")
    nobody = RULE.replace("ada", "nobody")
    assert await api.ask("PUT", nobody, json=body) == (404, "account_not_found")
    assert await api.ask("GET", nobody) == (404, "account_not_found")
