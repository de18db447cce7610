"""When a node without a lease is believed gone: in virtual time."""

import asyncio

import pytest

from database.errors import StoreUnavailableError
from gateway.charging import node_watch
from gateway.charging.node_watch import NodeWatch, lease_s
from tests.gateway.virtual_time import virtual_loop


class Leases:
    """A store of leases that keeps what it is told, until it does not."""

    def __init__(self):
        self.lives = {"n2": True}
        self.is_held = True
        self.is_away = False
        self.renewed = []

    async def renew(self, node):
        if self.is_away:
            raise StoreUnavailableError("away")
        self.renewed.append(node)
        return self.is_held

    async def nodes(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        return dict(self.lives)

    async def forget(self, node):
        del self.lives[node]


@pytest.fixture
async def leases():
    return Leases()


@pytest.fixture
async def watch(leases):
    return NodeWatch(leases, "n1", virtual_loop().clock_ns)


async def renew_for(watch, seconds):
    for _ in range(seconds):
        await watch.renew()
        await asyncio.sleep(1)


async def test_the_own_lease_is_renewed_and_given_back(leases, watch):
    await watch.renew()
    assert leases.renewed == ["n1"]
    await watch.forget("n2")
    assert leases.lives == {}


def test_who_is_missed_is_never_this_node():
    watch = NodeWatch(Leases(), "n1", lambda: 0)
    lives = {"n2": True, "n3": False}
    assert watch.missed(lives, {"n1", "n2", "n3", "n4"}) == {"n3", "n4"}


async def test_nobody_is_asked_for_where_nobody_is_missed(leases, watch):
    assert not await watch.gone(set())
    assert leases.renewed == []


async def test_the_missed_are_gone_once_the_store_has_proved_itself_for_two_renewals(watch):
    assert not await watch.gone({"n2"})
    await renew_for(watch, 9)
    assert not await watch.gone({"n2"})
    await renew_for(watch, 1)
    assert await watch.gone({"n2"}) == {"n2"}


@pytest.mark.parametrize("fault", ["forgets", "away to a renewal", "away to a look"])
async def test_a_store_that_faults_must_prove_itself_again(leases, watch, fault):
    await renew_for(watch, 60)
    leases.is_held, leases.is_away = fault != "forgets", fault != "forgets"
    if fault == "forgets":
        assert not await watch.gone({"n2"}), "it has forgotten since the last renewal"
    else:
        with pytest.raises(StoreUnavailableError):
            await (watch.nodes() if fault.endswith("look") else watch.gone({"n2"}))
    leases.is_held, leases.is_away = True, False
    assert not await watch.gone({"n2"})
    await renew_for(watch, 11)
    assert await watch.gone({"n2"}) == {"n2"}


async def test_renewals_take_turns(leases, watch):
    """Each asks what became of the one before."""
    under_way = []

    async def renew(_node):
        under_way.append(True)
        assert len(under_way) == 1
        await asyncio.sleep(0.1)
        under_way.pop()
        return True

    leases.renew = renew
    await asyncio.gather(*(watch.renew() for _ in range(5)))


@pytest.mark.parametrize(("horizon_s", "grace_s"), [(2, 0), (8, 6), (30, 30)])
def test_a_lease_outlasts_what_a_call_may_use_alone(horizon_s, grace_s):
    assert lease_s(horizon_s, grace_s) >= max(20, horizon_s + grace_s + node_watch.RENEWAL_S)
