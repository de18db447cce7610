"""Which process a request is for, from its first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sockets.owner import MAY_BE_A_NODES, node_of


@pytest.mark.parametrize(
    ("head", "node"),
    [
        (b"GET /n/n1-1/media/browser HTTP/1.1\r\n", "n1-1"),
        (b"POST /n/n2/twilio/status/x HTTP/1.1\r\n", "n2"),
        (b"OPTIONS /n/n2/", "n2"),
        (b"GET / HTTP/1.1\r\n", ""),
        (b"GET /n HTTP/1.1\r\n", ""),
        (b"GET /n/ HTTP/1.1\r\n", ""),
        (b"GET /n//media/browser", ""),
        (b"GET /n/n1 HTTP/1.1\r\n", ""),
        (b"GET /n/n1?x/", ""),
        (b"GET /n/N1/", ""),
        (b"GET /n/" + b"a" * 65, ""),
        (b"GET /news", ""),
        (b"GET //n/n1/", ""),
        (b"GET http://host/n/n1/", ""),
        (b"get /n/n1/", ""),
        (b"G" * 21, ""),
        (b"\x16\x03\x01", ""),
        (b"GET  /n/n1/", ""),
    ],
)
def test_a_complete_beginning_is_decided(head: bytes, node: str) -> None:
    assert node_of(head) == node


def test_a_request_for_a_node_is_undecided_until_the_node_is_complete() -> None:
    head = b"DELETE /n/n1-1/"
    assert [node_of(head[:cut]) for cut in range(len(head))] == [None] * len(head)


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_what_is_decided_stays_so_whatever_follows(head: bytes, more: bytes) -> None:
    if (node := node_of(head)) is not None:
        assert node_of(head + more) == node


@given(st.binary(max_size=30), st.integers(0, 14))
def test_a_request_for_a_node_is_found_wherever_it_begins_and_is_cut(
    before: bytes, cut: int
) -> None:
    data = before + b"\nPOST /n/n1/x"[: cut + 2]
    starts = [found.start() for found in MAY_BE_A_NODES.finditer(data)]
    assert len(before) + 1 in starts
