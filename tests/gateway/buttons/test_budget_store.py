"""Mails about budgets of buttons, on both databases: once each, whoever looks and dies when."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from accounts.notice import Notice
from billing.spend_limits import Period, cap_name
from database.errors import StoreUnavailableError
from gateway.buttons.budget_store import SqlButtonBudgets
from gateway.buttons.budgets import INTERVAL_S, ButtonBudgets
from gateway.buttons.ports import NewButton
from gateway.buttons.store import SqlButtons
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.duties import SqlDuties
from gateway.stores.mail_outbox import mail_outbox
from tests.gateway.memory_gate import MemorySpendGate

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


async def told_to_nobody():
    """No process remembers anything here."""


class World:
    """Two buttons of one account, a gate that counts what they spend, and two processes."""

    def __init__(self, engine):
        self.engine, self.now = engine, NOW
        self.gate = MemorySpendGate().fill(ada=10**9)
        self.buttons = SqlButtons(engine, told_to_nobody, clock=lambda: self.now)
        book = SqlButtonBudgets(engine, clock=lambda: self.now)
        self.book = book
        self.processes = [
            ButtonBudgets(
                book,
                self.gate,
                SqlDuties(engine, name, clock=lambda: self.now),
                lambda: self.now,
            )
            for name in ("one", "other")
        ]

    async def make(self, name, day, month):
        rules = ButtonRules(title=name, day_cap_micros=day, month_cap_micros=month)
        keys = (publishable_key(mode, name.encode().ljust(32, b".")) for mode in KeyMode)
        new = NewButton(name, name, rules, *keys)
        await self.buttons.make("ada", None, new)

    async def spend(self, name, micros):
        button = await self.buttons.read("ada", name)
        names = [cap_name(f"key:{button.key_id}", period, self.now) for period in Period]
        self.gate._of("ada").spend(names, micros)

    async def look(self, process=0):
        self.now += timedelta(seconds=INTERVAL_S)
        await self.processes[process].round()
        return await self.mails()

    async def mails(self):
        of = mail_outbox.c
        query = sa.select(of.values_json).where(of.notice == "button_budget").order_by(of.id)
        async with self.engine.connect() as connection:
            found = [msgspec.json.decode(row) for row in await connection.scalars(query)]
        return sorted((m["label"], m["period"], m["share"], m["micros"]) for m in found)


@pytest.fixture
async def world(engine):
    await SqlAccountStore(engine).create_account("ada", "USD")
    world = World(engine)
    await world.make("shop", 1_000, 10_000)
    await world.make("desk", None, 2_000)
    return world


async def test_each_share_is_told_once(world):
    assert await world.look() == []
    await world.spend("shop", 500)
    first = [("shop", "day", "50", "1000")]
    assert await world.look() == first
    assert await world.look() == first
    await world.spend("shop", 500)
    await world.spend("desk", 1_700)
    assert await world.look() == sorted(
        [*first, ("shop", "day", "100", "1000"), ("desk", "month", "80", "2000")]
    )
    world.now += timedelta(days=1)
    await world.spend("shop", 500)
    assert len(await world.look()) == 4


async def test_two_processes_at_once_tell_once(world):
    await world.spend("shop", 800)
    world.now += timedelta(seconds=INTERVAL_S)
    await asyncio.gather(*(process.round() for process in world.processes))
    assert await world.mails() == [("shop", "day", "80", "1000")]


async def test_one_that_has_looked_before_another_told_tells_nothing(world):
    await world.spend("shop", 800)
    (stale,) = [b for b in await world.book.budgeted("", 10) if b.label == "shop"]
    await world.look()
    assert not await world.book.tell(stale, "2026-11-28:80", [Notice("button_budget")])
    assert len(await world.mails()) == 1


async def test_one_that_is_killed_between_two_steps_leaves_it_to_the_next(world, monkeypatch):
    await world.spend("shop", 800)
    gate_away = StoreUnavailableError("away")
    world.gate.fault = gate_away
    assert await world.look() == []
    assert await world.look(process=1) == [("shop", "day", "80", "1000")]


async def test_a_duty_that_another_does_is_left_to_it(world):
    world.now += timedelta(seconds=INTERVAL_S)
    duties = SqlDuties(world.engine, "third", clock=lambda: world.now)
    assert await duties.take("budgets of buttons")
    await world.spend("shop", 800)
    assert await world.look() == []
    # It has died: its lease ends by itself.
    world.now += timedelta(minutes=2)
    assert len(await world.look()) == 1


async def test_what_is_deleted_is_told_of_no_more(world):
    await world.spend("shop", 800)
    await world.buttons.delete("ada", None, "shop")
    assert await world.look() == []
    assert [b.label for b in await world.book.budgeted("", 10)] == ["desk"]
    assert await world.book.budgeted("shop", 10) == []
