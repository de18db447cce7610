"""What a call token is worth when it is redeemed, after what it depends on has changed."""

from datetime import timedelta

import msgspec
import pytest

from billing.spend_limits import Budget, Period, SpendLimits
from database.errors import StoreUnavailableError
from gateway.calls.redemption import Redemption
from gateway.embed.found_button import FoundButton
from gateway.embed.hours import OpeningHours
from gateway.embed.keys import KeyMode
from gateway.embed.rules import ButtonRules, CallAllowance
from gateway.embed.terms import VisitorTerms
from gateway.ports import CallOrder
from gateway.scopes import PAGE, Scope
from tests.gateway.http.test_bearer import NOW, Account, Accounts, Epochs

ORDER = CallOrder(
    account_id="alice",
    destination="+15005551000",
    country="US",
    codec="pcmu",
    origin="",
    currency="USD",
    rate="",
    rate_description="",
    key_id="k1",
    key_epoch="e1",
)


class Buttons:
    """`embed.found_button.ButtonKeys` in memory."""

    def __init__(self):
        self.by = {}

    async def by_key(self, key):
        return self.by.get(key)


class Desk:
    """Redeems tokens on a clock that the test moves; there is one key, k1."""

    def __init__(self):
        self.now = NOW
        self.accounts, self.epochs, self.buttons = Accounts(), Epochs(), Buttons()
        self.accounts.by_hash["of k1"] = Account()
        redemption = Redemption(self.accounts, self.epochs, self.buttons, lambda: self.now)
        self.redeem = redemption.redeem

    def change(self, **fields):
        """Change the key, and end the epoch, as every change must."""
        self.accounts.by_hash["of k1"] = Account(**fields)
        self.epochs.epoch += "."

    async def may_begin(self, order):
        """Return whether an order is as good as when its token was issued."""
        redeemed = await self.redeem(order)
        assert redeemed in (None, (order, ""))
        return redeemed is not None


@pytest.fixture
def desk():
    return Desk()


async def test_an_orders_epoch_speaks_for_its_key_only_while_sql_is_away(desk):
    desk.accounts.is_away = True
    assert await desk.may_begin(ORDER)
    with pytest.raises(StoreUnavailableError):
        await desk.may_begin(msgspec.structs.replace(ORDER, key_epoch="before"))
    # As after a failover to a copy that has not heard of the change.
    desk.accounts.is_away = False
    desk.change(scopes=PAGE - {Scope.CALLS})
    assert not await desk.may_begin(ORDER)


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"key_id": "k2"}, False),
        ({"scopes": PAGE - {Scope.CALLS}}, False),
        ({"key_expires_at": NOW}, False),
        ({"key_expires_at": NOW + timedelta(seconds=1)}, True),
        ({"frozen": True}, True),
    ],
)
async def test_an_order_of_an_earlier_epoch_is_as_good_as_its_key(desk, changes, is_good):
    desk.change(**changes)
    assert await desk.may_begin(ORDER) == is_good
    desk.epochs.is_away = True
    assert await desk.may_begin(ORDER) == is_good
    desk.accounts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await desk.may_begin(ORDER)


async def test_a_frozen_account_checks_no_line(desk):
    desk.change(frozen=True)
    check = msgspec.structs.replace(ORDER, is_check=True)
    assert not await desk.may_begin(check)


async def test_an_order_ends_with_its_key(desk):
    expiring = msgspec.structs.replace(ORDER, key_expires_at=NOW + timedelta(seconds=1))
    assert await desk.may_begin(expiring)
    desk.now += timedelta(seconds=1)
    assert not await desk.may_begin(expiring)


# Orders of visitors.

KEY = "pk_live_" + "a" * 24


@pytest.mark.parametrize("then", [SpendLimits(), SpendLimits(9, (Budget("a", Period.DAY, 9),))])
async def test_a_limit_that_is_lowered_holds_for_a_token_that_was_given_out(desk, then):
    order = msgspec.structs.replace(ORDER, limits=then)
    assert await desk.may_begin(order)
    now = SpendLimits(3, (Budget("a", Period.DAY, 5),))
    desk.change(limits=now)
    redeemed, refusal = await desk.redeem(order)
    assert (redeemed.limits, refusal) == (now, "")


