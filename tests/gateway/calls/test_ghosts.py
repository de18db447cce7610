"""Carrier calls that no call lives on: ended until that is confirmed, by whoever may."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from billing.ports import OpenCall
from database.errors import StoreUnavailableError
from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.call.ghost import Ghost
from gateway.calls import ghosts as ghosts_module
from gateway.calls.ghosts import INTERVAL_S, Ghosts
from gateway.cause import Cause
from gateway.charging.node_watch import NodeWatch
from gateway.errors import CarrierError
from tests.gateway.virtual_time import virtual_loop

LIFETIME_S = 1_000.0
AWAY = CarrierError("The carrier gave no answer.", cause=Cause.NETWORK_OUT_OF_ORDER)


class Store:
    """`gateway.call.ghost.GhostStore` in memory."""

    def __init__(self):
        self.ghosts: dict[str, Ghost] = {}
        self.is_away = False
        self.is_full = False

    def _ask(self):
        if self.is_away:
            raise StoreUnavailableError("away")

    async def note(self, carrier_call_id, ghost):
        self._ask()
        if self.is_full:
            return None
        return self.ghosts.setdefault(carrier_call_id, ghost)

    async def all(self):
        self._ask()
        return dict(self.ghosts)

    async def claim(self, carrier_call_id, seen, claimed):
        self._ask()
        if self.ghosts.get(carrier_call_id) != seen:
            return False
        self.ghosts[carrier_call_id] = claimed
        return True

    async def forget(self, carrier_call_id):
        self._ask()
        self.ghosts.pop(carrier_call_id, None)


class Carrier:
    """A carrier whose calls end when it says so."""

    def __init__(self):
        self.ended: list[tuple[float, str]] = []
        self.replies: dict[str, list[str | CarrierError]] = {}
        """Carrier call -> its next replies; `cancelled` when there are no more."""
        self.hangs = False
        self.shows: dict[str, str | CarrierError] = {}
        """Carrier call -> what a read tells; `answered` for others."""
        self.read: list[str] = []

    async def fetch(self, carrier_call_id):
        self.read.append(carrier_call_id)
        shown = self.shows.get(carrier_call_id, "answered")
        if isinstance(shown, CarrierError):
            raise shown
        return CarrierStatus(carrier_call_id, CarrierState(shown))

    async def hang_up(self, carrier_call_id):
        self.ended.append((virtual_loop().time(), carrier_call_id))
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0.1)
        replies = self.replies.get(carrier_call_id)
        reply = replies.pop(0) if replies else "cancelled"
        if isinstance(reply, CarrierError):
            raise reply
        return CarrierStatus(carrier_call_id, CarrierState(reply))


class Leases:
    """Who lives."""

    def __init__(self):
        self.lives = {"n1": True, "n2": True}

    async def nodes(self):
        return dict(self.lives)

    async def renew(self, node):
        """Say whether the lease was still held."""
        return self.lives.get(node, False)


class Node:
    """One process: what it knows, and its duty."""

    def __init__(self, cluster, name):
        self.live: set[tuple[str, str]] = set()
        self.watch = NodeWatch(cluster.leases, name, virtual_loop().clock_ns)
        self.ghosts = Ghosts(
            cluster.store,
            self.watch,
            cluster.carrier,
            owns=lambda call_id, carrier_call_id: (call_id, carrier_call_id) in self.live,
            open_calls=cluster.open_calls,
            lifetime_s=LIFETIME_S,
            wall_clock_s=virtual_loop().time,
        )
        self.duty = asyncio.ensure_future(self._rounds())

    async def _rounds(self):
        while True:
            try:
                await self.ghosts.round()
            except StoreUnavailableError:
                pass
            await asyncio.sleep(INTERVAL_S)

    async def dies(self):
        self.duty.cancel()
        await self.ghosts.stop()


class Cluster:
    """Nodes that share a list, and a carrier."""

    def __init__(self):
        self.store, self.carrier, self.leases = Store(), Carrier(), Leases()
        self.nodes = []
        self.listings = 0
        self.held: dict[str, str] = {}
        """Carrier call -> node, as the spend gate has it."""

    async def open_calls(self):
        self.store._ask()
        await asyncio.sleep(0.01)
        self.listings += 1
        return [OpenCall("c", "alice", node, 1, 1, sid) for sid, node in self.held.items()]

    def node(self, name):
        self.nodes.append(Node(self, name))
        return self.nodes[-1]


@pytest.fixture
async def cluster():
    cluster = Cluster()
    yield cluster
    for node in cluster.nodes:
        await node.dies()


async def test_a_ghost_is_ended_at_once_and_forgotten(cluster):
    node = cluster.node("n1")
    begun_s = virtual_loop().time()
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.2)
    assert [(round(at_s - begun_s, 2), sid) for at_s, sid in cluster.carrier.ended] == [
        (0.01, "CA1")
    ]
    assert cluster.store.ghosts == {}


async def test_a_call_that_the_carrier_shows_over_is_read_once_and_not_ended(cluster):
    """A callback of it was overtaken by the one of its end; more of them follow."""
    node = cluster.node("n1")
    cluster.carrier.shows["CA1"] = "completed"
    for _ in range(20):
        node.ghosts.found("CA1", "c1", "n1")
        await asyncio.sleep(0.5)
    assert (cluster.carrier.read, cluster.carrier.ended) == (["CA1"], [])
    assert cluster.store.ghosts == {}


async def test_a_call_that_goes_on_after_its_end_was_confirmed_is_ended_again(cluster):
    """The carrier's reply to the order, or its callback, said so, and the phone talks on."""
    node = cluster.node("n1")
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(1)
    cluster.carrier.replies["CA1"] = ["answered", "completed"]
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(10)
    assert len(cluster.carrier.ended) == 3
    assert cluster.store.ghosts == {}


