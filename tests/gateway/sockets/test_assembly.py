"""Fragments into messages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.sockets.assembly import MessageAssembly, is_utf8


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
