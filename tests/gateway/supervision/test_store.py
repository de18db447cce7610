"""What accounts let supervisors do, on both databases, and grants that are good once."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.holder import Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.stores import audit_log, holders
from billing.stores import tables
from database.engine import TIMEOUT_S, reading, writing
from gateway.call.supervision import GRANT_S, SILENT_REASON_MAX, Deed, Grant, Mode, Rule
from gateway.operators import Order
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.people_transactions import PeopleTransactions
from gateway.supervision.store import (
    RedisGrants,
    SqlHolderSupervision,
    SqlSupervision,
    erase_rule,
    erase_rule_since,
    supervision_rules,
)
from tests.billing.conftest import client
from tests.gateway.watching.test_report_store import ended

__all__ = ["client"]

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BY_KIM = Order("kim", "the shop asked for it")
TOLD = Notice("supervision_allowed", "ada@example.com", link=Purpose.NOT_ME)
GRANT = Grant(call_id="c1", account_id="shop", reason="training", operator="kim")


class World:
    def __init__(self, engine):
        self.engine = engine
        self.rules = SqlSupervision(engine, clock=lambda: NOW)
        people = PeopleTransactions(engine, self.queue, clock=lambda: NOW)
        self.held = SqlHolderSupervision(people)
        self.told = []

    async def queue(self, _connection, account_id, notice, _at):
        self.told.append((account_id, notice.name))

    async def choose(self, rule, *, epoch=1, may_widen=True):
        return await self.held.choose("alice", epoch, rule, may_widen=may_widen, notice=TOLD)

    async def log(self, account_id):
        async with reading(self.engine, TIMEOUT_S) as connection:
            lines = await audit_log.of_account(connection, account_id, limit=99)
        return [(each.act, each.actor, each.operator, each.reason) for each in lines]


@pytest.fixture
async def world(engine):
    accounts = SqlAccountStore(engine, clock=lambda: NOW)
    for name in ("alice", "shop"):
        await accounts.create_account(name, "USD")
    alice = Holder("alice", "ada@example.com", NOW, "hash", 1, "en", NOW)
    async with writing(engine, TIMEOUT_S) as connection:
        assert await holders.insert(connection, alice, "ada@example.com")
    return World(engine)


async def test_nothing_is_allowed_until_somebody_allows_it(world):
    assert await world.rules.rule("shop") == Rule()
    assert await world.rules.rule("nobody") == Rule()
    assert await world.rules.known_rule("shop") == Rule()
    with pytest.raises(LookupError):
        await world.rules.known_rule("nobody")


async def test_an_operator_sets_the_rule_of_an_account_that_is_no_persons(world):
    for rule, said in (
        (Rule(Mode.WHISPER), "up to whisper"),
        (Rule(Mode.BARGE, "by contract"), "up to barge, without a tone"),
        (Rule(), "off"),
    ):
        assert await world.rules.order("shop", rule, BY_KIM)
        assert await world.rules.rule("shop") == rule
        line = (Act.SUPERVISION_SET, Actor.OPERATOR, "kim", f"{said}: the shop asked for it")
        assert (await world.log("shop"))[0] == line


async def test_a_call_that_is_over_is_known_to_its_account_and_to_operators(world):
    for name in ("over", "live", "forgotten"):
        await ended(world.engine, name, "shop", NOW)
    calls = tables.calls
    changes = {"live": {"closed": False}, "forgotten": {"forgotten_at": NOW}}
    async with writing(world.engine, TIMEOUT_S) as connection:
        for name, values in changes.items():
            await connection.execute(sa.update(calls).where(calls.c.id == name).values(values))
    for whose in ("shop", "alice", None):
        assert await world.rules.is_over("over", whose) is (whose != "alice")
        for name in (*changes, "none"):
            assert not await world.rules.is_over(name, whose)


async def test_of_a_person_no_operator_decides(world):
    assert not await world.rules.order("alice", Rule(Mode.LISTEN), BY_KIM)
    assert await world.rules.rule("alice") == Rule()
    assert await world.log("alice") == []


@pytest.mark.parametrize("account_id", ["nobody", ""])
async def test_there_must_be_an_account(world, account_id):
    with pytest.raises(LookupError):
        await world.rules.order(account_id, Rule(Mode.LISTEN), BY_KIM)


async def test_a_holder_decides_while_their_session_lasts(world):
    rule = Rule(Mode.TAKE_OVER, "they know")
    assert await world.choose(rule, epoch=2) is None
    assert await world.held.rule("alice") == Rule()
    assert await world.choose(rule)
    assert await world.held.rule("alice") == await world.rules.rule("alice") == rule
    assert world.told == [("alice", "supervision_allowed")]
    (line,) = await world.log("alice")
    said = "up to take-over, without a tone: they know"
    assert line == (Act.SUPERVISION_SET, Actor.HOLDER, "", said)


async def test_more_is_allowed_only_by_who_may_and_is_told_of(world):
    """Also against what another page of theirs has set meanwhile."""
    listen, silent = Rule(Mode.LISTEN), Rule(Mode.LISTEN, "they know")
    assert await world.choose(listen, may_widen=False) is False
    assert await world.log("alice") == world.told == []
    for count, rule in enumerate((listen, Rule(Mode.BARGE), Rule(Mode.BARGE, "why")), 1):
        assert await world.choose(rule, may_widen=False) is False
        assert await world.choose(rule)
        assert len(world.told) == len(await world.log("alice")) == count
    # What holds already, or is less, is neither: it takes no proof, and no mail tells of it.
    assert await world.choose(Rule(Mode.BARGE, "why"), may_widen=False)
    assert len(await world.log("alice")) == 3
    for rule in (Rule(Mode.BARGE, "another why"), silent, listen, Rule()):
        assert await world.choose(rule, may_widen=False)
        assert await world.held.rule("alice") == rule
    assert (len(world.told), len(await world.log("alice"))) == (3, 7)


async def test_what_was_set_since_is_forgotten_and_what_is_older_stays(world):
    await world.choose(Rule(Mode.LISTEN))
    async with writing(world.engine, TIMEOUT_S) as connection:
        later = NOW + timedelta(seconds=1)
        assert not await erase_rule_since(connection, "alice", later)
        assert not await erase_rule_since(connection, "shop", NOW)
        assert await erase_rule_since(connection, "alice", NOW)
        assert not await erase_rule_since(connection, "alice", NOW)
    assert await world.held.rule("alice") == Rule()


async def test_a_holder_sees_what_was_done_and_no_operators_name(world):
    grant = msgspec.structs.replace(GRANT, account_id="alice", reason="a: b: c")
    await world.rules.note(grant, Mode.LISTEN)
    own = msgspec.structs.replace(grant, operator="", key_id="k2", reason="x" * 300)
    await world.rules.note(own, Mode.TAKE_OVER)
    await world.choose(Rule(Mode.LISTEN))
    newest, oldest = await world.held.deeds("alice", 9)
    assert oldest == Deed(NOW, "operator", "", "c1", Mode.LISTEN, "a: b: c")
    assert (newest.by, newest.key_id, newest.mode) == ("key", "k2", Mode.TAKE_OVER)
    assert newest.reason.startswith("xxx")
    assert await world.held.deeds("alice", 1) == [newest]
    assert await world.held.deeds("shop", 9) == []


async def test_what_a_supervisor_does_is_in_the_log_of_the_calls_account(world):
    await world.rules.note(GRANT, Mode.LISTEN)
    own = Grant(call_id="c2", account_id="alice", reason="its holder", credentials_epoch=1)
    await world.rules.note(own, Mode.BARGE)
    assert await world.log("shop") == [
        (Act.CALL_SUPERVISED, Actor.OPERATOR, "kim", "c1: listen: training")
    ]
    await world.rules.note(msgspec.structs.replace(own, key_id="k2"), Mode.LISTEN)
    assert await world.log("alice") == [
        (Act.CALL_SUPERVISED, Actor.KEY, "k2", "c2: listen: its holder"),
        (Act.CALL_SUPERVISED, Actor.HOLDER, "", "c2: barge: its holder"),
    ]


async def test_the_longest_reasons_are_kept(world):
    rule = Rule(Mode.LISTEN, "x" * SILENT_REASON_MAX)
    assert await world.choose(rule)
    assert await world.held.rule("alice") == rule
    long = Grant(call_id="c" * 12, account_id="shop", reason="y" * 300, operator="kim")
    await world.rules.note(long, Mode.TAKE_OVER)
    ((*_, reason),) = await world.log("shop")
    assert len(reason) == 300


@pytest.mark.parametrize(("most", "why"), [("spy", ""), ("listen", "x" * 301)])
async def test_the_database_refuses_what_is_no_rule(world, most, why):
    row = {"account_id": "shop", "most": most, "silent_reason": why, "set_at": NOW}
    with pytest.raises(Exception, match="ck_supervision_rules"):
        async with world.engine.begin() as connection:
            await connection.execute(sa.insert(supervision_rules).values(row))


async def test_with_the_account_its_rule_goes(world):
    await world.rules.order("shop", Rule(Mode.LISTEN), BY_KIM)
    async with writing(world.engine, TIMEOUT_S) as connection:
        await erase_rule(connection, "shop")
    assert await world.rules.rule("shop") == Rule()


async def test_a_grant_is_good_once_and_for_a_minute(client, operator):
    grants = RedisGrants(client)
    token = await grants.issue(GRANT)
    (key,) = await operator.keys("caller:supervision-grant:*")
    assert token.encode() not in key
    assert 0 < await operator.ttl(key) <= GRANT_S
    assert await grants.redeem(token + "x") is None
    assert await grants.redeem(token) == GRANT
    assert await grants.redeem(token) is None
