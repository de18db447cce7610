"""From a fault that somebody has planted in the book to the alarm that names it, and its end."""

import time

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from billing.clock import utc_now
from billing.stores import audit, gate_audit
from billing.stores.gate_audit import INCOMPARABLE
from gateway.charging import book_audit
from gateway.charging.audited import AUDIT_LINE, RULES_MAX, Audited
from gateway.charging.recovery import bring_credits
from gateway.roles import storage
from gateway.roles.audit import audit_daily, findings_of, note_repaired
from gateway.settings_variables import from_mapping
from gateway.stores.duties import duties
from gateway.watching.alarming import Alarming
from gateway.watching.alarms import ALARMS_MAX, SUBJECT_MAX
from gateway.watching.audited_store import RedisAudited
from gateway.watching.board import Board
from gateway.watching.rows import Batch, Warned
from tests.gateway.watching.test_alarming import Events

RULE = "balance is not ledger less holds"
NAME = f"audit_failure:{RULE}"


@pytest.fixture
async def stores(environ):
    stores = await storage.open_stores(from_mapping(environ))
    await stores.accounts.create_account("alice", "USD")
    await stores.ledger.add_credit(
        "alice", 5_000_000, reference="hello", kind="grant", reason="a gift"
    )
    yield stores
    await stores.close()


@pytest.fixture
def plant(stores):
    async def change(micros):
        accounts = sa.text("UPDATE accounts SET balance_micros = balance_micros + :m")
        async with stores.engine.begin() as connection:
            await connection.execute(accounts, {"m": micros})

    return change


@pytest.fixture
async def watched(stores, environ, monkeypatch):
    """Alarms that a process tells of, a minute a look."""
    board, events, now_s = Board(), Events(), [time.time()]
    monkeypatch.setattr("gateway.watching.alarming.time.time", lambda: now_s[0])
    alarming = Alarming(from_mapping(environ), stores, "one", board, events.notify)
    looking, _, left, _ = alarming.tasks()

    async def look(*warnings):
        now_s[0] += 60
        board.apply(Batch(node="n1", warnings=warnings), time.monotonic_ns(), utc_now())
        await looking._work()
        await left._work()
        await looking._work()
        return [(name, data["name"]) for name, data in events.posted]

    await look()
    yield look
    await alarming.stop()


async def age_duty(stores):
    """Let a day pass for the duty."""
    async with stores.engine.begin() as connection:
        await connection.execute(sa.update(duties).values(done_at=None))


@pytest.mark.thorough
async def test_a_fault_in_the_book_rings_by_its_rule_and_is_over_once_it_is_put_right(
    stores, plant, watched, monkeypatch
):
    monkeypatch.setattr(book_audit, "CONFIRMED_AFTER_S", 0.0)
    task = audit_daily(stores)
    # The gate is brought in line first: else it would be a finding that the credit is not there.
    await bring_credits(stores.gate, stores.ledger, "alice")
    await task._work()
    assert (await RedisAudited(stores.redis).read()).findings == {}
    assert await watched() == []
    await plant(1)
    await age_duty(stores)
    with capture_logs() as logs:
        await task._work()
    assert [line["event"] for line in logs] == [AUDIT_LINE]
    found = (await RedisAudited(stores.redis).read()).findings
    assert RULE in found
    error = Warned(at=utc_now(), node="worker", level="error", event=AUDIT_LINE)
    told = await watched(error)
    # By its rules alone, and not as a line of the log as well.
    assert {name for _, name in told} == {f"audit_failure:{rule}" for rule in found}
    assert ("alarm.raised", NAME) in told
    # Somebody corrects it, and audits by hand.
    await plant(-1)
    await note_repaired(stores, await findings_of(stores))
    for _ in range(3):
        told = await watched()
    assert ("alarm.over", NAME) in told
    assert len(told) == 2 * len(found)


async def test_a_partition_that_is_too_busy_to_compare_is_no_fault(stores, monkeypatch):
    async def busy(*_arguments):
        return [f"{INCOMPARABLE}: partition 3"]

    monkeypatch.setattr("gateway.roles.audit.audit_gate", busy)
    await audit_daily(stores)._work()
    assert (await RedisAudited(stores.redis).read()).findings == {}


def test_a_result_has_room_for_all_rules_and_other_alarms_beside_them():
    rules = audit.ADVICE.keys() | gate_audit.ADVICE.keys()
    assert len(rules) <= RULES_MAX <= ALARMS_MAX / 2
    assert max(map(len, rules)) < SUBJECT_MAX


async def test_an_audit_by_hand_ends_what_it_finds_no_more_and_adds_nothing(stores):
    results = RedisAudited(stores.redis)
    await note_repaired(stores, [f"{RULE}: alice"])
    assert await results.read() is None
    await results.write(Audited(at_s=1.0, findings={RULE: 3, "credit sequence has gaps": 1}))
    await note_repaired(stores, [f"{RULE}: alice", "charge not in the ledger: charge:c1"])
    kept = await results.read()
    assert kept.findings == {RULE: 1}
    assert kept.at_s > 1.0
