"""A grant is worth what stands behind it now: the operator's key, or the holder's session."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.call.supervision import Grant, Mode, Rule
from gateway.errors import RequestRefusedError
from gateway.scopes import Scope
from gateway.stores.accounts import AccountRow
from gateway.supervision.standing_grants import StandingGrants

NOW = datetime(2026, 11, 29, tzinfo=UTC)
KEY = AccountRow("operators", "USD", False, NOW, scopes=frozenset({Scope.ADMIN}))
BY_KEY = Grant(call_id="c1", account_id="shop", reason="training", operator="kim", key_id="k1")
BY_HOLDER = Grant(
    call_id="c1",
    account_id="alice",
    reason="own",
    credentials_epoch=3,
    device_id="d1",
    session_began_at=NOW,
)


class World:
    def __init__(self):
        self.key, self.epoch = KEY, 3
        self.sessions = {("alice", "d1", NOW)}

    async def account_by_key_id(self, key_id):
        return self.key if key_id == "k1" else None

    async def caller(self, account_id, epoch):
        return KEY if (account_id, epoch) == ("alice", self.epoch) else None

    async def goes_on(self, *session):
        return session in self.sessions

    async def rule(self, _account_id):
        return Rule(Mode.LISTEN)

    def grants(self, holders=True):
        return StandingGrants(self, self, self, self if holders else None, lambda: NOW)


async def refusal(grants, grant):
    with pytest.raises(RequestRefusedError) as caught:
        await grants.rule(grant)
    return caught.value.code


async def test_a_key_that_stands_may_what_the_account_allows():
    assert await World().grants().rule(BY_KEY) == Rule(Mode.LISTEN)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "unauthorized"),
        (replace(KEY, scopes=frozenset({Scope.CALLS})), "scope_missing"),
        (replace(KEY, key_expires_at=NOW), "unauthorized"),
        (replace(KEY, is_locked=True), "unauthorized"),
    ],
)
async def test_one_that_stands_no_more_may_nothing(key, code):
    world = World()
    world.key = key
    assert await refusal(world.grants(), BY_KEY) == code


async def test_a_key_is_good_until_it_expires():
    world = World()
    world.key = replace(KEY, key_expires_at=NOW + timedelta(seconds=1))
    assert await world.grants().rule(BY_KEY) == Rule(Mode.LISTEN)


async def test_a_holder_may_while_their_session_lasts():
    world = World()
    assert await world.grants().rule(BY_HOLDER) == Rule(Mode.LISTEN)
    assert await refusal(world.grants(holders=False), BY_HOLDER) == "unauthorized"
    world.epoch = 4
    assert await refusal(world.grants(), BY_HOLDER) == "unauthorized"
    world.epoch, world.sessions = 3, {("alice", "d2", NOW), ("bob", "d1", NOW)}
    assert await refusal(world.grants(), BY_HOLDER) == "unauthorized", "that browser was signed out"


async def test_a_key_of_the_account_supervises_its_own_calls_alone():
    world, own = World(), Grant(call_id="c1", account_id="shop", reason="own", key_id="k1")
    assert await refusal(world.grants(), own) == "unauthorized", (
        "an operator's key is none of the account's"
    )
    world.key = replace(KEY, id="shop", scopes=frozenset({Scope.SUPERVISE}))
    assert await world.grants().rule(own) == Rule(Mode.LISTEN)
    assert await refusal(world.grants(), BY_KEY) == "scope_missing", (
        "and one of an account is no operator's"
    )
    world.key = replace(world.key, id="other")
    assert await refusal(world.grants(), own) == "unauthorized"


async def test_a_grant_of_nobody_is_worth_nothing():
    nobody = Grant(call_id="c1", account_id="shop", reason="training")
    assert await refusal(World().grants(), nobody) == "unauthorized"
