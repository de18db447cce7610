"""`/v1/admin/fraud` and `/v1/admin/credit`: who may ask, how far back, and what is answered."""

from datetime import timedelta

import pytest

from database.errors import StoreUnavailableError
from gateway.http.admin_routes import AdminRoutes
from gateway.http.bearer import key_hash
from gateway.scopes import Scope
from gateway.watching.credit_left import READ_MAX
from gateway.watching.fraud_report import ACCOUNTS_MAX, FraudReport, RefusedAccount
from gateway.watching.report_api import OperatorReportsApi
from gateway.watching.report_store import CutOffCalls
from tests.gateway.http.test_bearer import NOW, Account, Accounts, authenticator
from tests.gateway.watching.played import row_of

CREDIT, FRAUD = "/v1/admin/credit", "/v1/admin/fraud"
ALICE = RefusedAccount(account_id="alice", count=1, rules={"velocity": 1}, last_hour=NOW)


class Book:
    """`operator_reports.Reports` in memory."""

    def __init__(self):
        self.asked, self.read = [], []
        self.is_away = False

    async def fraud(self, hours):
        if self.is_away:
            raise StoreUnavailableError("the book is away")
        self.asked.append(hours)
        since = NOW - timedelta(hours=hours)
        listed = {"rules": [], "accounts": [ALICE], "frozen": []}
        return FraudReport(at=NOW, since=since, accounts_total=1, frozen_total=0, **listed)

    async def balances(self, account_ids):
        self.read = account_ids
        return {each: ("EUR", 30_000) for each in account_ids if each != "erased"}

    async def cut_off(self, hours):
        self.asked.append(hours)
        return [CutOffCalls("bob", 2, NOW)], 1


class Api:
    def __init__(self, client_of):
        self.book, self.rows, accounts = Book(), [], Accounts()
        for scope in (Scope.ADMIN, Scope.RECORDS):
            accounts.by_hash[key_hash(f"ck_{scope}")] = Account(scopes=frozenset({scope}))
        routing = AdminRoutes(authenticator(accounts), ())
        api = OperatorReportsApi(routing, self.book, lambda: self.rows, lambda: NOW)
        self._client = client_of(api.routes())

    async def ask(self, path, scope=Scope.ADMIN, **query):
        headers = {"authorization": f"Bearer ck_{scope}"}
        return await self._client.get(path, headers=headers, params=query)


@pytest.fixture
def api(client_of):
    return Api(client_of)


def talking(number, account_id, micros):
    return row_of(f"call_{number}", account_id, state="answered", per_minute_micros=micros)


@pytest.mark.parametrize("path", [CREDIT, FRAUD])
async def test_a_report_looks_a_day_back_or_less_and_no_further(api, path):
    assert (await api.ask(path)).status_code == 200
    assert (await api.ask(path, hours="1")).status_code == 200
    assert api.book.asked == [24, 1]
    for hours in ("0", "25", "-1", "+1", "1.5", "", "١", "9" * 5000):
        reply = await api.ask(path, hours=hours)
        assert (reply.status_code, reply.json()["code"]) == (400, "bad_request"), hours
    assert (await api.ask(path, since="1")).status_code == 400
    assert api.book.asked == [24, 1]


@pytest.mark.parametrize("path", [CREDIT, FRAUD])
async def test_only_keys_of_operators_see_a_report(api, path):
    assert (await api.ask(path, Scope.RECORDS)).status_code == 403


async def test_what_was_refused_is_answered_as_the_book_has_it(api):
    report = (await api.ask(FRAUD)).json()
    alice = {"account_id": "alice", "count": 1, "rules": {"velocity": 1}}
    assert report["accounts"] == [alice | {"last_hour": "2026-11-24T12:00:00Z"}]
    api.book.is_away = True
    assert (await api.ask(FRAUD)).status_code == 503


async def test_credit_is_answered_with_what_live_calls_spend(api):
    api.rows = [talking(1, "alice", 6000), talking(2, "bob", 9000), talking(3, "erased", 1)]
    report = (await api.ask(CREDIT)).json()
    bob, alice = report["accounts"]
    assert (bob["account_id"], bob["calls"], bob["lasts_s"]) == ("bob", 1, 200)
    assert bob["per_minute"] == {"micros": 9000, "currency": "EUR", "text": "€0.0090"}
    assert (alice["account_id"], alice["lasts_s"], alice["balance"]["micros"]) == (
        "alice",
        300,
        30_000,
    )
    assert (report["accounts_total"], report["cut_off_total"]) == (3, 1)
    cut_off = {"account_id": "bob", "calls": 2, "last_at": "2026-11-24T12:00:00Z"}
    assert (report["at"], report["cut_off"]) == ("2026-11-24T12:00:00Z", [cut_off])


async def test_however_many_call_a_bounded_number_is_read_and_listed(api):
    api.rows = [talking(n, f"a{n:05}", 1 + n) for n in range(READ_MAX + 1)]
    report = (await api.ask(CREDIT)).json()
    # The one that spends least is not read.
    assert (len(api.book.read), "a00000" in api.book.read) == (READ_MAX, False)
    assert (len(report["accounts"]), report["accounts_total"]) == (ACCOUNTS_MAX, READ_MAX + 1)
