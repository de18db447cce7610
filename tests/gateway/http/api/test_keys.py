"""`GET /v1/key`: a key's own description, for whatever key."""

from datetime import UTC, datetime

import pytest

from gateway.http.bearer import key_hash
from gateway.people.api import KeysApi
from gateway.scopes import PAGE, Scope
from tests.gateway.http.test_bearer import Account, Accounts, authenticator


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ({Scope.RECORDS, Scope.CALLS}, ["calls", "records"]),
        (
            PAGE,
            ["calls", "records", "payments", "account", "buttons", "supervise", "webhooks"],
        ),
        ((), []),
    ],
)
async def test_a_key_is_told_what_it_is(client_of, scopes, told):
    accounts = Accounts()
    end = datetime(2090, 1, 1, tzinfo=UTC)
    accounts.by_hash[key_hash("ck_a")] = Account(scopes=frozenset(scopes), key_expires_at=end)
    client = client_of(KeysApi(authenticator(accounts)).routes())
    reply = await client.get("/v1/key", headers={"authorization": "Bearer ck_a"})
    assert reply.json() == {
        "id": "k1",
        "account": "alice",
        "scopes": told,
        "expires_at": "2090-01-01T00:00:00Z",
        "takes_feedback": True,
    }
    assert (await client.get("/v1/key")).status_code == 401
