"""What is asked of the book for the rules of admission, when, and how it is applied."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from database.errors import StoreUnavailableError
from gateway.calls.risk import Risk, day_spent, within_day
from gateway.errors import RequestRefusedError
from gateway.limits.fraud import AccountFacts, Allowance, Policy
from tests.gateway.http.test_bearer import Account, Epochs
from tests.limits import limits

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
PERSON = Account(has_holder=True)
SECOND_NS = 1_000_000_000


class Book:
    """What is kept of an account, and how often it was asked for."""

    def __init__(self, standing):
        self.kept, self.asked, self.is_away = standing, 0, False

    async def standing(self, _account_id):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.kept


class World:
    def __init__(self, standing):
        self.now_ns = 0
        self.book = Book(standing)
        policy = Policy(frozenset({"US"}), new_card_days=7, new_card_day_micros=20)
        self.risk = Risk(policy, self.book, Epochs(), lambda: self.now_ns, lambda: AT)


@pytest.fixture
def world():
    return World(AccountFacts(frozenset({"FR"}), AT - timedelta(days=1)))


async def test_what_was_read_is_used_for_ten_seconds_of_one_epoch(world):
    for _ in range(3):
        await world.risk.check_country(PERSON, "e1", "FR")
    assert world.book.asked == 1
    await world.risk.check_country(PERSON, "e2", "FR")
    world.now_ns = 10 * SECOND_NS
    await world.risk.check_country(PERSON, "e2", "FR")
    assert world.book.asked == 3


async def test_while_the_book_is_away_what_was_read_lately_is_used(world):
    await world.risk.check_country(PERSON, "e1", "FR")
    world.book.is_away = True
    world.now_ns = 59 * SECOND_NS
    await world.risk.check_country(PERSON, "e1", "FR")
    with pytest.raises(RequestRefusedError):
        await world.risk.check_country(PERSON, "e1", "DE")
    world.now_ns = 60 * SECOND_NS
    with pytest.raises(StoreUnavailableError):
        await world.risk.check_country(PERSON, "e1", "FR")
    assert await world.risk.lifted(PERSON, "e1") == frozenset()


async def test_nothing_is_asked_for_home_and_for_programs(world):
    await world.risk.check_country(PERSON, "e1", "US")
    await world.risk.check_country(Account(), "e1", "DE")
    assert await world.risk.new_card_bound(Account(), "e1", recheck=True) is None
    assert world.book.asked == 0


async def test_a_bound_holds_for_persons_who_paid_lately(world):
    assert await world.risk.new_card_bound(PERSON, "e1", recheck=True) == 20
    world.book.kept = replace(world.book.kept, lifted={Allowance.NEW_CARD: AT + timedelta(1)})
    assert await world.risk.new_card_bound(PERSON, "e2", recheck=True) is None
    assert await world.risk.lifted(PERSON, "e2") == {Allowance.NEW_CARD}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (limits(), limits(day=7)),
        (limits(day=5, month=9), limits(day=5, month=9)),
        (limits(day=8, call=3, key_day=2), limits(day=7, call=3, key_day=2)),
        (limits(month=9), limits(day=7, month=9)),
    ],
)
def test_the_bound_of_a_day_is_a_budget_like_the_accounts_own(before, after):
    assert within_day(before, "alice", 7) == after
    assert after.caps(AT)[0].name == day_spent("alice", AT)
