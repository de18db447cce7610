"""Holders on both databases: one for an account, one for an address."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from accounts.stores import holders, tables
from accounts.stores.holders import erase_holder
from tests.accounts.stores.conftest import NOW, holder


async def test_a_holder_is_found_by_account_and_by_address(change, people):
    async with change() as connection:
        assert await holders.find(connection, "alice") == people["alice"]
        assert await holders.find_by_email(connection, "bob@example.com") == people["bob"]
        assert await holders.email_key(connection, "alice") == "alice@example.com"
        assert await holders.find(connection, "carol") is None
        # The address as written finds no one.
        assert await holders.find_by_email(connection, "Bob@Example.com") is None


@pytest.mark.parametrize(("account_id", "key"), [("alice", "new@b"), ("carol", "bob@example.com")])
async def test_an_account_and_an_address_have_one_holder_each(change, people, account_id, key):
    async with change() as connection:
        assert not await holders.insert(connection, holder(account_id), key)
        assert await holders.find(connection, "alice") == people["alice"]
        assert await holders.find(connection, "carol") is None


async def test_a_change_is_of_one_holder_and_may_begin_an_epoch(change, people):
    async with change() as connection:
        german = await holders.change(connection, "alice", language="de")
        assert german == replace(people["alice"], language="de")
        locked = await holders.change(connection, "alice", begins_epoch=True, locked_at=NOW)
        assert locked == replace(german, locked_at=NOW, credentials_epoch=2)
        assert await holders.find(connection, "alice") == locked
        assert await holders.find(connection, "bob") == people["bob"]


async def test_nobody_takes_the_address_of_another(change, people):
    with pytest.raises(sa.exc.IntegrityError):
        async with change() as connection:
            await holders.change(connection, "alice", email_key="bob@example.com")


async def test_an_erasure_may_be_repeated_and_is_of_one_holder(change, people):
    for _ in range(2):
        async with change() as connection:
            await erase_holder(connection, "alice")
            assert await holders.find(connection, "alice") is None
            assert await holders.find(connection, "bob") == people["bob"]


def test_an_erasure_knows_every_table_of_a_person():
    """A table that refers to a holder is emptied; any other names no one, and is kept."""
    kept = {"account_events", "consent_proofs", "data_requests", "erasures", "event_forgetting"}
    kept |= {"policy_notices", "posted_texts"}
    erased = {table.name for table in holders.parts()}
    assert erased >= {"devices", "links", "expected_links", "consents", "exports", "export_chunks"}
    assert set(tables.metadata.tables) == erased | {"holders"} | kept
