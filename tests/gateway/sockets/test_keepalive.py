"""When a silent peer is pinged, and when it is given up."""

from __future__ import annotations

from gateway.nanoseconds import SECOND_NS
from gateway.sockets.keepalive import Due, due_now
from gateway.sockets.limits import MediaLimits

LIMITS = MediaLimits(ping_interval_ns=20 * SECOND_NS, pong_timeout_ns=20 * SECOND_NS)
START_NS = 1_000 * SECOND_NS


def due(now_ns: int, arrived_ns: int, pinged_ns: int = 0) -> Due:
    return due_now(LIMITS, now_ns, arrived_ns, pinged_ns)


def test_a_talking_peer_is_never_pinged():
    for second in range(0, 300, 15):
        now_ns = START_NS + second * SECOND_NS
        assert due(now_ns, now_ns - 19 * SECOND_NS) is Due.NOTHING


def test_a_silent_peer_is_pinged_once_and_given_up():
    pinged_ns = START_NS + 20 * SECOND_NS
    assert due(pinged_ns - 1, START_NS) is Due.NOTHING
    assert due(pinged_ns, START_NS) is Due.PING
    assert due(pinged_ns + 20 * SECOND_NS - 1, START_NS, pinged_ns) is Due.NOTHING
    assert due(pinged_ns + 20 * SECOND_NS, START_NS, pinged_ns) is Due.ABORT


def test_whatever_arrives_answers_a_ping():
    pinged_ns, arrived_ns = START_NS + 20 * SECOND_NS, START_NS + 39 * SECOND_NS
    assert due(START_NS + 41 * SECOND_NS, arrived_ns, pinged_ns) is Due.NOTHING
    assert due(arrived_ns + 20 * SECOND_NS, arrived_ns, pinged_ns) is Due.PING