@pytest.mark.parametrize("shown", ["unknown", AWAY])
async def test_a_call_that_cannot_be_read_is_ended_all_the_same(cluster, shown):
    node = cluster.node("n1")
    cluster.carrier.shows["CA1"] = shown
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(1)
    assert len(cluster.carrier.ended) == 1
    assert cluster.store.ghosts == {}


async def test_few_are_remembered_as_over(cluster, monkeypatch):
    monkeypatch.setattr(ghosts_module, "OVER_MAX", 2)
    node = cluster.node("n1")
    cluster.carrier.shows = {f"CA{n}": "completed" for n in range(3)}
    for _ in range(2):
        for n in reversed(range(3)):
            node.ghosts.found(f"CA{n}", "c1")
            await asyncio.sleep(0.5)
    assert cluster.carrier.read == ["CA2", "CA1", "CA0", "CA2", "CA1", "CA0"]
    assert len(node.ghosts._over) == 2


async def test_a_word_about_one_call_never_ends_the_call_of_another_node(cluster):
    """Signed, at the address of a call of this node, and with the carrier call of another one."""
    node = cluster.node("n1")
    cluster.held = {"CA1": "n2"}
    for _ in range(3):
        node.ghosts.found("CA1", "c1", "n1")
        await asyncio.sleep(2)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}


async def test_a_node_whose_lease_is_lost_holds_its_calls_until_it_is_proved_gone(cluster):
    node = cluster.node("n1")
    cluster.held = {"CA1": "n2"}
    cluster.leases.lives = {"n1": True}
    node.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(5)
    assert cluster.carrier.ended == []


async def test_while_the_gate_is_away_a_call_that_may_be_another_nodes_lives(cluster):
    node = cluster.node("n1")
    cluster.held = {"CA1": "n2"}
    cluster.store.is_away = True
    node.ghosts.found("CA1", "c1")
    node.ghosts.found("CA2", "c1")
    await asyncio.sleep(10)
    assert cluster.carrier.ended == []
    cluster.store.is_away = False
    await asyncio.sleep(10)
    assert [sid for _, sid in cluster.carrier.ended] == ["CA2"]
    assert cluster.store.ghosts == {}


