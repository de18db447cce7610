"""When a call counts, and whose allowance it uses."""

import msgspec
import pytest

from gateway.calls.counting import begun, held
from gateway.embed.rules import CallAllowance
from gateway.embed.terms import VisitorTerms
from gateway.limits.velocity import Use
from gateway.limits.velocity_limits import SHORT_CALLS
from tests.gateway.calls.test_live import Velocity
from tests.gateway.stage import order

PEER = "192.0.2.1:5060"
TERMS = VisitorTerms(
    button_id="b1",
    key="pk_live_1",
    seconds_max=60,
    calls_max=2,
    visitor="v1",
    network="n1",
    amounts=CallAllowance(visitor_hour=3, visitor_day=5, network_hour=7, button_hour=9),
)
OWN = [Use("visitor_button_calls_hour", "v1", 3), Use("visitor_button_calls_day", "v1", 5)]
NETWORK = [Use("network_button_calls_hour", "n1", 7), Use("network_button_calls_day", "n1", 60)]
BUTTON = [Use("button_calls_hour", "b1", 9), Use("button_calls_day", "b1", 500)]


@pytest.fixture
def velocity():
    return Velocity()


def visitors(**changes):
    return order(visitor=msgspec.structs.replace(TERMS, **changes))


def names(uses):
    return [use.limit for use in uses]


async def test_a_call_counts_at_its_beginning_and_once(velocity):
    asked = order(lifted=("velocity",))
    assert await begun(velocity, asked, PEER) is None
    assert "account_calls_hour" not in names(velocity.used)
    velocity.used.clear()
    assert await begun(velocity, order(), PEER) is None
    assert "account_calls_hour" in names(velocity.used)
    velocity.used.clear()
    assert await held(velocity, order()) == ""
    assert velocity.used == []
    assert await begun(velocity, order(is_check=True), PEER) is None
    assert velocity.used == []


async def test_a_visitors_call_counts_for_them_first_and_for_all_once_it_is_held(velocity):
    assert await begun(velocity, visitors(), PEER) is None
    assert velocity.used == OWN + NETWORK
    assert velocity.looked[:2] == BUTTON
    assert names(velocity.looked[2:]) == ["account_calls_minute", "account_calls_hour"]
    velocity.used.clear()
    assert await held(velocity, visitors()) == ""
    assert velocity.used == velocity.looked


async def test_a_number_that_was_signed_is_watched_like_any(velocity):
    await held(velocity, visitors(is_signed=True))
    assert {"number_calls_hour", SHORT_CALLS} <= set(names(velocity.used))


async def test_who_is_refused_for_themselves_uses_up_nobody_elses_calls(velocity):
    velocity.refuses = {"visitor_button_calls_day": 5}
    refusal = await begun(velocity, visitors(), PEER)
    assert (refusal.limit.code, refusal.wait_s) == ("button_limited", 5)
    assert velocity.used == OWN
    assert velocity.looked == []


async def test_what_all_share_is_looked_at_before_and_decided_when_it_is_counted(velocity):
    velocity.refuses = {"button_calls_hour": 60}
    assert (await begun(velocity, visitors(), PEER)).wait_s == 60
    assert await held(velocity, visitors()) == "button_limited"
    velocity.refuses = {"account_calls_minute": 60}
    assert await held(velocity, visitors()) == "calls_limited"


async def test_an_echo_counts_for_its_visitor_alone(velocity):
    echo = msgspec.structs.replace(visitors(), is_check=True)
    velocity.refuses = {"button_calls_hour": 60}
    assert await begun(velocity, echo, PEER) is None
    assert velocity.used == OWN + NETWORK
