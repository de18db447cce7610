"""The made-up year: plausible, the same each time, and in order by every rule of the audit."""

import random
from datetime import UTC, datetime

import pytest

from billing.rate_deck import RateDeck
from billing.stores.audit import audit
from billing.stores.payments import SqlPaymentStore
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from gateway.roles.history import DAYS, NUMBERS, TOP_UP_MICROS, HistoryWriter, plausible_calls

UNTIL = datetime(2026, 11, 27, 15, tzinfo=UTC)


def made_up(seed=1):
    return list(plausible_calls(random.Random(seed), UNTIL))


def test_it_is_the_same_each_time_and_of_the_last_months():
    calls = made_up()
    assert calls == made_up() != made_up(2)
    moments = [call.began_at for call in calls]
    assert moments == sorted(moments)
    assert (UNTIL - moments[0]).days in range(DAYS - 10, DAYS + 1)
    assert (UNTIL - moments[-1]).days in range(10)
    assert len({(moment.year, moment.month) for moment in moments}) >= 11
    assert {call.number for call in calls} == set(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_number_has_a_price_in_the_example(number):
    assert RateDeck.example().lookup(number).country


async def test_what_is_written_agrees_and_is_written_once(engine, monkeypatch):
    monkeypatch.setattr("gateway.roles.history.DAYS", 60)
    history = HistoryWriter(engine, "demo", "USD", RateDeck.example())
    count = await history.write(random.Random(3))
    assert await audit(engine) == []
    calls = await SqlCdrStore(engine).page("demo", limit=500)
    assert len(calls) == count > 30
    spent = sum(call.cost_micros for call in calls)
    payments = await SqlPaymentStore(engine).page("demo", limit=50)
    balance = await SqlLedgerStore(engine).balance("demo")
    assert balance == len(payments) * TOP_UP_MICROS - spent
    again = HistoryWriter(engine, "demo", "USD", RateDeck.example())
    assert await again.write(random.Random(3)) == 0
    assert len(await SqlCdrStore(engine).page("demo", limit=500)) == count


async def test_numbers_without_a_price_are_left_out(engine, monkeypatch):
    monkeypatch.setattr("gateway.roles.history.DAYS", 5)
    history = HistoryWriter(engine, "demo", "USD", RateDeck({}))
    assert await history.write(random.Random(3)) == 0
    assert await SqlCdrStore(engine).page("demo", limit=5) == []