async def test_a_call_that_is_named_to_its_own_meanwhile_lives(cluster):
    node = cluster.node("n1")
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.005)
    node.live.add(("c1", "CA1"))
    await asyncio.sleep(5)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}


async def test_a_burst_asks_the_gate_once(cluster):
    node = cluster.node("n1")
    for n in range(100):
        node.ghosts.found(f"CA{n}", f"c{n}")
    await asyncio.sleep(1)
    assert len(cluster.carrier.ended) == 100
    assert cluster.listings == 1


async def test_what_a_call_lives_on_is_left_alone(cluster):
    node = cluster.node("n1")
    node.live.add(("c1", "CA1"))
    node.ghosts.found("CA1", "c1")
    node.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(5)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}


async def test_it_is_ended_again_until_that_is_confirmed(cluster):
    """The first replies come of reads that do not show it yet."""
    node = cluster.node("n1")
    cluster.carrier.replies["CA1"] = ["unknown", AWAY, "ringing", "answered", "completed"]
    begun_s = virtual_loop().time()
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(30)
    times = [at_s - begun_s for at_s, _ in cluster.carrier.ended]
    assert len(times) == 5
    assert times[1] < 2.5
    assert times[-1] < 20
    assert cluster.store.ghosts == {}


async def test_repeated_callbacks_make_no_more_requests(cluster):
    node = cluster.node("n1")
    for _ in range(50):
        node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.05)
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(5)
    assert len(cluster.carrier.ended) == 1


async def test_it_is_asked_for_less_and_less_often_and_not_for_ever(cluster):
    node = cluster.node("n1")
    cluster.carrier.replies["CA1"] = ["unknown"] * 999
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(LIFETIME_S - 100)
    assert "CA1" in cluster.store.ghosts
    assert len(cluster.carrier.ended) < 40
    with capture_logs() as logs:
        await asyncio.sleep(300)
    assert cluster.store.ghosts == {}
    asked = len(cluster.carrier.ended)
    await asyncio.sleep(300)
    assert len(cluster.carrier.ended) == asked
    (told,) = [line for line in logs if line["event"] == "ghost given up"]
    assert (told["carrier_call_id"], told["call_id"]) == ("CA1", "c1")


async def test_a_carrier_that_hangs_costs_a_bounded_time(cluster):
    node = cluster.node("n1")
    cluster.carrier.hangs = True
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(ghosts_module.ATTEMPT_S + 2)
    cluster.carrier.hangs = False
    await asyncio.sleep(10)
    assert cluster.store.ghosts == {}


async def test_it_outlives_the_process_that_learnt_of_it(cluster):
    node = cluster.node("n1")
    cluster.carrier.replies["CA1"] = ["answered"]
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.2)
    await node.dies()
    cluster.node("n1")
    await asyncio.sleep(5)
    assert len(cluster.carrier.ended) == 2
    assert cluster.store.ghosts == {}


async def test_a_process_that_dies_while_it_asks_is_followed_by_the_next(cluster):
    node = cluster.node("n1")
    cluster.carrier.hangs = True
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.1)
    await node.dies()
    cluster.carrier.hangs = False
    cluster.node("n1")
    await asyncio.sleep(ghosts_module.ATTEMPT_S + 2)
    assert cluster.store.ghosts == {}


async def test_another_node_goes_on_once_the_first_is_gone(cluster):
    node, _ = cluster.node("n1"), cluster.node("n2")
    cluster.carrier.replies["CA1"] = ["answered"]
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(0.2)
    await node.dies()
    await asyncio.sleep(20)
    assert "CA1" in cluster.store.ghosts, "its node has a lease, and may come back"
    cluster.leases.lives["n1"] = False
    await asyncio.sleep(15)
    assert cluster.store.ghosts == {}


async def test_a_callback_that_comes_to_the_wrong_node_never_ends_a_live_call(cluster):
    first, other = cluster.node("n1"), cluster.node("n2")
    first.live.add(("c1", "CA1"))
    other.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(10)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}, "the node whose call it is has said so"


