"""Where a media socket is counted, from its first byte to its last."""

from __future__ import annotations

from gateway.limits.source import source_of
from gateway.sockets.limits import MediaLimits
from gateway.sockets.standing import Standing
from gateway.sockets.strangers import Strangers


class House:
    def __init__(self):
        self.strangers = Strangers(MediaLimits())
        self.proven = set()
        self.dropped = []

    def standing(self, name, proven_max=1):
        def admit(host, drop):
            return self.strangers.enter(source_of(host), drop, 0)

        standing = Standing(admit, self.strangers, self.proven, proven_max)
        standing.arrive("192.0.2.1:80", lambda: self.dropped.append(name))
        return standing


def test_a_socket_moves_from_the_strangers_to_the_proven_and_out():
    house = House()
    standing = house.standing("one")
    assert standing.open("one", "", is_proven=False)
    assert (len(house.strangers), house.proven) == (1, set())
    for _ in range(2):
        standing.vouch("one")
    assert (len(house.strangers), house.proven) == (0, {"one"})
    standing.leave("one")
    standing.vouch("one")
    assert (len(house.strangers), house.proven) == (0, set())


def test_places_of_the_proven_are_bounded_and_no_strangers():
    house = House()
    assert house.standing("one").open("one", "", is_proven=True)
    assert not house.standing("two").open("two", "", is_proven=True)
    third = house.standing("three")
    assert third.open("three", "", is_proven=False)
    third.vouch("three")  # who has a token good for a call has a place
    assert house.proven == {"one", "three"}


def test_a_socket_that_was_dropped_opens_nothing_and_is_never_proven():
    house = House()
    standing = house.standing("one")
    assert house.strangers.drop_one()
    assert house.dropped == ["one"]
    assert not standing.open("one", "", is_proven=True)
    standing.vouch("one")
    assert not house.proven


def test_an_answered_handshake_is_not_late():
    house = House()
    late, answered = house.standing("late"), house.standing("answered")
    answered.answer()
    house.strangers.drop_late(10**12)
    assert house.dropped == ["late"]
    late.answer()
