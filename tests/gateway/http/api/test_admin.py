"""`/v1/admin`: requests become orders of an operator, and what is wrong with them is said."""

from datetime import timedelta

import httpx
import pytest

from accounts.audit_log import Act, Actor
from gateway.administration.api import AdminApi
from gateway.administration.ports import FoundAccount, Line, Refusals
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.limits.fraud import Allowance
from gateway.operators import NODES, Order
from gateway.scopes import Scope
from tests.gateway.administration.test_acts import NOW, World, state_of
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

KEY = "ck_operators"
BY_KEY = Order("key k1", "calls at night")
REASON = {"reason": "calls at night"}


class Book(World):
    """The acts of operators, and a book with one person."""

    async def find(self, text, *, limit, after=""):
        self.done.append(("find", text, limit, after))
        found = [FoundAccount(name, "", False, False, False, False, NOW) for name in "abc"]
        return [each for each in found if each.id > after][:limit]

    async def state(self, account_id):
        if account_id == "nobody":
            raise LookupError
        refusals = (Refusals(NOW, "countries", 3),)
        state = state_of(account_id, opened=("DE",), lifted={Allowance.NEW_CARD: NOW})
        return type(state)(
            **{each: getattr(state, each) for each in state.__slots__} | {"refusals": refusals}
        )

    async def lines(self, account_id, *, limit, before=None):
        if account_id in ("nobody", "quiet", NODES):
            return []
        numbers = [each for each in (3, 2, 1) if before is None or each < before]
        return [Line(n, NOW, Act.FROZEN, Actor.OPERATOR, "kim", "why") for n in numbers][:limit]

    async def lock(self, account_id, order):
        if account_id == "nobody":
            raise LookupError
        self.done.append(("lock", account_id, order))


class Api:
    def __init__(self, clock_ns, networks=(), client=("192.0.2.1", 9)):
        self.book = Book()
        accounts = Accounts()
        scopes = frozenset({Scope.ADMIN})
        accounts.by_hash[key_hash(KEY)] = Account("operators", scopes=scopes)
        api = AdminApi(AdminRoutes(authenticator(accounts, clock_ns), networks), self.book.admin)
        transport = httpx.ASGITransport(create_app(api.routes()), client=client)
        self.client = httpx.AsyncClient(
            transport=transport,
            base_url="http://test",
            headers={"authorization": f"Bearer {KEY}"},
        )

    async def post(self, path, **body):
        return await self.client.post(f"/v1/admin/{path}", json=body)

    async def get(self, path):
        return await self.client.get(f"/v1/admin/{path}")


@pytest.fixture
def api(stage):
    return Api(stage.clock_ns)


async def test_accounts_are_searched_by_a_body_and_paged(api):
    reply = (await api.post("search", text="ex", limit=2)).json()
    assert ([each["id"] for each in reply["accounts"]], reply["next"]) == (["a", "b"], "b")
    reply = (await api.post("search", text="ex", limit=2, after="b")).json()
    assert ([each["id"] for each in reply["accounts"]], reply["next"]) == (["c"], None)
    for body in ({"text": "e"}, {"text": "ex", "limit": 51}, {"text": "ex", "more": 1}, {}):
        assert (await api.post("search", **body)).status_code == 400


async def test_a_state_is_shown_with_money_as_everywhere(api):
    shown = (await api.get("accounts/ada")).json()
    assert shown["balance"] == {"micros": 5, "currency": "USD", "text": "$0.0000"}
    assert (shown["countries"], shown["sessions"]) == (["DE"], 0)
    assert shown["lifted"] == {"new-card": "2026-11-27T12:00:00Z"}
    assert shown["refusals"][0]["count"] == 3
    missing = await api.get("accounts/nobody")
    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")
    assert (await api.get("accounts/a%00")).status_code == 404


async def test_the_log_is_paged_by_numbers(api):
    reply = (await api.get("accounts/ada/log?limit=2")).json()
    assert ([each["number"] for each in reply["lines"]], reply["next"]) == ([3, 2], "2")
    reply = (await api.get("accounts/ada/log?limit=2&before=2")).json()
    assert ([each["number"] for each in reply["lines"]], reply["next"]) == ([1], None)
    assert (await api.get("accounts/ada/log?before=two")).status_code == 400
    for quiet in ("quiet", NODES):
        empty = await api.get(f"accounts/{quiet}/log")
        assert (empty.status_code, empty.json()) == (200, {"lines": [], "next": None})
    missing = await api.get("accounts/nobody/log")
    assert (missing.status_code, missing.json()["code"]) == (404, "account_not_found")


@pytest.mark.parametrize(
    ("name", "done"),
    [
        ("freeze", ("book", "ada", True, BY_KEY)),
        ("unfreeze", ("book", "ada", False, BY_KEY)),
        ("lock", ("lock", "ada", BY_KEY)),
        ("unlock", ("unlock", "ada", BY_KEY)),
        ("sign-out", ("sign_out", "ada", BY_KEY)),
        ("reset-second-factor", ("reset_second_factor", "ada", BY_KEY)),
    ],
)
async def test_an_act_is_an_order_of_the_key_with_a_reason(api, name, done):
    for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "r" * 301}):
        assert (await api.post(f"accounts/ada/{name}", **body)).status_code == 400
    assert api.book.done == []
    assert (await api.post(f"accounts/ada/{name}", **REASON)).status_code == 204
    assert api.book.done[0] == done


async def test_what_nobody_signs_in_to_is_not_locked(api):
    assert (await api.post("accounts/nobody/lock", **REASON)).status_code == 404


async def test_credit_is_an_amount_with_a_reference(api):
    reply = await api.post("accounts/ada/credit", amount="2.50", reference="r1", **REASON)
    assert reply.json() == {"booked": True}
    assert api.book.done[0] == ("credit", "ada", 2_500_000, "r1")
    for amount in ("much", "0", "", "1e9"):
        reply = await api.post("accounts/ada/credit", amount=amount, reference="r1", **REASON)
        assert reply.status_code == 400
    reply = await api.post("accounts/ada/credit", amount="-1", reference="r2", **REASON)
    assert (reply.status_code, reply.json()["code"]) == (409, "balance_too_low")


async def test_a_rule_is_lifted_until_a_moment_with_a_zone(api):
    until = NOW + timedelta(days=1)
    said = {"rule": "new-card", "until": until.isoformat(), **REASON}
    assert (await api.post("accounts/ada/allow", **said)).status_code == 204
    assert api.book.done[0] == ("lift", "ada", Allowance.NEW_CARD, until, BY_KEY)
    for wrong in (
        {"until": "2026-12-01T00:00:00"},
        {"until": "2020-01-01T00:00:00Z"},
        {"rule": "x"},
    ):
        assert (await api.post("accounts/ada/allow", **(said | wrong))).status_code == 400
    api.book.done.clear()
    reply = await api.post("accounts/ada/disallow", rule="new-card", **REASON)
    assert reply.status_code == 204
    assert api.book.done[0] == ("restore", "ada", Allowance.NEW_CARD, BY_KEY)


@pytest.mark.parametrize(
    ("address", "status"),
    [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("192.0.2.1", 403), ("", 403)],
)
async def test_an_operators_key_is_good_in_its_networks_only(stage, address, status):
    api = Api(stage.clock_ns, ("10.0.0.0/8", "2001:db8::/32"), (address, 9))
    assert (await api.get("accounts/ada")).status_code == status