async def test_a_callback_that_comes_to_the_wrong_node_ends_a_call_that_is_over(cluster):
    cluster.node("n1")
    other = cluster.node("n2")
    other.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(2)
    assert [sid for _, sid in cluster.carrier.ended] == ["CA1"]
    assert cluster.store.ghosts == {}


async def test_a_callback_of_a_node_that_is_gone_ends_its_call(cluster):
    other = cluster.node("n2")
    cluster.leases.lives = {"n2": True}
    other.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(9)
    assert cluster.carrier.ended == [], "its lease may have been lost with the store"
    await asyncio.sleep(5)
    assert [sid for _, sid in cluster.carrier.ended] == ["CA1"]


async def test_where_the_store_has_proved_itself_a_node_is_believed_gone_at_once(cluster):
    other = cluster.node("n2")
    await other.watch.renew()
    await asyncio.sleep(10)
    cluster.leases.lives = {"n2": True}
    other.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(1.1)
    assert [sid for _, sid in cluster.carrier.ended] == ["CA1"]


async def test_an_address_of_another_node_takes_no_live_call_from_its_own(cluster):
    node = cluster.node("n1")
    node.live.add(("c1", "CA1"))
    node.ghosts.found("CA1", "c1", "n9")
    await asyncio.sleep(60)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}


@pytest.mark.parametrize("lives", [True, False])
async def test_what_a_living_node_holds_is_no_ghost_whatever_the_address_says(cluster, lives):
    other = cluster.node("n2")
    cluster.held = {"CA1": "n1", "CA2": "n2"}
    cluster.leases.lives["n1"] = lives
    other.ghosts.found("CA1", "c1", "n9")
    await asyncio.sleep(60)
    assert [sid for _, sid in cluster.carrier.ended] == ([] if lives else ["CA1"])
    assert cluster.store.ghosts == {}


async def test_a_lease_that_was_lost_for_a_moment_gives_nothing_away(cluster):
    other = cluster.node("n2")
    cluster.leases.lives = {}
    other.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(8)
    cluster.leases.lives = {"n1": True, "n2": True}
    await asyncio.sleep(60)
    assert cluster.carrier.ended == []


async def test_two_that_follow_share_the_work(cluster):
    node = cluster.node("n1")
    cluster.carrier.replies = {f"CA{n}": ["answered"] for n in range(20)}
    for n in range(20):
        node.ghosts.found(f"CA{n}", f"c{n}")
    await asyncio.sleep(0.3)
    await node.dies()
    cluster.leases.lives = {"n2": True, "n3": True}
    cluster.node("n2")
    cluster.node("n3")
    await asyncio.sleep(30)
    assert cluster.store.ghosts == {}
    assert len(cluster.carrier.ended) == 40, "each was claimed by one of them"


@pytest.mark.parametrize("is_full", [True, False])
async def test_without_the_list_what_a_call_here_has_left_is_ended_all_the_same(cluster, is_full):
    node = cluster.node("n1")
    cluster.store.is_full, cluster.store.is_away = is_full, not is_full
    cluster.carrier.replies["CA1"] = ["unknown", "answered"]
    with capture_logs() as logs:
        node.ghosts.left("CA1", "c1")
        await asyncio.sleep(10)
    assert len(cluster.carrier.ended) == 3
    assert node.ghosts._certain == set()
    assert node.ghosts._unnoted == {}
    assert logs[0]["event"] == ("ghost list full" if is_full else "ghost not noted yet")


async def test_what_could_not_be_noted_is_noted_later(cluster):
    node = cluster.node("n1")
    cluster.store.is_away = True
    cluster.carrier.replies["CA1"] = ["answered"] * 99
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(5)
    cluster.store.is_away = False
    await asyncio.sleep(5)
    assert cluster.store.ghosts.keys() == {"CA1"}
    assert node.ghosts._unnoted == {}


