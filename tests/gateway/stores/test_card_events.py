"""Lines about cards and automatic top-ups: with the change, once, and by whom."""

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.stores import audit_log
from billing.payments import AUTOMATIC, BY_TAP, PaymentState
from billing.stores.payments import SqlPaymentStore
from database.engine import TIMEOUT_S, reading
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.card_events import record_auto_top_up, record_profile_change

UNIT = 1_000_000


class Died(Exception):
    """Stands for the death of a process before its transaction is committed."""


class World:
    def __init__(self, engine):
        self.engine, self.dies = engine, False
        self.store = SqlPaymentStore(engine, on_profile=self.record, on_paid=self.record_paid)

    async def record(self, *change):
        await record_profile_change(*change)
        if self.dies:
            raise Died

    async def record_paid(self, *payment):
        await record_auto_top_up(*payment)
        if self.dies:
            raise Died

    async def lines(self):
        async with reading(self.engine, TIMEOUT_S) as connection:
            found = await audit_log.of_account(connection, "ada", limit=99)
        return [(line.act, line.actor, line.reason) for line in reversed(found)]

    async def set_auto(self, enabled, threshold=5, amount=25, **by):
        await self.store.set_auto(
            "ada",
            enabled=enabled,
            threshold_micros=threshold * UNIT,
            amount_micros=amount * UNIT,
            **by,
        )


@pytest.fixture
async def world(engine):
    await SqlAccountStore(engine).create_account("ada", "USD")
    world = World(engine)
    await world.store.save_card("ada", "cus_1", "pm_1")
    return world


async def test_each_change_of_automatic_top_ups_has_its_line_once(world):
    for enabled, threshold in ((True, 5), (True, 5), (True, 10), (False, 10), (False, 10)):
        await world.set_auto(enabled, threshold)
    assert await world.lines() == [
        (Act.AUTO_TOP_UP_ON, Actor.HOLDER, "25.000000 USD below 5.000000"),
        (Act.AUTO_TOP_UP_CHANGED, Actor.HOLDER, "25.000000 USD below 10.000000"),
        (Act.AUTO_TOP_UP_OFF, Actor.HOLDER, ""),
    ]


async def test_a_program_that_changes_them_is_named_by_its_key(world):
    await world.set_auto(True, key_id="k1")
    async with reading(world.engine, TIMEOUT_S) as connection:
        (line,) = await audit_log.of_account(connection, "ada", limit=9)
    assert (line.act, line.actor, line.operator) == (Act.AUTO_TOP_UP_ON, Actor.KEY, "k1")


async def test_a_card_that_is_forgotten_takes_them_along(world):
    await world.set_auto(True)
    for _ in range(2):
        await world.store.forget_card("ada", "")
    assert (await world.lines())[1:] == [
        (Act.CARD_FORGOTTEN, Actor.HOLDER, ""),
        (Act.AUTO_TOP_UP_OFF, Actor.HOLDER, ""),
    ]


async def test_what_nobody_asked_for_says_why(world):
    await world.set_auto(True)
    await world.store.switch_auto_off("ada", "stolen_card")
    await world.store.forget_card("ada", "card_gone")
    assert (await world.lines())[1:] == [
        (Act.AUTO_TOP_UP_OFF, Actor.SERVICE, "stolen_card"),
        (Act.CARD_FORGOTTEN, Actor.SERVICE, "card_gone"),
    ]


async def test_a_top_up_that_nobody_asked_for_has_its_line_once_it_is_paid(world):
    for name, kind in (("p1", AUTOMATIC), ("p2", BY_TAP), ("p3", AUTOMATIC)):
        await world.store.create(name, "ada", kind, 25 * UNIT, "USD")
    for state in (PaymentState.PROCESSING, PaymentState.PAID, PaymentState.PAID):
        await world.store.record("p1", state)
    await world.store.record("p1", PaymentState.DISPUTED)
    await world.store.record("p2", PaymentState.PAID)
    await world.store.record("p3", PaymentState.FAILED)
    assert await world.lines() == [(Act.AUTO_TOPPED_UP, Actor.SERVICE, "25.000000 USD")]
    world.dies = True
    with pytest.raises(Died):
        await world.store.record("p3", PaymentState.PAID)
    assert len(await world.lines()) == 1
    assert (await world.store.find("p3")).state is PaymentState.FAILED


async def test_neither_is_there_without_the_other(world):
    world.dies = True
    with pytest.raises(Died):
        await world.set_auto(True)
    assert await world.lines() == []
    assert not (await world.store.profile("ada")).auto_enabled
    async with world.engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT count(*) FROM account_events")) == 0
