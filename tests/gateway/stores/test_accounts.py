"""Accounts and API keys, on both databases."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from billing.payments import PaymentProfile
from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlLedgerStore
from database.engine import create_engine
from database.errors import StoreUnavailableError
from gateway.personal_data.erasing import SqlErasing
from gateway.scopes import LEAST, PAGE, Scope
from gateway.stores.accounts import CAP_KNOWN_AFTER, AccountRow, SqlAccountStore, ensure_account
from tests.limits import limits
from tests.postgres import sqlite_threads_ended

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HASH = hashlib.sha256(b"key one").hexdigest()
OTHER_HASH = hashlib.sha256(b"key two").hexdigest()
ALICE = AccountRow("alice", "USD", False, NOW)
BY_KEY = replace(ALICE, key_id=HASH[:16], scopes=LEAST)


@pytest.fixture
async def accounts(engine):
    return SqlAccountStore(engine, clock=lambda: NOW)


async def test_an_account_is_created_once(accounts):
    assert await accounts.create_account("alice", "USD")
    assert not await accounts.create_account("alice", "EUR")
    assert await accounts.account("alice") == ALICE
    assert await accounts.account("bob") is None


@pytest.mark.parametrize(
    ("account_id", "currency"), [("", "USD"), ("bob", "usd"), ("bob", "USDT"), ("bob", "")]
)
async def test_an_account_needs_an_id_and_a_currency(accounts, account_id, currency):
    with pytest.raises(ValueError, match="account"):
        await accounts.create_account(account_id, currency)


async def test_a_key_leads_to_its_account_until_it_is_revoked(accounts):
    await accounts.create_account("alice", "USD")
    key_id = await accounts.add_api_key("alice", HASH, "shop")
    other_id = await accounts.add_api_key("alice", OTHER_HASH, "shop")
    assert HASH.startswith(key_id)
    assert await accounts.account_by_key_hash(HASH) == BY_KEY
    assert await accounts.account_by_key_hash("") is None
    await accounts.revoke_api_key("bob", key_id)
    assert await accounts.account_by_key_hash(HASH) == BY_KEY
    await accounts.revoke_api_key("alice", key_id)
    assert await accounts.account_by_key_hash(HASH) is None
    assert await accounts.account_by_key_hash(OTHER_HASH) == replace(BY_KEY, key_id=other_id)
    assert other_id != key_id


async def test_a_known_key_stays_what_it_is(accounts):
    await accounts.create_account("alice", "USD")
    await accounts.create_account("bob", "USD")
    key_id = await accounts.add_api_key("alice", HASH, "shop")
    assert await accounts.add_api_key("bob", HASH, "stolen") == key_id
    assert await accounts.account_by_key_hash(HASH) == BY_KEY
    await accounts.revoke_api_key("alice", key_id)
    await accounts.add_api_key("alice", HASH, "shop")
    assert await accounts.account_by_key_hash(HASH) is None


async def test_a_key_needs_a_hash_and_an_account(accounts):
    await accounts.create_account("alice", "USD")
    for key_hash in ("", "secret", HASH.upper(), HASH + "0"):
        with pytest.raises(ValueError, match="SHA-256"):
            await accounts.add_api_key("alice", key_hash, "")
    with pytest.raises(LookupError):
        await accounts.add_api_key("bob", HASH, "")


async def test_the_caps_of_an_account_and_of_its_key_are_read(accounts, engine):
    await accounts.create_account("alice", "USD")
    key_id = await accounts.add_api_key("alice", HASH, "shop")
    await accounts.set_caps("alice", {"call": 1, "day": 2, "month": 3})
    keys = tables.api_keys
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(keys).where(keys.c.id == key_id).values(day_cap_micros=4)
        )
    alice = replace(ALICE, limits=limits(call=1, day=2, month=3))
    assert await accounts.account("alice") == alice
    assert await accounts.account_by_key_hash(HASH) == replace(
        alice,
        limits=limits(call=1, day=2, month=3, key_id=key_id, key_day=4),
        key_id=key_id,
        scopes=LEAST,
    )


async def test_a_cap_counts_from_when_it_begins_and_on_through_every_change_of_it(accounts, engine):
    async def counted_from():
        async with engine.connect() as connection:
            return await connection.scalar(sa.select(tables.accounts.c.caps_counted_from))

    await accounts.create_account("alice", "USD")
    assert await accounts.set_caps("alice", {"call": 1}) == {"call": 1, "day": None, "month": None}
    assert await counted_from() is None, "the cap of each call counts nothing"
    began_at = NOW + CAP_KNOWN_AFTER
    for n, (changes, expected, since) in enumerate(
        [
            ({"day": 2}, (1, 2, None), began_at),
            ({"day": 3, "call": None}, (None, 3, None), began_at),
            ({"month": 9}, (None, 3, 9), began_at + timedelta(days=2)),
            ({"day": None}, (None, None, 9), began_at + timedelta(days=2)),
            ({}, (None, None, 9), began_at + timedelta(days=2)),
        ]
    ):
        accounts._clock = lambda n=n: NOW + timedelta(days=n)
        caps = await accounts.set_caps("alice", changes)
        assert (tuple(caps.values()), await counted_from()) == (expected, since)


async def test_caps_are_of_an_account_and_told_only_where_they_change(engine):
    told = []

    async def on_change():
        told.append(True)

    accounts = SqlAccountStore(engine, on_change=on_change)
    await accounts.create_account("alice", "USD")
    assert set((await accounts.set_caps("alice", {})).values()) == {None}
    for changes in ({}, {"day": 2}):
        with pytest.raises(LookupError):
            await accounts.set_caps("bob", changes)
    assert told == []
    await accounts.set_caps("alice", {"day": 2})
    assert told == [True]


@pytest.mark.parametrize("scope", [Scope.ADMIN, Scope.EMBED])
async def test_scopes_that_stand_alone_join_no_other(accounts, scope):
    await accounts.create_account("alice", "USD")
    with pytest.raises(ValueError, match="no other scope"):
        await accounts.add_api_key("alice", HASH, "", scopes={scope, Scope.CALLS})
    key_id = await accounts.add_api_key("alice", HASH, "")
    with pytest.raises(ValueError, match="no other scope"):
        await accounts.set_key_scopes("alice", key_id, {scope, Scope.CALLS})
    assert await accounts.account_by_key_hash(HASH) == BY_KEY
    await accounts.set_key_scopes("alice", key_id, {scope})
    assert (await accounts.account_by_key_hash(HASH)).scopes == {scope}


async def test_a_key_may_do_what_was_said_and_until_then(accounts):
    await accounts.create_account("alice", "USD")
    end = NOW + timedelta(days=1)
    key_id = await accounts.add_api_key("alice", HASH, "", scopes=PAGE, expires_at=end)
    found = replace(BY_KEY, scopes=PAGE, key_expires_at=end)
    assert await accounts.account_by_key_hash(HASH) == found
    await accounts.set_key_scopes("alice", key_id, {Scope.RECORDS, Scope.CALLS})
    await accounts.set_key_expiry("alice", key_id, None)
    found = replace(BY_KEY, scopes=frozenset({Scope.CALLS, Scope.RECORDS}))
    assert await accounts.account_by_key_hash(HASH) == found
    assert await accounts.account_by_key_id(key_id) == found
    (row,) = await accounts.keys("alice")
    assert (row.scopes, row.expires_at) == (found.scopes, None)
    await accounts.revoke_api_key("alice", key_id)
    assert await accounts.account_by_key_id(key_id) is None
    assert await accounts.account_by_key_id("") is None


async def test_every_change_of_what_a_key_may_do_is_told_after_it_is_made(engine):
    seen = []

    async def on_change():
        seen.append(await store.account_by_key_hash(HASH))

    store = SqlAccountStore(engine, clock=lambda: NOW, on_change=on_change)
    await store.create_account("alice", "USD")
    key_id = await store.add_api_key("alice", HASH, "")
    await store.set_key_cap("alice", key_id, 4)
    await store.set_caps("alice", {"day": 2})
    await store.set_key_scopes("alice", key_id, {Scope.RECORDS})
    await store.set_key_expiry("alice", key_id, NOW)
    await store.revoke_api_key("alice", key_id)
    await store.revoke_api_key("alice", key_id)
    await store.mark_deleted("alice")
    changed = replace(BY_KEY, limits=limits(key_id=key_id, key_day=4))
    capped = replace(changed, limits=limits(day=2, key_id=key_id, key_day=4))
    scoped = replace(capped, scopes=frozenset({Scope.RECORDS}))
    expired = replace(scoped, key_expires_at=NOW)
    assert seen == [changed, capped, scoped, expired, None, None, None]


@pytest.mark.parametrize("change", ["set_key_cap", "set_key_scopes", "set_key_expiry"])
async def test_only_an_accounts_own_key_is_changed(accounts, change):
    await accounts.create_account("alice", "USD")
    await accounts.create_account("bob", "USD")
    key_id = await accounts.add_api_key("alice", HASH, "")
    value = (Scope.ADMIN,) if change == "set_key_scopes" else None
    for account_id, name in (("bob", key_id), ("alice", "nokey")):
        with pytest.raises(LookupError):
            await getattr(accounts, change)(account_id, name, value)
    assert await accounts.account_by_key_hash(HASH) == BY_KEY


async def test_a_frozen_account_reads_as_frozen(accounts, engine):
    await accounts.create_account("alice", "USD")
    await SqlLedgerStore(engine).freeze("alice", True)
    assert (await accounts.account("alice")).frozen


async def test_seeding_is_idempotent_even_at_once(accounts, engine):
    ledger = SqlLedgerStore(engine)

    async def seed():
        await ensure_account(
            accounts,
            ledger,
            account_id="alice",
            currency="USD",
            key_hash=HASH,
            key_label="demo",
            key_scopes=LEAST,
            credit_micros=5_000_000,
            credit_reference="demo-credit",
        )

    await asyncio.gather(*(seed() for _ in range(4)))
    await seed()
    assert await accounts.account_by_key_hash(HASH) == BY_KEY
    assert await ledger.balance("alice") == 5_000_000
    assert await audit(engine) == []


async def test_a_database_that_is_away(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/missing/book.db")
    accounts = SqlAccountStore(engine)
    for operation in (
        accounts.create_account("alice", "USD"),
        accounts.account("alice"),
        accounts.account_by_key_hash(HASH),
        accounts.account_by_key_id(HASH[:16]),
        accounts.add_api_key("alice", HASH, ""),
        accounts.revoke_api_key("alice", HASH[:16]),
    ):
        with pytest.raises(StoreUnavailableError):
            await operation
    await engine.dispose()
    await sqlite_threads_ended()


def test_the_store_reads_the_wall_clock_in_utc(engine):
    assert SqlAccountStore(engine)._clock().tzinfo is not None


async def test_an_account_is_deleted_in_two_steps_that_may_be_repeated(accounts, engine):
    ledger, cards = SqlLedgerStore(engine), SqlPaymentStore(engine)
    await accounts.create_account("alice", "USD")
    await accounts.create_account("bob", "USD")
    await accounts.add_api_key("alice", HASH, "Alice's shop")
    bobs = await accounts.add_api_key("bob", OTHER_HASH, "shop")
    await accounts.set_email("alice", "alice@example.com")
    await cards.save_card("alice", "cus_1", "pm_1", "card@example.com")
    for later in (0, 1):
        accounts._clock = lambda later=later: NOW + timedelta(days=later)
        await accounts.mark_deleted("alice")
    assert await accounts.account("alice") == replace(ALICE, frozen=True, deleted_at=NOW)
    assert await accounts.account_by_key_hash(HASH) is None
    assert (await cards.profile("alice")).customer_id == "cus_1"
    for _ in range(2):
        await SqlErasing(engine).erase_person("alice")
    assert [(key.label, key.revoked_at) for key in await accounts.keys("alice")] == [("", NOW)]
    assert await cards.profile("alice") == PaymentProfile("alice", "USD", True, True)
    # Nothing brings it back.
    assert await ledger.freeze("alice", False) is True
    for refused in (
        accounts.add_api_key("alice", hashlib.sha256(b"new").hexdigest(), ""),
        accounts.set_email("alice", "alice@example.com"),
    ):
        with pytest.raises(LookupError):
            await refused
    assert not await accounts.create_account("alice", "USD")
    assert (await accounts.account_by_key_hash(OTHER_HASH)).key_id == bobs


async def test_what_is_not_there_is_not_changed(accounts, engine):
    for missing in (
        accounts.set_email("bob", "bob@example.com"),
        accounts.mark_deleted("bob"),
        SqlLedgerStore(engine).freeze("bob", True),
    ):
        with pytest.raises(LookupError):
            await missing
