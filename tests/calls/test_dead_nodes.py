"""Each proxy of `deploy/` with its file as it is, and a node behind it that is gone or hangs."""

from __future__ import annotations

import contextlib
import http.client
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calls.proxy import INSTALLED, proxy_of
from tests.calls.world import PATIENCE_S
from tests.valkey import free_port

pytestmark = pytest.mark.thorough

NODES = ("n1", "n2")
BODY = b"CallSid=CA1&CallStatus=completed&" + b"x" * 2000


class Node(socketserver.ThreadingTCPServer):
    """A node: it answers with its name and what it was sent, hangs, or hangs up."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, name: str, port: int) -> None:
        self.name, self.asked = name, list[str]()
        """What it was asked, but for whether it is there."""
        self.does = "answer"
        self.is_ready = True
        super().__init__(("127.0.0.1", port), Handler)

    def __enter__(self) -> Node:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(socketserver.StreamRequestHandler):
    """One connection, one request."""

    server: Node

    def handle(self) -> None:
        head = b""
        while line := self.rfile.readline():
            head += line
            if line == b"\r\n":
                break
        if not head:  # a check of the port
            return
        asked = head.split(b" HTTP/")[0].decode()
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        body = self.rfile.read(int(length or 0))
        if not asked.endswith("z"):
            self.server.asked.append(asked)
            if self.server.does == "hang up":
                return
            if self.server.does == "hang":
                # Until the proxy has had enough of it.
                self.connection.settimeout(60)
                self.connection.recv(1)
                return
        is_well = self.server.is_ready or asked != "GET /readyz"
        status = b"200 OK" if is_well else b"503 Service Unavailable"
        said = f"{self.server.name} {asked} ".encode() + body
        head = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        self.wfile.write(head % (status, len(said)) + said)


@contextlib.contextmanager
def standing(folder: Path, proxy: str) -> Iterator[tuple[int, dict[str, Node]]]:
    """Run a proxy in front of two nodes; yield its port, and the nodes."""
    port, ports = free_port(), {name: free_port() for name in NODES}
    with contextlib.ExitStack() as stack:
        nodes = {name: stack.enter_context(Node(name, ports[name])) for name in NODES}
        stack.enter_context(proxy_of(proxy, folder, port, ports))
        due_s = time.monotonic() + PATIENCE_S
        # Some look first which nodes are there.
        while time.monotonic() < due_s:
            with contextlib.suppress(OSError):
                if {ask(port, "GET", f"/look{n}")[1][:2] for n in range(4)} == {b"n1", b"n2"}:
                    break
            time.sleep(0.05)
        for node in nodes.values():
            node.asked.clear()
        yield port, nodes


def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, path, body or None)
        reply = connection.getresponse()
        return reply.status, reply.read()


@pytest.fixture(params=sorted(INSTALLED))
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, dict[str, Node]]]:
    if INSTALLED[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    with standing(tmp_path, request.param) as (port, nodes):
        yield port, nodes


def callback(port: int, node: str, kind: str = "status") -> str:
    """Post a callback; return who has answered, once the answer and the body are right."""
    path = f"/n/{node}/twilio/{kind}/c1"
    status, said = ask(port, "POST", path, BODY)
    who, asked, body = said.split(b" ", 1)[0], said.split(b" ")[1:3], said.split(b" ", 3)[-1]
    assert (status, asked, body) == (200, [b"POST", path.encode()], BODY)
    return who.decode()


def test_another_answers_for_a_node_that_is_gone_and_the_node_once_it_is_back(
    front: tuple[int, dict[str, Node]],
) -> None:
    port, nodes = front
    for name in NODES:
        assert [callback(port, name) for _ in range(3)] == [name] * 3
    nodes["n1"].shutdown()
    nodes["n1"].server_close()
    # From the first on: none is lost while the proxy finds out.
    kinds = ("reattach", "status", "stream") * 7
    assert [callback(port, "n1", kind) for kind in kinds] == ["n2"] * len(kinds)
    assert [callback(port, "n2") for _ in range(3)] == ["n2"] * 3
    status, said = ask(port, "GET", "/n/n1/media/browser")
    assert (status, said[:2]) == (200, b"n2")
    with Node("n1", nodes["n1"].server_address[1]):
        due_s = time.monotonic() + PATIENCE_S
        while callback(port, "n1") != "n1":
            assert time.monotonic() < due_s
            time.sleep(0.1)
        # Nothing of it stays with the other.
        assert [callback(port, "n1") for _ in range(5)] == ["n1"] * 5


@pytest.mark.parametrize("does", ["hang", "hang up"])
def test_another_answers_for_a_node_that_hangs_or_dies_over_a_callback(
    front: tuple[int, dict[str, Node]], does: str
) -> None:
    port, nodes = front
    nodes["n1"].does = does
    assert callback(port, "n1", "reattach") == "n2"
    assert callback(port, "n1") == "n2"
    assert callback(port, "n2") == "n2"


def test_one_failure_keeps_nobody_from_the_only_node_that_is_left(
    front: tuple[int, dict[str, Node]],
) -> None:
    port, nodes = front
    nodes["n1"].shutdown()
    nodes["n1"].server_close()
    assert callback(port, "n1", "reattach") == "n2"
    nodes["n2"].does = "hang up"
    status, _ = ask(port, "POST", "/n/n1/twilio/reattach/c1", BODY)
    assert status in (502, 503, 504)
    # It is asked again at once: the carrier repeats no document.
    nodes["n2"].does = "answer"
    assert callback(port, "n1", "reattach") == "n2"


def test_of_a_node_that_is_unknown_any_is_asked(front: tuple[int, dict[str, Node]]) -> None:
    port, _ = front
    assert {callback(port, "elsewhere-7") for _ in range(4)} <= set(NODES)


def test_what_a_page_posts_reaches_one_node_once(front: tuple[int, dict[str, Node]]) -> None:
    port, nodes = front
    for node in nodes.values():
        node.does = "hang up"
    status, _ = ask(port, "POST", "/v1/call-tokens", BODY)
    assert status in (502, 503, 504)
    assert [asked for node in nodes.values() for asked in node.asked] == ["POST /v1/call-tokens"]


def test_what_a_page_posts_passes_a_node_that_cannot_be_reached(
    front: tuple[int, dict[str, Node]],
) -> None:
    port, nodes = front
    nodes["n1"].shutdown()
    nodes["n1"].server_close()
    for _ in range(6):
        status, said = ask(port, "POST", "/v1/call-tokens", BODY)
        assert (status, said[:2]) == (200, b"n2")
    assert nodes["n2"].asked == ["POST /v1/call-tokens"] * 6


def until_answered_by(port: int, names: set[bytes]) -> None:
    """Wait until exactly these nodes answer what may go to any; there is always one that does."""
    due_s = time.monotonic() + PATIENCE_S
    while True:
        replies = [ask(port, "GET", f"/look{n}") for n in range(6)]
        assert {status for status, _ in replies} == {200}
        if {said[:2] for _, said in replies} == names:
            return
        assert time.monotonic() < due_s
        time.sleep(0.1)


@pytest.mark.parametrize("proxy", ["caddy", "haproxy"])
def test_while_no_node_is_ready_each_that_lives_serves_pages_and_api(
    tmp_path: Path, proxy: str
) -> None:
    if INSTALLED[proxy] is None:
        pytest.skip(f"{proxy} is not installed")
    with standing(tmp_path, proxy) as (port, nodes):
        nodes["n1"].is_ready = False
        until_answered_by(port, {b"n2"})
        nodes["n2"].is_ready = False
        # From the first on, also while the proxy finds out.
        until_answered_by(port, {b"n1", b"n2"})
        for node in nodes.values():
            node.asked.clear()
        for _ in range(6):
            status, said = ask(port, "POST", "/v1/call-tokens", BODY)
            assert (status, said.split(b" ", 3)[-1]) == (200, BODY)
        asked = [each for node in nodes.values() for each in node.asked]
        assert asked == ["POST /v1/call-tokens"] * 6
        status, said = ask(port, "GET", "/n/n1/media/browser")
        assert (status, said[:2]) == (200, b"n1")
        assert callback(port, "elsewhere-7") in NODES
        # One that is gone is passed over.
        nodes["n1"].shutdown()
        nodes["n1"].server_close()
        for _ in range(6):
            status, said = ask(port, "POST", "/v1/call-tokens", BODY)
            assert (status, said[:2], said.split(b" ", 3)[-1]) == (200, b"n2", BODY)
        # One that is ready gets everything again.
        with Node("n1", nodes["n1"].server_address[1]):
            until_answered_by(port, {b"n1"})
            nodes["n2"].asked.clear()
            for _ in range(6):
                assert ask(port, "POST", "/v1/call-tokens", BODY)[1][:2] == b"n1"
            assert nodes["n2"].asked == []
