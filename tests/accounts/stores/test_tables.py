"""Personal data that the database itself refuses, regardless of the writer."""

import pytest
import sqlalchemy as sa

from accounts.stores import tables
from tests.accounts.stores.conftest import NOW

ROWS: dict[str, dict[str, object]] = {
    "holders": {
        "account_id": "carol",
        "email": "c@example.com",
        "email_key": "c@example.com",
        "password_hash": "",
        "credentials_epoch": 1,
        "language": "en",
        "created_at": NOW,
    },
    "consents": {"account_id": "alice", "document": "terms", "version": "1", "at": NOW},
    "expected_links": {
        "account_id": "alice",
        "purpose": "not_me",
        "email": "a@example.com",
        "email_key": "",
        "asked_at": NOW,
        "lapses_at": NOW,
    },
    "links": {
        "digest": "0" * 64,
        "purpose": "not_me",
        "account_id": "alice",
        "email": "a@example.com",
        "asked_at": NOW,
        "expires_at": NOW,
    },
    "devices": {
        "account_id": "alice",
        "id": "d1",
        "browser": "",
        "system": "",
        "first_seen_at": NOW,
        "last_seen_at": NOW,
    },
    "exports": {
        "id": "e1",
        "account_id": "alice",
        "state": "queued",
        "progress": 0,
        "session_digest": "0" * 64,
        "asked_at": NOW,
        "tries": 0,
        "size_bytes": 0,
    },
    "export_chunks": {"export_id": "e1", "number": 0, "content": b"PK"},
    "posted_texts": {
        "document": "terms",
        "version": "1",
        "language": "en",
        "digest": "0" * 64,
        "posted_at": NOW,
    },
    "second_factors": {
        "account_id": "alice",
        "sealed_secret": "sealed",
        "last_step": 1,
        "added_at": NOW,
    },
    "recovery_codes": {"account_id": "alice", "digest": "0" * 64},
    "passkeys": {
        "credential_id": "id",
        "account_id": "alice",
        "public_key": "key",
        "sign_count": 0,
        "name": "",
        "is_synced": False,
        "is_backed_up": False,
        "added_at": NOW,
    },
    "erasures": {
        "account_id": "alice",
        "state": "waiting",
        "step": "close",
        "unspent": "refund",
        "actor": "holder",
        "asked_at": NOW,
        "due_at": NOW,
    },
    "data_requests": {
        "account_id": "alice",
        "kind": "deletion",
        "asked_at": NOW,
        "due_at": NOW,
        "done_by": "",
        "note": "",
    },
    "consent_proofs": {
        "digest": "0" * 64,
        "document": "terms",
        "version": "1",
        "at": NOW,
        "kept_until": NOW,
    },
    "policy_notices": {"version": "1", "told_to": ""},
    "account_events": {"account_id": "alice", "at": NOW, "act": "signed_up", "actor": "holder"},
    "event_forgetting": {"id": 1},
    "opened_countries": {"account_id": "alice", "country": "DE", "opened_at": NOW},
}
"""A row of each table that is just so."""

TEXTS = [
    (name, column.name)
    for name, table in tables.metadata.tables.items()
    for column in table.columns
    if isinstance(column.type, sa.String)
]


def insert(name, /, **values):
    return sa.insert(tables.metadata.tables[name]).values(ROWS[name] | values)


async def test_each_row_can_be_kept(change, people):
    async with change() as connection:
        for name in tables.metadata.tables:
            await connection.execute(insert(name))


@pytest.mark.parametrize(("table", "column"), TEXTS)
async def test_no_text_is_longer_than_it_can_be(change, people, table, column):
    with pytest.raises(sa.exc.IntegrityError):
        async with change() as connection:
            await connection.execute(insert(table, **{column: "x" * 1400}))


@pytest.mark.parametrize(
    "table",
    [
        "consents",
        "expected_links",
        "links",
        "devices",
        "exports",
        "opened_countries",
        "second_factors",
        "recovery_codes",
        "passkeys",
    ],
)
async def test_nothing_is_kept_of_a_person_who_is_not_there(change, people, table):
    with pytest.raises(sa.exc.IntegrityError):
        async with change() as connection:
            await connection.execute(insert(table, account_id="carol"))
    async with change() as connection:
        await connection.execute(insert(table))
    with pytest.raises(sa.exc.IntegrityError):
        async with change() as connection:
            await connection.execute(
                sa.delete(tables.holders).where(tables.holders.c.account_id == "alice")
            )


async def test_one_mailbox_has_one_holder(change, people):
    with pytest.raises(sa.exc.IntegrityError):
        async with change() as connection:
            await connection.execute(insert("holders", email_key="alice@example.com"))
