"""`/v1/admin/alarms`: what stands, and what operators say of it."""

from datetime import UTC, datetime

import httpx
import pytest

from database.errors import StoreUnavailableError
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.operators import REASON_MAX
from gateway.scopes import Scope
from gateway.watching.alarm_desk import AlarmOrder
from gateway.watching.alarms import BY_NAME, Alarm
from gateway.watching.alarms_api import NAME_MAX, SILENCE_MINUTES_MAX, AlarmsApi
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

KEY, OTHER = "ck_operators", "ck_payments"
ALARMS = "/v1/admin/alarms"
NAME = "node_lost:n2"
NOW_S = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
ACKNOWLEDGED = {"name": NAME, "reason": "at it"}
SILENCED = {"name": NAME, "minutes": 60, "reason": "repair"}
ALARM = Alarm(
    rule="node_lost", subject="n2", title="Node n2 is gone.", value=1, unit="", since_s=NOW_S - 60
)


class Store:
    """`api.alarms.Orders` in memory."""

    def __init__(self):
        self.alarms, self.orders = [ALARM], {}
        self.is_full = self.is_away = False

    def _reach(self):
        if self.is_away:
            raise StoreUnavailableError("alarms cannot be reached")

    async def read(self):
        self._reach()
        return self.alarms, dict(self.orders)

    async def order(self, order):
        self._reach()
        if self.is_full:
            raise LookupError(order.name)
        self.orders[order.name] = order

    async def forget(self, names):
        self._reach()
        for name in names:
            self.orders.pop(name, None)


class Api:
    def __init__(self, clock_ns, networks=()):
        self.store, accounts = Store(), Accounts()
        for key, scope in ((KEY, Scope.ADMIN), (OTHER, Scope.PAYMENTS)):
            account = Account("operators", scopes=frozenset({scope}))
            accounts.by_hash[key_hash(key)] = account
        routing = AdminRoutes(authenticator(accounts, clock_ns), networks)
        routes = AlarmsApi(routing, self.store, lambda: NOW_S).routes()
        transport = httpx.ASGITransport(create_app(routes), client=("192.0.2.1", 9))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def ask(self, method, path, key=KEY, **options):
        headers = {"authorization": f"Bearer {key}"}
        reply = await self.client.request(method, path, headers=headers, **options)
        body = reply.json() if reply.content else None
        return reply.status_code, body["code"] if reply.status_code >= 400 else body

    async def shown(self):
        status, body = await self.ask("GET", ALARMS)
        assert status == 200
        return body


@pytest.fixture
def api(stage):
    return Api(stage.clock_ns)


async def test_what_stands_is_listed_with_what_to_do(api):
    assert await api.shown() == {
        "alarms": [
            {
                "name": NAME,
                "rule": "node_lost",
                "subject": "n2",
                "value": 1.0,
                "unit": "",
                "title": "Node n2 is gone.",
                "action": BY_NAME["node_lost"].action,
                "since": "2026-11-28T11:59:00Z",
                "state": "raised",
                "by": "",
                "reason": "",
                "until": None,
            }
        ],
        "silenced": [],
    }


@pytest.mark.parametrize("alarms", [None, []])
async def test_where_nothing_stands_nothing_is_listed_and_nothing_acknowledged(api, alarms):
    api.store.alarms = alarms
    assert await api.shown() == {"alarms": [], "silenced": []}
    found = await api.ask("POST", f"{ALARMS}/acknowledge", json=ACKNOWLEDGED)
    assert found == (404, "alarm_not_found")
    assert api.store.orders == {}


async def test_an_alarm_is_acknowledged_by_name_for_as_long_as_it_lasts(api):
    assert await api.ask("POST", f"{ALARMS}/acknowledge", json=ACKNOWLEDGED) == (204, None)
    assert api.store.orders == {
        NAME: AlarmOrder(
            name=NAME,
            kind="acknowledged",
            until_s=None,
            by="key k1",
            reason="at it",
            at_s=NOW_S,
        )
    }
    (alarm,) = (await api.shown())["alarms"]
    assert (alarm["state"], alarm["by"], alarm["reason"]) == ("acknowledged", "key k1", "at it")
    assert (await api.shown())["silenced"] == []


