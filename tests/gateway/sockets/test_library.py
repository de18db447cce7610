"""The library behind one socket: there when it is needed, and released."""

from __future__ import annotations

import gc
import weakref

from websockets.frames import CloseCode

from gateway.sockets.library import Library
from tests.gateway.sockets.socket_peers import CLOSE, CONT, PING, PONG, TEXT, close_frame, frame


def opened() -> Library:
    library = Library(1_000)
    library.release()
    return library


def test_it_begins_with_the_opening_handshake():
    assert Library(1_000).is_refused, "nothing has been accepted"
    assert not opened().is_refused


def test_between_messages_nothing_is_kept_of_it():
    library = opened()
    assert library.fragment_bytes is None
    assert library._protocol is None, "a question does not call for it"
    assert [f.data for f in library.judge(frame(PING, b"?"))] == [b"?"]
    assert [data[2:] for data in library.ready()] == [b"?"]


def test_what_is_released_is_freed_without_the_collector():
    library = opened()
    library.judge(frame(TEXT, b"a", fin=False))
    gone = weakref.ref(library.protocol)
    gc.disable()
    try:
        library.release()
        library.release()
        assert gone() is None
    finally:
        gc.enable()


def test_it_rests_between_messages_and_not_within_one():
    library = opened()
    library.rest()
    library.ping()
    assert library.ready()
    library.rest()
    assert library._protocol is None
    (first,) = library.judge(frame(TEXT, b"fra", fin=False))
    library.assemble(first)
    library.rest()
    (last,) = library.judge(frame(CONT, b"gment"))
    assert library.assemble(last) == (True, b"fragment")


def test_fragments_are_counted_and_put_together():
    library = opened()
    (first,) = library.judge(frame(TEXT, b"fra", fin=False))
    assert library.assemble(first) is None
    assert (library.fragment_bytes, library.is_within_message) == (3, True)
    (last,) = library.judge(frame(CONT, b"gment"))
    assert library.assemble(last) == (True, b"fragment")
    assert (library.fragment_bytes, library.is_within_message) == (None, False)


def test_the_peers_close_names_the_code_and_ends_the_stream():
    library = opened()
    assert library.judge(close_frame(4400)) == []
    echo, end = library.ready()
    assert (echo[0] & 15, echo[2:], end) == (CLOSE, b"\x11\x30", b"")
    assert library.close_code() == 4400


def test_in_a_failure_the_code_is_the_one_that_we_sent():
    library = opened()
    library.judge(frame(3))
    assert library.close_code() == CloseCode.PROTOCOL_ERROR
    failed = opened()
    failed.fail(CloseCode.POLICY_VIOLATION, "flood")
    assert failed.close_code() == CloseCode.POLICY_VIOLATION


def test_a_reason_is_cut_at_a_code_point():
    library = opened()
    library.close(1000, "é" * 100)
    (sent,) = library.ready()
    assert sent[2:] == b"\x03\xe8" + ("é" * 61).encode()


def test_a_ping_is_ready_to_be_sent():
    library = opened()
    library.ping()
    assert library.ready() == [bytes((0x80 | PING, 0))]
    assert library.judge(frame(PONG))[0].data == b""
