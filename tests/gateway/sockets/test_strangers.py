"""Who stays among strangers: the accounting by itself, against a plain model of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.source import Source, source_of
from gateway.nanoseconds import SECOND_NS
from gateway.sockets.limits import MediaLimits
from gateway.sockets.strangers import PeerStatus, Stranger, Strangers

LIMITS = MediaLimits(strangers_max=12, strangers_per_network_max=6, strangers_per_address_max=4)
HOSTS = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1", "198.51.100.2", "2001:db8::1"]


class House:
    """Strangers whose names are told when they are dropped."""

    def __init__(self, limits: MediaLimits = LIMITS) -> None:
        self.strangers = Strangers(limits)
        self.dropped: list[str] = []
        self.now_ns = 0

    def enter(self, name: str, host: str | None) -> Stranger:
        source = None if host is None else source_of(host)
        return self.strangers.enter(source, lambda: self.dropped.append(name), self.now_ns)


def test_the_one_silent_longest_of_an_address_goes_first() -> None:
    house = House()
    first, second, *_ = [house.enter(f"{n}", "192.0.2.1") for n in range(4)]
    house.strangers.peer_due(first)  # it has done something
    house.enter("new", "192.0.2.1")
    assert house.dropped == ["1"]
    assert not second.is_in
    house.enter("newer", "192.0.2.1")
    assert house.dropped == ["1", "2"]
    assert len(house.strangers) == 4


def test_a_network_loses_those_of_its_greediest_address() -> None:
    house = House()
    for n in range(2):
        house.enter(f"quiet {n}", "192.0.2.1")
    for n in range(4):
        house.enter(f"greedy {n}", "192.0.2.2")
    house.enter("third", "192.0.2.3")
    assert house.dropped == ["greedy 0"]


def test_the_house_loses_those_of_its_greediest_network() -> None:
    house = House()
    for n in range(6):
        house.enter(f"a {n}", HOSTS[n % 3])
    for n in range(5):
        house.enter(f"b {n}", HOSTS[3 + n % 2])
    house.enter("c 0", "2001:db8::1")
    house.enter("c 1", "2001:db8::2")
    assert len(house.dropped) == 1
    assert house.dropped[0].startswith("a ")


def test_those_that_wait_for_us_are_counted_but_stay() -> None:
    house = House()
    busy = [house.enter(f"busy {n}", "192.0.2.1") for n in range(4)]
    for stranger in busy:
        house.strangers.peer_done(stranger)
    refused = house.enter("new", "192.0.2.1")
    assert house.dropped == ["new"]
    assert not refused.is_in
    house.strangers.peer_due(busy[2])
    house.enter("newer", "192.0.2.1")
    assert house.dropped == ["new", "busy 2"]


def test_a_proxy_is_bounded_with_everyone_only() -> None:
    house = House()
    for n in range(12):
        house.enter(f"proxy {n}", None)
    assert house.dropped == []
    house.enter("someone", "192.0.2.1")
    assert house.dropped == ["someone"], "greediest of those who have a source"
    house.enter("proxy 12", None)
    assert house.dropped == ["someone", "proxy 0"]


def test_who_comes_through_a_proxy_is_counted_by_name() -> None:
    house = House()
    relayed = [house.enter(f"{n}", None) for n in range(6)]
    for stranger in relayed:
        house.strangers.rename(stranger, source_of("203.0.113.9"))
    assert house.dropped == ["0", "1"]
    for stranger in relayed:
        house.strangers.rename(stranger, None)
    for n in range(4):
        house.enter(f"direct {n}", "203.0.113.9")
    assert house.dropped == ["0", "1"]


def test_what_is_late_is_dropped_at_its_deadline() -> None:
    house = House()
    first, second = house.enter("first", "192.0.2.1"), house.enter("second", "192.0.2.1")
    house.strangers.lift_deadline(second)
    house.now_ns = 4 * SECOND_NS
    third = house.enter("third", "192.0.2.1")
    house.strangers.peer_due(first)  # whatever it does, the deadline stays
    assert house.strangers.drop_late(5 * SECOND_NS - 1) == 0
    assert house.strangers.drop_late(5 * SECOND_NS) == 1
    assert house.dropped == ["first"]
    house.strangers.set_deadline(second, 6 * SECOND_NS)
    house.strangers.leave(third)
    assert house.strangers.drop_late(100 * SECOND_NS) == 1
    assert house.dropped == ["first", "second"]
    assert not house.strangers.drop_one()


def test_what_is_no_stranger_any_more_is_left_alone() -> None:
    house = House()
    stranger = house.enter("one", "192.0.2.1")
    for _ in range(2):
        house.strangers.leave(stranger)
    house.strangers.peer_due(stranger)
    house.strangers.peer_done(stranger)
    house.strangers.set_deadline(stranger, 0)
    house.strangers.rename(stranger, source_of("192.0.2.2"))
    assert len(house.strangers) == 0
    assert house.strangers.drop_late(100 * SECOND_NS) == 0
    assert not house.strangers.drop_one()


@dataclass
class Model:
    """The rules once more, by looking at everyone each time."""

    held: list[tuple[str, Source | None]] = field(default_factory=list)

    def count(self, part: int, key: bytes) -> int:
        return sum(source is not None and source[part] == key for _, source in self.held)


host = st.none() | st.sampled_from(HOSTS)
step = st.tuples(
    st.sampled_from(["enter", "enter", "enter", "leave", "us", "peer", "rename", "one", "late"]),
    host,
    st.integers(0, 30),
)


@given(st.lists(step, max_size=120))
def test_no_bound_is_ever_exceeded_and_the_newest_stays(steps: list[tuple[str, str | None, int]]):
    house = House()
    everyone: dict[str, Stranger] = {}
    busy: set[str] = set()
    for number, (kind, at, pick) in enumerate(steps):
        house.now_ns += SECOND_NS // 2
        present = [name for name, stranger in everyone.items() if stranger.is_in]
        name = present[pick % len(present)] if present else None
        before = len(house.dropped)
        if kind == "enter":
            new = everyone[f"{number}"] = house.enter(f"{number}", at)
            assert len(house.dropped) <= before + 1
            silent = [one for one in present if one not in busy]
            if at is not None and [one for one in silent if everyone[one].source is not None]:
                crowd = [one for one in silent if everyone[one].source == source_of(at)]
                assert new.is_in or len(crowd) == 0
        elif kind == "one":
            silent = [one for one in present if one not in busy]
            assert house.strangers.drop_one() is bool(silent)
        elif kind == "late":
            house.strangers.drop_late(house.now_ns)
        elif name is not None:
            stranger = everyone[name]
            if kind == "leave":
                house.strangers.leave(stranger)
            elif kind == "us":
                house.strangers.peer_done(stranger)
                busy.add(name)
            elif kind == "peer":
                house.strangers.peer_due(stranger)
                busy.discard(name)
            elif name not in busy:
                house.strangers.rename(stranger, None if at is None else source_of(at))
        assert not busy & set(house.dropped[before:])
        model = Model([(n, one.source) for n, one in everyone.items() if one.is_in])
        assert len(house.strangers) == len(model.held) <= LIMITS.strangers_max
        for _, source in model.held:
            if source is not None:
                assert model.count(1, source.address) <= LIMITS.strangers_per_address_max
                assert model.count(0, source.network) <= LIMITS.strangers_per_network_max
    for stranger in everyone.values():
        house.strangers.leave(stranger)
    assert len(house.strangers) == 0
    assert not house.strangers._held
    assert not house.strangers._silent
    assert not house.strangers._addresses
    assert not house.strangers._networks
    assert not house.strangers._due_ns


class CountingHouse:
    def __init__(self):
        self.limits = MediaLimits(connections_max=1)
        self.strangers = Strangers(self.limits)
        self.authenticated = set()
        self.dropped = []

    def admit(self, host, drop):
        return self.strangers.enter(source_of(host), drop, 0)

    def status(self, name):
        status = PeerStatus(self)
        status.arrive("192.0.2.1:80", lambda: self.dropped.append(name))
        return status


def test_a_socket_moves_from_the_strangers_to_the_authenticated_and_out():
    house = CountingHouse()
    status = house.status("one")
    assert status.open("one", "", is_authenticated=False)
    assert (len(house.strangers), house.authenticated) == (1, set())
    for _ in range(2):
        status.mark_authenticated("one")
    assert (len(house.strangers), house.authenticated) == (0, {"one"})
    status.leave("one")
    status.mark_authenticated("one")
    assert (len(house.strangers), house.authenticated) == (0, set())


def test_places_of_the_authenticated_are_bounded_and_no_strangers():
    house = CountingHouse()
    assert house.status("one").open("one", "", is_authenticated=True)
    assert not house.status("two").open("two", "", is_authenticated=True)
    third = house.status("three")
    assert third.open("three", "", is_authenticated=False)
    third.mark_authenticated("three")  # who has a token good for a call has a place
    assert house.authenticated == {"one", "three"}


def test_a_socket_that_was_dropped_opens_nothing_and_is_never_authenticated():
    house = CountingHouse()
    status = house.status("one")
    assert house.strangers.drop_one()
    assert house.dropped == ["one"]
    assert not status.open("one", "", is_authenticated=True)
    status.mark_authenticated("one")
    assert not house.authenticated


def test_an_answered_handshake_is_not_late():
    house = CountingHouse()
    late, answered = house.status("late"), house.status("answered")
    answered.answer()
    house.strangers.drop_late(10**12)
    assert house.dropped == ["late"]
    late.answer()