async def test_an_alarm_is_silenced_for_a_while_whether_it_stands_or_not(api):
    for name in (NAME, "spend:USD", "low_mos:"):
        body = {**SILENCED, "name": name}
        assert await api.ask("POST", f"{ALARMS}/silence", json=body) == (204, None)
    shown = await api.shown()
    assert shown["alarms"][0]["state"] == "silenced"
    assert shown["silenced"] == [
        {"name": name, "by": "key k1", "reason": "repair", "until": "2026-11-28T13:00:00Z"}
        for name in (NAME, "spend:USD", "low_mos:")
    ]


async def test_a_silence_that_has_run_out_is_not_listed(api):
    await api.ask("POST", f"{ALARMS}/silence", json=SILENCED)
    (order,) = api.store.orders.values()
    api.store.orders[NAME] = AlarmOrder(
        name=NAME, kind="silenced", until_s=NOW_S, by=order.by, reason="", at_s=order.at_s
    )
    shown = await api.shown()
    assert (shown["silenced"], shown["alarms"][0]["state"]) == ([], "raised")


async def test_what_was_said_is_taken_back(api):
    await api.ask("POST", f"{ALARMS}/silence", json=SILENCED)
    for _ in range(2):
        assert await api.ask("POST", f"{ALARMS}/unsilence", json={"name": NAME}) == (204, None)
        assert api.store.orders == {}


async def test_no_more_is_silenced_than_may_be(api):
    api.store.is_full = True
    found = await api.ask("POST", f"{ALARMS}/silence", json=SILENCED)
    assert found == (409, "too_many_silences")


@pytest.mark.parametrize("name", ["no_such_rule:n2", ":::", "node_lost\n:n2", "NODE_LOST:n2"])
async def test_what_is_no_rule_is_neither_silenced_nor_acknowledged(api, name):
    for path, body in (("silence", SILENCED), ("acknowledge", ACKNOWLEDGED)):
        found = await api.ask("POST", f"{ALARMS}/{path}", json={**body, "name": name})
        assert found == (404, "alarm_not_found")
    assert api.store.orders == {}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        *[("silence", {"minutes": each}) for each in (0, -1, SILENCE_MINUTES_MAX + 1, 1.5, "60")],
        *[("silence", {"minutes": each}) for each in (None, True, 10**400)],
        *[("silence", {"reason": each}) for each in ("", " ", "a\nb", "x" * (REASON_MAX + 1))],
        *[("silence", {"name": each}) for each in ("", "ab", "x" * (NAME_MAX + 1), None, [])],
        *[("acknowledge", {"reason": each}) for each in ("", None, "\x00")],
        *[("unsilence", {"name": each}) for each in ("", 1, "x" * (NAME_MAX + 1))],
        *[(each, {"more": 1}) for each in ("silence", "acknowledge", "unsilence")],
    ],
    ids=str,
)
async def test_what_is_no_order_is_refused_and_nothing_kept(api, path, change):
    usual = SILENCED if path == "silence" else ACKNOWLEDGED if path == "acknowledge" else {}
    body = {"name": NAME, **dict(usual), **dict(change)}
    status, _ = await api.ask("POST", f"{ALARMS}/{path}", json=body)
    assert status == 400
    assert api.store.orders == {}


@pytest.mark.parametrize("text", [b"", b"[", b"[]", b"\xff", b"[" * 100_000])
async def test_what_is_no_body_is_refused(api, text):
    for path in ("silence", "acknowledge", "unsilence"):
        assert (await api.ask("POST", f"{ALARMS}/{path}", content=text))[0] in (400, 413)


ROUTES = [
    ("GET", ALARMS, None),
    ("POST", f"{ALARMS}/acknowledge", ACKNOWLEDGED),
    ("POST", f"{ALARMS}/silence", SILENCED),
    ("POST", f"{ALARMS}/unsilence", {"name": NAME}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_another_key_and_another_network_reach_none_of_it(stage, api, method, path, body):
    assert (await api.ask(method, path, key=OTHER, json=body))[0] == 403
    assert (await api.ask(method, path, key="ck_none", json=body))[0] == 401
    elsewhere = Api(stage.clock_ns, ["198.51.100.0/24"])
    assert await elsewhere.ask(method, path, json=body) == (403, "network_refused")
    assert api.store.orders == elsewhere.store.orders == {}


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_while_the_store_is_away_it_is_said_so(api, method, path, body):
    api.store.is_away = True
    assert (await api.ask(method, path, json=body))[0] == 503
