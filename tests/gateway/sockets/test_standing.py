"""Where a media socket is counted, from its first byte to its last."""

from __future__ import annotations

from gateway.limits.source import source_of
from gateway.sockets.limits import MediaLimits
from gateway.sockets.standing import Standing
from gateway.sockets.strangers import Strangers


class House:
    def __init__(self):
        self.limits = MediaLimits(connections_max=1)
        self.strangers = Strangers(self.limits)
        self.authenticated = set()
        self.dropped = []

    def admit(self, host, drop):
        return self.strangers.enter(source_of(host), drop, 0)

    def standing(self, name):
        standing = Standing(self)
        standing.arrive("192.0.2.1:80", lambda: self.dropped.append(name))
        return standing


def test_a_socket_moves_from_the_strangers_to_the_authenticated_and_out():
    house = House()
    standing = house.standing("one")
    assert standing.open("one", "", is_authenticated=False)
    assert (len(house.strangers), house.authenticated) == (1, set())
    for _ in range(2):
        standing.mark_authenticated("one")
    assert (len(house.strangers), house.authenticated) == (0, {"one"})
    standing.leave("one")
    standing.mark_authenticated("one")
    assert (len(house.strangers), house.authenticated) == (0, set())


def test_places_of_the_authenticated_are_bounded_and_no_strangers():
    house = House()
    assert house.standing("one").open("one", "", is_authenticated=True)
    assert not house.standing("two").open("two", "", is_authenticated=True)
    third = house.standing("three")
    assert third.open("three", "", is_authenticated=False)
    third.mark_authenticated("three")  # who has a token good for a call has a place
    assert house.authenticated == {"one", "three"}


def test_a_socket_that_was_dropped_opens_nothing_and_is_never_authenticated():
    house = House()
    standing = house.standing("one")
    assert house.strangers.drop_one()
    assert house.dropped == ["one"]
    assert not standing.open("one", "", is_authenticated=True)
    standing.mark_authenticated("one")
    assert not house.authenticated


def test_an_answered_handshake_is_not_late():
    house = House()
    late, answered = house.standing("late"), house.standing("answered")
    answered.answer()
    house.strangers.drop_late(10**12)
    assert house.dropped == ["late"]
    late.answer()
