"""What an operator gives: booked once for each reference, and never with another amount."""

import pytest
import sqlalchemy as sa

from billing.stores import tables
from billing.stores.sql import SqlLedgerStore
from gateway.charging.grants import book_grant
from gateway.errors import RequestRefusedError
from tests.billing.outbox_entries import START


@pytest.fixture
async def book(engine):
    async with engine.begin() as connection:
        rows = [tables.new_account(name, "USD", START) for name in ("ada", "ben")]
        await connection.execute(sa.insert(tables.accounts), rows)
    return SqlLedgerStore(engine)


async def test_a_grant_is_booked_once_and_a_repeat_is_told_from_another_amount(book):
    assert await book_grant(book, "ada", 500, "r1")
    assert not await book_grant(book, "ada", 500, "r1")
    for other in (501, -500):
        with pytest.raises(RequestRefusedError) as refused:
            await book_grant(book, "ada", other, "r1")
        assert (refused.value.code, refused.value.field) == ("credit_reference_reused", "reference")
    assert await book.balance("ada") == 500


async def test_two_accounts_may_use_one_name(book):
    assert await book_grant(book, "ada", 500, "r1")
    assert await book_grant(book, "ben", 700, "r1")
    assert (await book.balance("ada"), await book.balance("ben")) == (500, 700)