async def test_a_process_without_calls_notes_what_it_is_told_of_others_and_ends_nothing(cluster):
    pages = cluster.node("")
    pages.duty.cancel()
    cluster.store.is_away = True
    pages.ghosts.found("CA1", "c1", "n1")
    await asyncio.sleep(1)
    with pytest.raises(StoreUnavailableError):
        await pages.ghosts.note()
    cluster.store.is_away = False
    pages.ghosts.found("CA2", "c2", "n1")
    await pages.ghosts.note()
    await asyncio.sleep(1)
    assert {i: ghost.node for i, ghost in cluster.store.ghosts.items()} == {
        "CA1": "n1",
        "CA2": "n1",
    }
    assert (cluster.carrier.read, cluster.carrier.ended) == ([], [])
    # The node itself ends them.
    cluster.node("n1")
    await asyncio.sleep(2)
    assert {sid for _, sid in cluster.carrier.ended} == {"CA1", "CA2"}


async def test_what_is_remembered_here_is_bounded(cluster, monkeypatch):
    monkeypatch.setattr(ghosts_module, "GHOSTS_MAX", 3)
    node = cluster.node("n1")
    cluster.store.is_away = True
    cluster.carrier.replies = {f"CA{n}": ["answered"] * 9 for n in range(9)}
    with capture_logs() as logs:
        for n in range(5):
            node.ghosts.left(f"CA{n}", f"c{n}")
    await asyncio.sleep(0.5)
    assert len(node.ghosts._certain) == 3
    assert len(node.ghosts._unnoted) == 3
    assert [line["carrier_call_id"] for line in logs] == ["CA3", "CA4"]


@pytest.mark.parametrize(
    ("carrier_call_id", "call_id", "node"),
    [
        ("", "c1", "n1"),
        ("CA1/../../Keys", "c1", "n1"),
        ("CA1?", "c1", "n1"),
        ("C" * 65, "c1", "n1"),
        ("CA1", "", "n1"),
        ("CA1", "c/1", "n1"),
        ("CA1", "c1", "n 1"),
        ("CA1\n", "c1", "n1"),
    ],
)
async def test_what_is_no_id_goes_nowhere(cluster, carrier_call_id, call_id, node):
    cluster.node("n1").ghosts.found(carrier_call_id, call_id, node)
    await asyncio.sleep(2)
    assert cluster.carrier.ended == []
    assert cluster.store.ghosts == {}


async def test_a_burst_is_ended_some_at_a_time(cluster):
    """After a restart everything is due at once."""
    at_s = virtual_loop().time()
    ghost = Ghost(call_id="c1", node="n1", noted_s=at_s, due_s=at_s)
    cluster.store.ghosts = {
        f"CA{n}": msgspec.structs.replace(ghost, call_id=f"c{n}") for n in range(100)
    }
    cluster.node("n1")
    await asyncio.sleep(0.05)
    assert len(cluster.carrier.ended) == ghosts_module.AT_ONCE_MAX
    await asyncio.sleep(5)
    assert cluster.store.ghosts == {}


async def test_a_list_that_lost_its_data_is_told_again(cluster):
    """Emptied between two tries, and while one waits for the carrier."""
    node = cluster.node("n1")
    cluster.carrier.replies["CA1"] = ["answered"] * 8
    node.ghosts.found("CA1", "c1")
    for _ in range(40):
        await asyncio.sleep(1.05)
        cluster.store.ghosts.clear()
    await asyncio.sleep(120)
    assert len(cluster.carrier.ended) == 9
    assert cluster.store.ghosts == {}
    assert node.ghosts._noted == node.ghosts._unnoted == {}


async def test_a_list_that_loses_its_data_while_the_carrier_is_asked_is_told_again(cluster):
    node = cluster.node("n1")
    cluster.carrier.hangs = True
    node.ghosts.found("CA1", "c1")
    await asyncio.sleep(1)
    cluster.store.ghosts.clear()
    await asyncio.sleep(3)
    cluster.carrier.hangs = False
    await asyncio.sleep(20)
    assert len(cluster.carrier.ended) == 2
    assert cluster.store.ghosts == node.ghosts._noted == {}
