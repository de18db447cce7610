"""The library behind one socket: there when it is needed, and released."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode

from gateway.sockets.library import Library, MessageAssembly, is_utf8
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


def split(payload: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    return [payload[start:end] for start, end in pairwise(edges)]


def assemble(assembly: MessageAssembly, opcode: Opcode, parts: list[bytes]):
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        message = assembly.add(Frame(Opcode.CONT if index else opcode, part, fin=last))
        assert assembly.in_progress is not last
        assert last or message is None
    return message


@given(text=st.text(max_size=50), payload=st.binary(max_size=50), cuts=st.lists(st.integers(0)))
def test_any_split_gives_the_message_back(text, payload, cuts):
    assembly = MessageAssembly()
    encoded = text.encode()
    assert assemble(assembly, Opcode.TEXT, split(encoded, cuts)) == (True, encoded)
    assert assemble(assembly, Opcode.BINARY, split(payload, cuts)) == (False, payload)
    assert assemble(assembly, Opcode.TEXT, split(encoded, cuts)) == (True, encoded)


@given(payload=st.binary(max_size=12), cuts=st.lists(st.integers(0), max_size=4))
def test_text_is_refused_exactly_when_python_refuses_it(payload, cuts):
    assembly = MessageAssembly()
    if is_utf8(payload):
        assert assemble(assembly, Opcode.TEXT, split(payload, cuts)) == (True, payload)
    else:
        with pytest.raises(UnicodeDecodeError):
            assemble(assembly, Opcode.TEXT, split(payload, cuts))


def test_a_fault_is_found_in_the_fragment_that_has_it():
    with pytest.raises(UnicodeDecodeError):
        MessageAssembly().add(Frame(Opcode.TEXT, b"ok \xff", fin=False))
