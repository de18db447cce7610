"""When a silent peer is pinged, and when it is given up."""

from __future__ import annotations

from gateway.nanoseconds import SECOND_NS
from gateway.sockets.keepalive import Due, Keepalive
from gateway.sockets.limits import MediaLimits

LIMITS = MediaLimits(ping_interval_ns=20 * SECOND_NS, pong_timeout_ns=20 * SECOND_NS)
START_NS = 1_000 * SECOND_NS


def test_a_talking_peer_is_never_pinged():
    keepalive = Keepalive(LIMITS)
    for second in range(0, 300, 15):
        now_ns = START_NS + second * SECOND_NS
        assert keepalive.look(now_ns, now_ns - 19 * SECOND_NS) is Due.NOTHING


def test_a_silent_peer_is_pinged_once_and_given_up():
    keepalive = Keepalive(LIMITS)
    due = [keepalive.look(START_NS + s * SECOND_NS, START_NS) for s in range(42)]
    assert due.index(Due.PING) == 20
    assert due.count(Due.PING) == 1
    assert due.index(Due.ABORT) == 40


def test_whatever_arrives_answers_a_ping():
    keepalive = Keepalive(LIMITS)
    assert keepalive.look(START_NS + 20 * SECOND_NS, START_NS) is Due.PING
    arrived_ns = START_NS + 39 * SECOND_NS
    assert keepalive.look(START_NS + 41 * SECOND_NS, arrived_ns) is Due.NOTHING
    assert keepalive.look(arrived_ns + 20 * SECOND_NS, arrived_ns) is Due.PING