RULES = ButtonRules(
    title="Sales", destination="+15005551000", seconds_max=600, day_cap_micros=10**6
)
TERMS = VisitorTerms(button_id="b1", key=KEY, seconds_max=600, calls_max=2, era="era 1")
OF_ACCOUNT = Budget("account:alice", Period.DAY, 5)


def key_limits(day):
    return SpendLimits(None, (OF_ACCOUNT, Budget("key:k1", Period.DAY, day)))


VISITORS = msgspec.structs.replace(ORDER, visitor=TERMS, limits=key_limits(10**6))


@pytest.fixture
def shop(desk):
    """Return the desk of a gateway with a button, whose token is given out already."""
    set_button(desk)
    return desk


def set_button(desk, *, is_paused=False, **changes):
    """Have the button as its owner sets it, with all that a change does to its API key."""
    rules = msgspec.structs.replace(RULES, **changes)
    ids = ("b1", "alice", "k1", KeyMode.LIVE)
    desk.buttons.by[KEY] = FoundButton(*ids, rules, is_paused=is_paused, key=KEY, ends_at=None)
    desk.change(scopes={Scope.EMBED}, limits=key_limits(rules.day_cap_micros))


async def test_a_visitors_order_of_a_button_as_it_was_is_as_it_was(shop):
    assert await shop.may_begin(VISITORS)


async def test_a_visitors_call_begins_under_what_its_owner_has_set_by_then(shop):
    amounts = CallAllowance(visitor_day=1, visitor_hour=1)
    set_button(shop, day_cap_micros=1_000, seconds_max=30, calls_at_once=1, amounts=amounts)
    order, refusal = await shop.redeem(VISITORS)
    assert refusal == ""
    assert order.limits == key_limits(1_000)
    terms = order.visitor
    assert (terms.seconds_max, terms.calls_max, terms.amounts) == (30, 1, amounts)
    assert (terms.button_id, terms.key, terms.era) == ("b1", KEY, "era 1")


async def test_a_promise_that_is_no_rule_of_the_buttons_is_kept(shop):
    """As the bound of a new card, which the account's own limits do not show."""
    bound = Budget("account:alice", Period.DAY, 3)
    limits = SpendLimits(7, (bound, key_limits(10**6).budgets[1]))
    assert await shop.may_begin(msgspec.structs.replace(VISITORS, limits=limits))


@pytest.mark.parametrize(
    ("number", "is_signed", "may"),
    [
        (RULES.destination, False, True),
        (RULES.destination, True, True),
        ("+15005551001", False, False),
        ("+15005551001", True, False),
        ("", False, False),
        ("", True, True),
    ],
)
async def test_a_number_that_the_button_calls_no_more_is_not_called(shop, number, is_signed, may):
    """Empty: the owner's back end names each call's."""
    set_button(shop, destination=number)
    terms = msgspec.structs.replace(TERMS, is_signed=is_signed)
    order = msgspec.structs.replace(VISITORS, visitor=terms)
    assert (await shop.redeem(order))[1] == ("" if may else "bad_token")
    check = msgspec.structs.replace(order, is_check=True, destination="")
    assert (await shop.redeem(check))[1] == ""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_paused": True}, "button_paused"),
        ({"hours": OpeningHours(week=((),) * 7)}, "button_closed"),
    ],
)
@pytest.mark.parametrize("is_check", [False, True])
async def test_a_button_that_takes_no_calls_by_then_says_so(shop, changes, code, is_check):
    set_button(shop, **changes)
    order = msgspec.structs.replace(VISITORS, is_check=is_check)
    assert (await shop.redeem(order))[1] == code


async def test_a_key_that_was_turned_or_whose_account_is_locked_says_what_is_true(shop):
    shop.change(scopes={Scope.EMBED}, is_locked=True)
    assert (await shop.redeem(VISITORS))[1] == "account_frozen"
    shop.buttons.by.clear()
    assert (await shop.redeem(VISITORS))[1] == "button_not_found"


async def test_who_signed_a_visitors_order_must_still_be_allowed_to(shop):
    signed = msgspec.structs.replace(TERMS, signer_key_id="k2")
    order = msgspec.structs.replace(VISITORS, visitor=signed)
    shop.accounts.by_hash["of k2"] = Account(key_id="k2")
    assert await shop.may_begin(order)
    shop.accounts.by_hash["of k2"] = Account(key_id="k2", scopes=PAGE - {Scope.CALLS})
    assert not await shop.may_begin(order)
