"""Keys of people: the calls of the store, and the person's answer."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.link import Purpose
from gateway.errors import RequestRefusedError
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.own_keys import KeyMaking
from gateway.people.keys import KeyForm, KeyMade, Keys, secret_of
from gateway.scopes import PAGE, Scope
from tests.gateway.people.memory import World

FORM = KeyForm("  my   robot ", frozenset({Scope.CALLS}), 5_000_000, 30)


class Store:
    """`HolderKeys` that does what the test says."""

    def __init__(self, outcome=KeyMaking.MADE, *, stands=True):
        self.outcome, self.stands = outcome, stands
        self.made, self.revoked = [], []

    async def standing(self, account_id):
        return [account_id]

    async def make(self, *what):
        self.made.append(what)
        return self.outcome

    async def revoke(self, *what):
        self.revoked.append(what)
        return self.stands


@pytest.fixture
async def ada():
    world = World()
    world.add()
    return world, await world.enter()


async def make(ada, store, form=FORM):
    world, who = ada
    return await Keys(store, world.velocity, lambda: world.now).make(
        who, form, secret="ck_x", key_hash="ab"
    )


async def test_a_key_is_made_as_the_form_says(ada):
    (world, who), store = ada, Store()
    assert await make(ada, store) == KeyMade("my robot", "ck_x")
    ((account_id, epoch, new, notice),) = store.made
    assert (account_id, epoch) == ("ada", 1)
    assert (new.key_hash, new.label, new.scopes) == ("ab", "my robot", FORM.scopes)
    assert (new.day_cap_micros, new.expires_at) == (5_000_000, world.now + timedelta(days=30))
    assert (notice.name, notice.recipient) == ("key_made", who.holder.email)
    assert (notice.link, notice.reach) == (Purpose.NOT_ME, who.session.began_at)
    told = {"label": "my robot", "at": world.now.isoformat(), "scopes": "calls"}
    assert notice.values == told
    await make(ada, store, replace(FORM, days=None))
    assert store.made[-1][2].expires_at is None


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"label": " "}, {"label": "label_needed"}),
        ({"label": "a\u202eb"}, {"label": "characters_hidden"}),
        ({"label": "x" * 41}, {"label": "label_long"}),
        ({"scopes": frozenset()}, {"calls": "scopes_needed"}),
        ({"scopes": frozenset(Scope)}, {"calls": "scopes_needed"}),
        ({"days": 7}, {"days": "days_invalid"}),
    ],
)
async def test_what_is_wrong_with_the_form_is_told(ada, changes, errors):
    store = Store()
    assert await make(ada, store, replace(FORM, **changes)) == Faults(errors)
    assert not store.made
    assert Scope.ADMIN not in PAGE


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (KeyMaking.SESSION_OVER, SessionOver()),
        (KeyMaking.TOO_MANY, Faults({"label": "keys_too_many"})),
        (KeyMaking.REVOKED, Faults({"label": "key_revoked"})),
    ],
)
async def test_what_the_store_refuses_is_told(ada, outcome, told):
    assert await make(ada, Store(outcome)) == told


async def test_so_many_keys_an_hour_that_their_mails_hold_up_no_other(ada):
    store = Store()
    ada[0].velocity.refuses["account_keys_hour"] = 60
    with pytest.raises(RequestRefusedError) as refused:
        await make(ada, store)
    assert (refused.value.code, store.made) == ("rate_limited", [])


async def test_a_key_needs_a_proof_of_the_last_minutes(ada):
    ada[0].later(minutes=10)
    store = Store()
    assert await make(ada, store) == StepUpNeeded()
    assert not store.made


async def test_a_key_is_revoked_within_the_epoch_of_the_session(ada):
    world, who = ada
    for store, told in ((Store(), None), (Store(stands=False), SessionOver())):
        assert await Keys(store, world.velocity, lambda: world.now).revoke(who, "k1") == told
        assert store.revoked == [("ada", 1, "k1")]
    assert await Keys(Store(), world.velocity, lambda: world.now).standing(who) == ["ada"]


@given(st.text(min_size=1), st.text())
def test_a_form_makes_one_key_and_another_form_another(session, once):
    secret = secret_of(session, once)
    assert secret == secret_of(session, once)
    assert len(secret) == 24
    assert secret.isascii()
    assert secret not in (secret_of(session, once + "x"), secret_of(session + "x", once))
