"""What the rules of admission look at, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.holder import Device, Holder
from accounts.stores import countries, devices, holders
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from gateway.limits.fraud import AccountFacts, Allowance
from gateway.stores import fraud
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.fraud import RefusalCount, SqlFraudBook

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
HOUR = NOW.replace(minute=0)


@pytest.fixture
async def book(engine):
    accounts = SqlAccountStore(engine, clock=lambda: NOW)
    for name in ("alice", "bob"):
        await accounts.create_account(name, "USD")
    email = "a@10minutemail.com"
    async with writing(engine, TIMEOUT_S) as connection:
        alice = Holder("alice", email, None, "hash", 1, "en", NOW)
        assert await holders.insert(connection, alice, email)
    return SqlFraudBook(engine, clock=lambda: NOW)


async def pay(engine, sequence, at, kind="top-up"):
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(
            sa.insert(tables.credits).values(
                account_id="alice",
                sequence=sequence,
                micros=5,
                reference=f"r{sequence}",
                kind=kind,
                at=at,
            )
        )


async def test_a_standing_has_the_countries_of_sign_ins_and_payments_of_closed_books(book, engine):
    await pay(engine, 2, NOW)
    async with writing(engine, TIMEOUT_S) as connection:
        for name, country in (("d1", "FR"), ("d2", ""), ("d3", "US")):
            await devices.note(connection, "alice", Device(name, "", "", NOW, NOW, country))
    standing = await book.standing("alice")
    assert (standing.seen_in, standing.first_paid_at) == ({"FR", "US"}, NOW)
    year = NOW.replace(year=2020)
    async with writing(engine, TIMEOUT_S) as connection:
        row = {"account_id": "alice", "until": year, "payments_micros": -5, "customer_micros": 5}
        await connection.execute(sa.insert(tables.closed_books).values(row))
    # A card of years ago is no new one.
    assert (await book.standing("alice")).first_paid_at == year


async def test_nothing_is_known_of_a_program(book):
    assert await book.standing("bob") == AccountFacts(lifted={})
    assert await book.standing("nobody") == AccountFacts(lifted={})


async def test_a_standing_is_countries_the_first_payment_its_address_and_what_is_lifted(
    book, engine
):
    await pay(engine, 1, NOW, kind="grant")
    assert await book.standing("alice") == AccountFacts(lifted={})
    await pay(engine, 2, NOW - timedelta(hours=2))
    await pay(engine, 3, NOW)
    until = NOW + timedelta(days=1)
    async with writing(engine, TIMEOUT_S) as connection:
        await countries.open_country(connection, "alice", "FR", NOW)
        await fraud.lift(connection, "alice", Allowance.NEW_CARD, NOW)
        await fraud.lift(connection, "alice", Allowance.NEW_CARD, until)
        await connection.execute(
            sa.insert(fraud.rule_overrides).values(account_id="alice", rule="of-old", until=until)
        )
    assert await book.standing("alice") == AccountFacts(
        frozenset({"FR"}), NOW - timedelta(hours=2), True, {Allowance.NEW_CARD: until}
    )
    async with writing(engine, TIMEOUT_S) as connection:
        assert await fraud.restore(connection, "alice", Allowance.NEW_CARD)
        assert not await fraud.restore(connection, "alice", Allowance.NEW_CARD)
    assert (await book.standing("alice")).lifted == {}


async def test_refusals_of_all_runs_are_added_up_and_a_repeat_adds_nothing(book, engine):
    before = HOUR - timedelta(hours=1)
    for _ in range(2):
        await book.save_refusals("r1", {("alice", HOUR, "countries"): 3})
        await book.save_refusals(
            "r2", {("alice", HOUR, "countries"): 4, ("alice", before, "premium"): 1}
        )
    await book.save_refusals("r2", {("alice", HOUR, "countries"): 5, ("bob", HOUR, "premium"): 9})
    async with reading(engine, TIMEOUT_S) as connection:
        found = await fraud.refusals_of(connection, "alice", limit=9)
        assert found == [RefusalCount(HOUR, "countries", 8), RefusalCount(before, "premium", 1)]
        assert await fraud.refusals_of(connection, "alice", limit=1) == found[:1]


async def test_nothing_is_left_of_an_erased_account(book, engine):
    await book.save_refusals("r1", {("bob", HOUR, "countries"): 3, ("alice", HOUR, "countries"): 1})
    async with writing(engine, TIMEOUT_S) as connection:
        await fraud.lift(connection, "alice", Allowance.COUNTRIES, NOW)
        await fraud.erase_fraud_rows(connection, "alice")
        assert await fraud.refusals_of(connection, "alice", limit=9) == []
        assert await fraud.overrides_of(connection, "alice") == {}
        assert len(await fraud.refusals_of(connection, "bob", limit=9)) == 1
