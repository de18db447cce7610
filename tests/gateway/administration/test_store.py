"""What operators do, on both databases: each act with its line in the audit log, or nothing."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.holder import Device, Holder
from accounts.stores import devices, holders, second_factors
from accounts.stores import tables as people
from billing.payments import ACCOUNT_LOCKED
from billing.stores.freezes import FreezeReason, set_freeze
from billing.stores.payments import SqlPaymentStore
from database.engine import TIMEOUT_S, reading, writing
from gateway.administration.ports import Refusals
from gateway.administration.store import SqlAdministration
from gateway.limits.fraud import Allowance
from gateway.operators import Order
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.fraud import SqlFraudBook

NOW = datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
BY_KIM = Order("kim", "calls at night")


class Died(Exception):
    """Stands for the death of a process before its transaction is committed."""


class World:
    def __init__(self, engine):
        self.engine, self.mails, self.dies = engine, [], False
        self.froze = []
        self.admin = SqlAdministration(
            engine, self.queue, clock=lambda: NOW, on_freeze=self.freeze_gate
        )
        self.accounts = SqlAccountStore(engine, clock=lambda: NOW)

    async def queue(self, _connection, account_id, notice, _at):
        if self.dies:
            raise Died
        self.mails.append((account_id, notice.name))

    async def freeze_gate(self, account_id, is_frozen):
        self.froze.append((account_id, is_frozen))

    async def holder(self, account_id="alice"):
        async with reading(self.engine, TIMEOUT_S) as connection:
            return await holders.find(connection, account_id)

    async def log(self, account_id="alice"):
        """Return acts with operator and reason, the newest first."""
        lines = await self.admin.lines(account_id, limit=99)
        assert all(line.actor is Actor.OPERATOR and line.at == NOW for line in lines)
        return [(line.act, line.operator, line.reason) for line in lines]


@pytest.fixture
async def world(engine):
    world = World(engine)
    for name in ("alice", "bob", "bo_b"):
        await world.accounts.create_account(name, "USD")
    alice = Holder("alice", "Ada@Example.com", NOW, "hash", 1, "en", NOW)
    async with writing(engine, TIMEOUT_S) as connection:
        assert await holders.insert(connection, alice, "ada@example.com")
        await devices.note(connection, "alice", Device("d1", "Firefox", "Linux", NOW, NOW))
    await world.accounts.set_email("bob", "bob@shop.example")
    return world


async def test_accounts_are_found_by_id_and_by_address_page_by_page(world):
    async def found(text, **options):
        return [each.id for each in await world.admin.find(text, **{"limit": 9, **options})]

    assert await found("ALI") == ["alice"]
    assert await found("ada@EXAMPLE") == ["alice"]
    assert await found("shop.example") == ["bob"]
    # A sign of patterns is a letter like any other.
    assert await found("o_b") == ["bo_b"]
    assert await found("%") == []
    assert await found("b", limit=1) == ["bo_b"]
    assert await found("b", limit=1, after="bo_b") == ["bob"]
    (alice,) = await world.admin.find("alice", limit=9)
    assert (alice.email, alice.has_holder, alice.locked) == ("Ada@Example.com", True, False)
    assert "Ada" not in repr(alice)


async def test_a_freeze_has_its_reason_and_a_repeat_no_second_line(world):
    for _ in range(2):
        assert await world.admin.freeze("alice", True, BY_KIM)
    state = await world.admin.state("alice")
    assert state.found.frozen
    assert state.freezes == ["kim, 2026-11-27 12:30 UTC: calls at night"]
    assert not await world.admin.freeze("alice", False, Order("lee", "all is well"))
    assert (await world.admin.state("alice")).freezes == ()
    assert await world.log() == [
        (Act.UNFROZEN, "lee", "all is well"),
        (Act.FROZEN, "kim", "calls at night"),
    ]
    for _ in range(2):
        # There is nothing to release.
        assert not await world.admin.freeze("alice", False, BY_KIM)
        assert not await world.admin.freeze("bob", False, BY_KIM)
    assert len(await world.log()) == 2
    await world.accounts.mark_deleted("bob")
    with pytest.raises(LookupError):
        await world.admin.freeze("bob", False, BY_KIM)
    assert await world.log("bob") == []
    assert (await world.admin.state("bob")).freezes == [
        "the account was deleted on 2026-11-27 12:30 UTC"
    ]


async def test_a_lock_stops_automatic_top_ups(world):
    cards = SqlPaymentStore(world.engine)
    await cards.save_card("alice", "cus_1", "pm_1")
    await cards.set_auto("alice", enabled=True, threshold_micros=1, amount_micros=1)
    await world.admin.lock("alice", BY_KIM)
    profile = await cards.profile("alice")
    assert (profile.auto_enabled, profile.auto_off_reason) == (False, ACCOUNT_LOCKED)


async def test_a_lock_ends_sessions_and_links_and_tells_the_way_back(world):
    await world.admin.lock("alice", BY_KIM)
    await world.admin.lock("alice", BY_KIM)
    holder = await world.holder()
    assert (holder.locked_at, holder.credentials_epoch) == (NOW, 2)
    assert world.mails == [("alice", "locked")]
    async with writing(world.engine, TIMEOUT_S) as connection:
        expected = people.expected_links.c
        rows = await connection.execute(sa.select(expected.purpose, expected.email))
        assert rows.all() == [("reset_password", "Ada@Example.com")]

    assert (await world.admin.state("alice")).freezes == ["its holder is locked out"]
    await world.admin.unlock("alice", BY_KIM)
    await world.admin.unlock("alice", BY_KIM)
    assert world.froze == [("alice", True), ("alice", False)]
    assert not (await world.admin.state("alice")).found.frozen
    assert (await world.holder()).locked_at is None
    assert [act for act, *_ in await world.log()] == [Act.UNLOCKED, Act.LOCKED]


async def test_a_lock_whose_mail_cannot_be_queued_has_not_happened(world):
    world.dies = True
    with pytest.raises(Died):
        await world.admin.lock("alice", BY_KIM)
    assert (await world.holder()).locked_at is None
    assert await world.log() == []


async def test_who_is_signed_out_has_another_epoch(world):
    await world.admin.sign_out("alice", BY_KIM)
    assert (await world.holder()).credentials_epoch == 2
    assert await world.log() == [(Act.SESSIONS_ENDED, BY_KIM.operator, BY_KIM.reason)]


async def test_a_credit_is_noted_once_and_a_rule_is_lifted_and_restored(world):
    until = NOW + timedelta(days=2)
    for order in (BY_KIM, BY_KIM, Order("lee", "asked for again")):
        await world.admin.note_credit("alice", "r1", "-$5.00", order)
        await world.admin.lift("alice", Allowance.COUNTRIES, until, BY_KIM)
    assert (await world.admin.state("alice")).lifted == {Allowance.COUNTRIES: until}
    for _ in range(2):
        await world.admin.restore("alice", Allowance.COUNTRIES, BY_KIM)
    assert await world.log() == [
        (Act.RULE_RESTORED, "kim", "countries: calls at night"),
        (Act.RULE_ALLOWED, "kim", "countries until 2026-11-29 12:30 UTC: calls at night"),
        (Act.CREDITED, "kim", "r1: -$5.00: calls at night"),
    ]


async def test_the_longest_reason_fits(world):
    order = Order("k" * 64, "r" * 300)
    await world.admin.note_credit("alice", "reference", "$5.00", order)
    await world.admin.lift("alice", Allowance.COUNTRIES, NOW + timedelta(1), order)
    await world.admin.restore("alice", Allowance.COUNTRIES, order)
    assert {len(reason) for _, _, reason in await world.log()} == {300}


@pytest.mark.parametrize("act", ["lock", "unlock", "sign_out"])
async def test_nobody_signs_in_to_an_account_of_a_program(world, act):
    with pytest.raises(LookupError):
        await getattr(world.admin, act)("bob", BY_KIM)
    assert await world.log("bob") == []


async def test_an_unknown_account_is_none(world):
    for asked in (
        world.admin.state("nobody"),
        world.admin.freeze("nobody", True, BY_KIM),
        world.admin.note_credit("nobody", "r", "$5.00", BY_KIM),
        world.admin.lift("nobody", Allowance.COUNTRIES, NOW, BY_KIM),
        world.admin.restore("nobody", Allowance.COUNTRIES, BY_KIM),
    ):
        with pytest.raises(LookupError):
            await asked
    assert await world.admin.lines("nobody", limit=9) == []


async def test_a_state_shows_what_an_operator_needs_and_no_secret(world):
    await world.accounts.add_api_key("alice", "0" * 64, "first")
    hour = NOW.replace(minute=0)
    book = SqlFraudBook(world.engine, clock=lambda: NOW)
    await book.save_refusals("r1", {("alice", hour, "countries"): 3})
    told = SqlPeople(world.engine, world.queue, clock=lambda: NOW, taking_back=TAKING_BACK)
    await told.note_device("alice", Device("d2", "Chrome", "Android", NOW, NOW), None)
    async with writing(world.engine, TIMEOUT_S) as connection:
        await set_freeze(connection, "alice", FreezeReason.DISPUTE, True, NOW)
    await world.admin.freeze("alice", True, BY_KIM)
    state = await world.admin.state("alice")
    assert state.freezes == ["a payment is disputed", "kim, 2026-11-27 12:30 UTC: calls at night"]
    assert (state.balance_micros, state.currency, state.keys, state.devices) == (0, "USD", 1, 2)
    assert (state.is_proven, state.has_second_factor) == (True, False)
    assert state.last_sign_in_at == NOW
    assert state.refusals == [Refusals(hour, "countries", 3)]
    assert "hash" not in repr(state)
    program = await world.admin.state("bob")
    assert (program.credentials_epoch, program.found.email) == (None, "bob@shop.example")


async def test_a_second_factor_is_seen_and_reset_with_its_reason(world):
    async def add_all():
        async with writing(world.engine, TIMEOUT_S) as connection:
            await second_factors.add(connection, "alice", "sealed", 1, NOW)
            await connection.execute(
                sa.insert(people.passkeys).values(
                    credential_id="YzE",
                    account_id="alice",
                    public_key="aw==",
                    sign_count=0,
                    name="",
                    is_synced=False,
                    is_backed_up=False,
                    added_at=NOW,
                )
            )

    await add_all()
    assert (await world.admin.state("alice")).has_second_factor
    assert not (await world.admin.state("bob")).has_second_factor
    assert await world.admin.reset_second_factor("alice", BY_KIM)
    assert not await world.admin.reset_second_factor("alice", BY_KIM)
    assert not (await world.admin.state("alice")).has_second_factor
    assert (await world.holder()).credentials_epoch == 2
    assert world.mails == [("alice", "second_factor_changed")]
    assert sorted(await world.log()) == [
        (Act.PASSKEY_REMOVED, "kim", "calls at night"),
        (Act.SECOND_FACTOR_REMOVED, "kim", "calls at night"),
    ]
