"""`/v1/ledger`: the statement of the key's own account, in pages."""

from datetime import UTC, datetime

import pytest

from billing.statement import StatementLine
from gateway.http.bearer import key_hash
from gateway.http.body import PAGE_MAX
from gateway.payments.ledger_api import LedgerApi
from tests.gateway.http.test_bearer import Account, Accounts, authenticator

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = "ck_alice"


def line(n):
    return StatementLine(
        reference=f"credit:{n}",
        at=START,
        kind="call-refund",
        reason="Too short.",
        micros=-1_250_000,
        balance_micros=n * 1_000_000,
        currency="USD",
        call_id="c1",
    )


class Statements:
    """`billing.statement.StatementStore` in memory."""

    def __init__(self):
        self.lines = {"alice": [line(n) for n in range(5, 0, -1)], "bob": [line(9)]}
        self.limits = []

    async def page(self, account_id, *, limit, before=None):
        self.limits.append(limit)
        lines = self.lines[account_id]
        references = [line.reference for line in lines]
        start = 0 if before is None else references.index(before) + 1
        return lines[start : start + limit]


@pytest.fixture
def statements():
    return Statements()


@pytest.fixture
def client(client_of, statements):
    accounts = Accounts()
    accounts.by_hash[key_hash(KEY)] = Account("alice")
    auth = authenticator(accounts)
    return client_of(LedgerApi(auth, statements).routes(), authorization=f"Bearer {KEY}")


async def test_a_line_is_shown_with_its_amount_and_what_was_left(client):
    reply = await client.get("/v1/ledger?limit=1")
    assert reply.status_code == 200
    assert reply.json() == {
        "lines": [
            {
                "reference": "credit:5",
                "at": "2026-11-24T12:00:00Z",
                "kind": "call-refund",
                "reason": "Too short.",
                "amount": {"micros": -1_250_000, "currency": "USD", "text": "-$1.25"},
                "balance": {"micros": 5_000_000, "currency": "USD", "text": "$5.00"},
                "call_id": "c1",
            }
        ],
        "next": "credit:5",
    }


async def test_pages_follow_one_another_to_the_end(client):
    reply = (await client.get("/v1/ledger?limit=2")).json()
    found = reply["lines"]
    while reply["next"] is not None:
        reply = (await client.get(f"/v1/ledger?limit=2&before={reply['next']}")).json()
        found += reply["lines"]
    assert [line["reference"] for line in found] == [f"credit:{n}" for n in range(5, 0, -1)]


@pytest.mark.parametrize("before", ["", "x", "-1", "carried-forward", "credit:", "credit:a\0b"])
async def test_a_page_before_what_is_no_line_is_refused(client, statements, before):
    reply = await client.get("/v1/ledger", params={"before": before})
    assert (reply.status_code, reply.json()["field"]) == (400, "before")
    assert statements.limits == []


async def test_a_page_that_ends_with_the_last_line_has_no_next(client):
    assert (await client.get("/v1/ledger?limit=5")).json()["next"] is None
    assert (await client.get("/v1/ledger")).json()["next"] is None


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1e3", str(PAGE_MAX + 1), "9" * 30])
async def test_a_limit_that_is_none_is_refused(client, statements, limit):
    reply = await client.get("/v1/ledger", params={"limit": limit})
    assert (reply.status_code, reply.json()["field"]) == (400, "limit")
    assert statements.limits == []


async def test_a_stranger_sees_nothing(client_of, client, statements):
    reply = await client.get("/v1/ledger", headers={"authorization": "Bearer ck_nobody"})
    assert reply.status_code == 401
    assert statements.limits == []
