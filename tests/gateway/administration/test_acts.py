"""The acts of operators: what is done after the book is changed, and in which order."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.session import Session
from database.errors import StoreUnavailableError
from gateway.administration.acts import Administration
from gateway.administration.ports import LIFTED_MAX, AccountState, FoundAccount
from gateway.errors import RequestRefusedError
from gateway.limits.fraud import Allowance
from gateway.operators import Order

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BY_KIM = Order("kim", "calls at night")


def state_of(account_id, **changes):
    found = FoundAccount(
        account_id, "", account_id != "program", False, False, account_id == "gone", NOW
    )
    values = {
        "currency": "USD",
        "balance_micros": 5,
        "freezes": (),
        "is_proven": True,
        "locked_at": None,
        "has_second_factor": False,
        "credentials_epoch": 2,
        "last_sign_in_at": None,
        "devices": 0,
        "keys": 0,
        "opened": (),
        "lifted": {},
    }
    return AccountState(found, **(values | changes), refusals=())


class World:
    """Everything that an act touches, in the order in which it does."""

    def __init__(self):
        self.done, self.kept, self.stays_frozen = [], [], False
        self.is_untold = False
        self.admin = Administration(
            self, self, self.freeze_gate, self.end_key_epoch, self.credit, lambda: NOW
        )

    def _did(self, *what):
        self.done.append(what)

    async def state(self, account_id):
        return state_of(account_id)

    async def freeze(self, account_id, frozen, order):
        self._did("book", account_id, frozen, order)
        return frozen or self.stays_frozen

    async def freeze_gate(self, account_id, frozen):
        self._did("gate", account_id, frozen)

    async def end_key_epoch(self):
        if self.is_untold:
            raise StoreUnavailableError("away")
        self._did("epoch")

    async def credit(self, account_id, micros, reference):
        self._did("credit", account_id, micros, reference)
        return True

    async def end_all(self, account_id):
        self._did("sessions", account_id)

    async def of_account(self, _account_id):
        return self.kept

    def __getattr__(self, name):
        async def act(*arguments):
            self._did(name, *arguments)

        return act


@pytest.fixture
def world():
    return World()


async def test_a_freeze_reaches_the_gate_after_the_book_and_then_every_node(world):
    await world.admin.freeze("ada", BY_KIM, frozen=True)
    assert world.done == [("book", "ada", True, BY_KIM), ("gate", "ada", True), ("epoch",)]
    world.done.clear()
    world.stays_frozen = True
    await world.admin.freeze("gone", BY_KIM, frozen=False)
    assert world.done[1] == ("gate", "gone", True)


@pytest.mark.parametrize("act", ["lock", "sign_out"])
async def test_who_is_put_out_is_out_everywhere(world, act):
    await getattr(world.admin, act)("ada", BY_KIM)
    assert world.done == [(act, "ada", BY_KIM), ("epoch",), ("sessions", "ada")]


async def test_who_is_let_in_again_is_known_everywhere(world):
    await world.admin.unlock("ada", BY_KIM)
    assert world.done == [("unlock", "ada", BY_KIM), ("epoch",)]


async def test_a_lost_second_factor_is_taken_away_and_all_sessions_with_it(world):
    await world.admin.reset_second_factor("ada", BY_KIM)
    assert world.done == [("reset_second_factor", "ada", BY_KIM), ("epoch",), ("sessions", "ada")]
    world.done.clear()
    with pytest.raises(LookupError):
        await world.admin.reset_second_factor("program", BY_KIM)
    assert world.done == []


async def test_an_act_that_nodes_are_not_told_of_is_to_be_repeated(world):
    world.is_untold = True
    with pytest.raises(StoreUnavailableError):
        await world.admin.lock("ada", BY_KIM)


async def test_credit_is_booked_before_it_is_written_down(world):
    for micros, amount in ((-5, "$0.0000"), (50_000, "$0.05")):
        assert await world.admin.credit("ada", micros, "r1", BY_KIM)
        assert world.done == [
            ("credit", "ada", micros, "r1"),
            ("note_credit", "ada", "r1", amount, BY_KIM),
        ]
        world.done.clear()
    with pytest.raises(RequestRefusedError) as refused:
        await world.admin.credit("ada", -6, "r2", BY_KIM)
    assert refused.value.code == "balance_too_low"
    with pytest.raises(LookupError):
        await world.admin.credit("gone", 6, "r2", BY_KIM)
    assert world.done == []


async def test_a_rule_is_lifted_for_a_while_only(world):
    rule = Allowance.COUNTRIES
    for until in (NOW, NOW + LIFTED_MAX + timedelta(seconds=1)):
        with pytest.raises(ValueError, match="in the future"):
            await world.admin.lift("ada", rule, until, BY_KIM)
    assert world.done == []
    await world.admin.lift("ada", rule, NOW + LIFTED_MAX, BY_KIM)
    await world.admin.restore("ada", rule, BY_KIM)
    assert world.done == [
        ("lift", "ada", rule, NOW + LIFTED_MAX, BY_KIM),
        ("epoch",),
        ("restore", "ada", rule, BY_KIM),
        ("epoch",),
    ]


async def test_sessions_that_stand_are_of_this_epoch_and_nobody_is_locked_out(world):
    old, new = (Session("ada", "d", frozenset(), epoch, NOW, NOW, NOW) for epoch in (1, 2))
    world.kept = [("a", old), ("b", new)]
    assert await world.admin.sessions_of(state_of("ada")) == [new]
    assert await world.admin.sessions_of(state_of("ada", locked_at=NOW)) == []
    assert await world.admin.sessions_of(state_of("ada", credentials_epoch=None)) == []
