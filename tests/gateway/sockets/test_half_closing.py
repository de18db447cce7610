"""Ends of connections, seen from both sides."""

from __future__ import annotations

from gateway.sockets.half_closing import HalfClosing
from tests.gateway.sockets.memory_port import Transport


def test_what_is_written_before_the_end_is_sent_and_nothing_behind_it():
    transport, ends = Transport(), []
    closing = HalfClosing(transport, lambda: ends.append(transport.has_ended))
    closing.write(b"last words")
    assert not closing.is_closing()
    for _ in range(2):
        closing.close()
    closing.write(b"more")
    assert closing.is_closing()
    assert (transport.sent, transport.is_closed) == (b"last words", False)
    assert ends == [True]


def test_a_transport_that_cannot_close_one_half_is_closed():
    transport, ends = Transport(), []
    transport.can_write_eof = lambda: False
    closing = HalfClosing(transport, lambda: ends.append(True))
    closing.close()
    assert (transport.is_closed, ends) == (True, [True])


def test_a_transport_that_is_closed_is_left_alone():
    transport, ends = Transport(), []
    transport.abort()
    closing = HalfClosing(transport, lambda: ends.append(True))
    closing.close()
    assert (transport.has_ended, ends) == (False, [])


def test_everything_else_is_the_transports():
    transport = Transport()
    HalfClosing(transport, lambda: None).pause_reading()
    assert not transport.is_reading()


def test_whose_end_is_released_is_not_told_of_it():
    ends = []
    closing = HalfClosing(Transport(), lambda: ends.append(True))
    closing.release()
    closing.close()
    assert ends == []


def test_nothing_is_written_to_a_transport_that_somebody_else_has_closed():
    transport = Transport()
    closing = HalfClosing(transport, lambda: None)
    transport.abort()
    transport.write = None  # uvloop raises here
    closing.write(b"an answer")
    assert closing.is_closing()
