"""`/v1/admin/data-requests`: the register as an operator's program reads and fills it."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from accounts.audit_log import Actor
from accounts.data_request import DataRequest, Right
from gateway.administration.data_requests_api import DataRequestsApi
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.scopes import Scope
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DUE = NOW - timedelta(days=1)
OPEN = DataRequest(2, "ada", Right.ACCESS, NOW - timedelta(days=32), DUE)
DONE = DataRequest(1, "ben", Right.EXPORT, DUE, NOW, NOW, Actor.SERVICE)
KEY, OTHER = "ck_operators", "ck_payments"
OPERATOR = "key k1"
PATH = "/v1/admin/data-requests"


class Register:
    """`gateway.administration.ports.Register` that notes what it is asked."""

    def __init__(self):
        self.asked, self.noted, self.closed = [], [], []

    async def page(self, **asked):
        self.asked.append(asked)
        return [OPEN, DONE][: asked["limit"]]

    async def ask(self, account_id, right, operator):
        assert operator == OPERATOR
        if account_id == "nobody":
            raise LookupError
        self.noted.append((account_id, right))

    async def close(self, number, note, operator):
        assert operator == OPERATOR
        self.closed.append((number, note))
        return number == OPEN.id


class Api:
    def __init__(self, clock_ns, networks=()):
        self.register, accounts = Register(), Accounts()
        for key, scope in ((KEY, Scope.ADMIN), (OTHER, Scope.PAYMENTS)):
            account = Account("operators", scopes=frozenset({scope}))
            accounts.by_hash[key_hash(key)] = account
        routing = AdminRoutes(authenticator(accounts, clock_ns), networks)
        routes = DataRequestsApi(routing, self.register, lambda: NOW).routes()
        transport = httpx.ASGITransport(create_app(routes), client=("192.0.2.1", 9))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def ask(self, method, path=PATH, key=KEY, **options):
        headers = {"authorization": f"Bearer {key}"}
        return await self.client.request(method, path, headers=headers, **options)


@pytest.fixture
def api(stage):
    return Api(stage.clock_ns)


async def test_requests_are_listed_with_their_dates(api):
    reply = await api.ask("GET")
    assert reply.status_code == 200
    assert reply.json() == {
        "requests": [
            {
                "number": 2,
                "account_id": "ada",
                "right": "access",
                "asked_at": "2026-10-26T12:00:00Z",
                "due_at": "2026-11-26T12:00:00Z",
                "late": True,
                "done_at": None,
                "done_by": None,
                "note": "",
            },
            {
                "number": 1,
                "account_id": "ben",
                "right": "export",
                "asked_at": "2026-11-26T12:00:00Z",
                "due_at": "2026-11-27T12:00:00Z",
                "late": False,
                "done_at": "2026-11-27T12:00:00Z",
                "done_by": "service",
                "note": "",
            },
        ],
        "next": None,
    }
    assert api.register.asked == [{"account_id": "", "is_open": False, "limit": 51, "before": None}]


async def test_a_page_says_what_follows_it(api):
    reply = await api.ask("GET", f"{PATH}?state=open&account=ada&limit=1&before=7")
    assert ([each["number"] for each in reply.json()["requests"]], reply.json()["next"]) == (
        [2],
        "2",
    )
    assert api.register.asked == [{"account_id": "ada", "is_open": True, "limit": 2, "before": 7}]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=x", "state"),
        ("limit=0", "limit"),
        ("before=x", "before"),
        ("before=" + "9" * 19, "before"),
        ("account=%00", "account"),
    ],
)
async def test_what_cannot_be_asked_for_is_told(api, query, field):
    reply = await api.ask("GET", f"{PATH}?{query}")
    assert (reply.status_code, reply.json()["field"]) == (400, field)
    assert not api.register.asked


async def test_a_request_by_letter_is_noted_and_answered(api):
    path = "/v1/admin/accounts/{}/data-requests"
    reply = await api.ask("POST", path.format("ada"), json={"right": "correction"})
    assert (reply.status_code, api.register.noted) == (204, [("ada", Right.CORRECTION)])
    reply = await api.ask("POST", path.format("nobody"), json={"right": "access"})
    assert (reply.status_code, reply.json()["code"]) == (404, "account_not_found")
    assert (await api.ask("POST", path.format("ada"), json={"right": "x"})).status_code == 400
    assert (await api.ask("POST", f"{PATH}/2/done", json={"note": "sent"})).status_code == 204
    for number in ("1", "x", "9" * 19, "-2"):
        reply = await api.ask("POST", f"{PATH}/{number}/done", json={})
        assert (reply.status_code, reply.json()["code"]) == (404, "data_request_not_open")
    assert api.register.closed == [(2, "sent"), (1, "")]
    for note in ("x" * 201, "a\0b", "a\nb"):
        reply = await api.ask("POST", f"{PATH}/2/done", json={"note": note})
        assert reply.status_code == 400
    assert len(api.register.closed) == 2


async def test_only_operators_keys_reach_it_and_only_from_their_networks(api, stage):
    assert (await api.ask("GET", key=OTHER)).status_code == 403
    elsewhere = Api(stage.clock_ns, networks=("198.51.100.0/24",))
    reply = await elsewhere.ask("GET")
    assert (reply.status_code, reply.json()["code"]) == (403, "network_refused")
