"""Random schedules: hundreds of calls, kills, losses, repetitions, credits, caps, all exact.

The seed is printed. `MONEY_SEED=17 pytest tests/money/test_schedules.py` plays that one again.
"""

import os
import random

import pytest
import sqlalchemy as sa

from billing.drain import Drainer
from billing.rating import Rate
from billing.stores import tables
from database.errors import StoreUnavailableError
from tests.limits import limits
from tests.money.ledger_world import CENT, CENT_A_SECOND, PARTITIONS, UNIT
from tests.money.test_draining import DyingOutbox

SECONDS = 40
NODES = 3
ACCOUNTS = tuple(f"a{n}" for n in range(12))
CAPPED = {"a0": UNIT // 2, "a1": UNIT // 5, "a2": UNIT}
RATES = (
    CENT_A_SECOND,
    Rate(per_minute_micros=13_333, first_s=30, next_s=6),
    Rate(per_minute_micros=99_999, first_s=60, next_s=60, connect_fee_micros=5_000),
    Rate(per_minute_micros=1),
    Rate(per_minute_micros=250_000, first_s=6, next_s=6, free_s=5),
    Rate(per_minute_micros=900_000, minimum_micros=50_000, cap_micros=400_000),
)
SEEDS = [int(os.environ["MONEY_SEED"])] if "MONEY_SEED" in os.environ else [0, 1]


class Schedule:
    """What chance does to a world."""

    def __init__(self, world, server, seed):
        self.world, self.server = world, server
        self.chance = random.Random(seed)
        self.dying = Drainer(DyingOutbox(world.gate, self.chance), world.book, PARTITIONS)
        self.down_s = 0
        self.audits = 0
        self.seconds_up = iter(range(1, SECONDS + 1))
        self.numbers = iter(range(1, 100_000))
        self.references = []

    async def play(self):
        """Play all seconds, and then let everything come to its end."""
        for _ in range(SECONDS):
            await self._server_trouble()
            await self._calls()
            await self._repetitions()
            await self.world.pass_seconds()
            if not self.down_s:
                await self._money()
                await self._books()
        if self.down_s:
            self.server.start()
        await self._repaired()
        await self.world.hang_up(*self.world.live)
        # Long enough for whoever could not settle to try again.
        await self.world.pass_seconds(12)

    async def _server_trouble(self):
        if self.down_s:
            self.down_s -= 1
            if not self.down_s:
                self.server.start()
                await self._repaired()
        elif self.chance.random() < 0.04:
            self.down_s = self.chance.randrange(1, 20)
            self.server.kill()
            with pytest.raises(StoreUnavailableError):
                await self.world.reconciler.round()
        elif self.chance.random() < 0.03:
            await self.world.drainer.drain_once()
            self.server.command(*self.chance.choice(["FLUSHALL", "SCRIPT FLUSH"]).split())
            await self._repaired()

    async def _repaired(self):
        await self.world.reconcile()
        await self.world.pass_seconds()

    async def _calls(self):
        for node in range(NODES):
            for _ in range(self.chance.randrange(0, 3)):
                await self._call(node)
        for call in self.world.live:
            if self.chance.random() < 0.06:
                await self.world.hang_up(call)

    async def _call(self, node):
        account_id = self.chance.choice(ACCOUNTS)
        rate, call_micros = self.chance.choice(RATES), None
        if self.chance.random() < 0.1:
            call_micros = self.chance.randrange(1, 50 * CENT)
        bounds = limits(account_id, call=call_micros, day=CAPPED.get(account_id))
        call_id = f"c{next(self.numbers)}"
        await self.world.call(call_id, account_id, node=node, rate=rate, limits=bounds)

    async def _repetitions(self):
        for node in self.world.nodes:
            node.gate.repeats = self.chance.choice([1, 1, 1, 2, 3])
            if node.gate.said and not self.down_s and self.chance.random() < 0.2:
                await self.world.gate.tick_all(self.chance.choice(node.gate.said[-40:]))

    async def _money(self):
        account_id = self.chance.choice(ACCOUNTS)
        if self.chance.random() < 0.25:
            reference = f"pi:{next(self.numbers)}"
            self.references.append((account_id, self.chance.randrange(1, UNIT // 2), reference))
            await self.world.credit(*self.references[-1])
        if self.references and self.chance.random() < 0.2:
            assert await self.world.credit(*self.chance.choice(self.references)) is None
        if self.chance.random() < 0.1:
            left = await self.world.gate.balance(account_id)
            if left > 1:
                micros = -self.chance.randrange(1, left)
                await self.world.credit(account_id, micros, f"re:{next(self.numbers)}", "refund")
        if self.chance.random() < 0.05:
            await self.world.book.freeze(account_id, self.chance.random() < 0.5)

    async def _books(self):
        if self.chance.random() < 0.3:
            try:
                await self.dying.drain_once()
            except StoreUnavailableError:
                pass
        assert await self.world.lowest_balance() >= 0
        if next(self.seconds_up) % 6 == 0:
            await self.world.reconcile()
            assert await self.world.findings() == []
            self.audits += 1


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_schedule_is_exact(new_world, own_valkey, engine, seed):
    print(f"MONEY_SEED={seed}")
    chance = random.Random(-seed)
    world = new_world(own_valkey.url, nodes=NODES)
    world.is_in_turn = True
    await world.open_accounts(**{a: chance.randrange(0, UNIT) for a in ACCOUNTS})
    async with engine.begin() as connection:
        for account_id, micros in CAPPED.items():
            is_it = tables.accounts.c.id == account_id
            capped = sa.update(tables.accounts).where(is_it).values(day_cap_micros=micros)
            await connection.execute(capped)
    schedule = Schedule(world, own_valkey, seed)
    await schedule.play()
    took_place = [call for call in world.calls if call.end is not None]
    assert len(took_place) > 50
    assert schedule.audits > 2
    await world.assert_in_order()
    states = [await world.gate.snapshot(p) for p in range(PARTITIONS)]
    counted = {name.split(":")[1]: micros for state in states for name, micros in state.spent}
    assert counted == await costs_of(world, CAPPED)


async def costs_of(world, account_ids):
    """Return what accounts have been charged, those without a charge left out."""
    found = {}
    for account_id in account_ids:
        records = await world.records.page(account_id, limit=500)
        found[account_id] = sum(record.cost_micros for record in records)
    return {account_id: micros for account_id, micros in found.items() if micros}
