"""What is written in C: reading and writing sockets past their transports.

That it says the same as the sources is for the oracle, and for every other test of this folder once
it is compiled.
"""

from __future__ import annotations

import gc
import socket
import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.frame_budget import FLOODED, TAKEN, BudgetLimits, FrameBudget, Standstill
from gateway.sockets.frame_header import BINARY_FIN, TEXT_FIN, data_header
from tests.gateway.sockets.socket_peers import BINARY, MASK, PING, TEXT, frame

BYTES_MAX = 1000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="It stands on Linux's epoll.")


class Owner:
    """Notes what it is told; `act` may do more, and is told what has come."""

    def __init__(self, act: Callable[[Any], None] = lambda _: None) -> None:
        self.events: list[tuple[str, Any]] = []
        self.takes_frames = True
        self.act = act

    def on_binary(self, payload: bytes) -> None:
        self.note("binary", payload)

    def on_text(self, payload: bytes) -> None:
        self.note("text", payload)

    def data_received(self, data: bytes) -> None:
        self.note("data", data)

    def peer_ended(self) -> None:
        self.note("ended", None)

    def handler_failed(self, error: Exception) -> None:
        self.note("failed", error)

    def frames_dropped(self, count: int, is_flooded: bool) -> None:
        self.note("dropped", (count, is_flooded))

    def note(self, kind: str, value: Any) -> None:
        self.events.append((kind, value))
        self.act(value)


class Reader:
    """A poller, and connections that it reads."""

    def __init__(self, native: ModuleType) -> None:
        self.poller = native.Poller()
        self.sockets: list[socket.socket] = []

    def open(self, owner: Any) -> tuple[int, socket.socket]:
        """Return the descriptor that is read for the owner, and the peer's socket."""
        near, far = socket.socketpair()
        self.sockets += [near, far]
        self.poller.add(near.fileno(), owner, BYTES_MAX)
        return near.fileno(), far

    def read(self, now_ns: int = 7) -> None:
        self.poller.poll(now_ns)


@pytest.fixture
def reader(native: ModuleType) -> Iterator[Reader]:
    reader = Reader(native)
    yield reader
    reader.poller.close()
    for one in reader.sockets:
        one.close()


def test_frames_are_unmasked_and_delivered_in_order(reader):
    owner = Owner()
    descriptor, far = reader.open(owner)
    audio = bytes(range(256)) * 2
    far.sendall(frame(BINARY, audio[:160]) + frame(TEXT, b"hi") + frame(BINARY, audio[:300]))
    reader.read(now_ns=99)
    assert owner.events == [("binary", audio[:160]), ("text", b"hi"), ("binary", audio[:300])]
    assert reader.poller.take_counts(descriptor) == (3, 462, 99)
    assert reader.poller.take_counts(descriptor) == (0, 0, 99)


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 125, 126, 127, 200, 999, BYTES_MAX])
def test_every_length_is_unmasked_to_its_last_byte(reader, length):
    owner = Owner()
    _, far = reader.open(owner)
    payload = bytes((index * 7 + 1) % 256 for index in range(length))
    far.sendall(frame(BINARY, payload))
    reader.read()
    assert owner.events == [("binary", payload)]


@pytest.mark.parametrize(
    "other",
    [
        frame(PING, b"?"),
        frame(TEXT, b"part", fin=False),
        frame(BINARY, b"reserved", rsv=4),
        frame(BINARY, b"unmasked", masked=False),
        frame(BINARY, b""),
        frame(BINARY, bytes(BYTES_MAX + 1)),
        frame(BINARY, bytes(10), length_bytes=8),
        frame(TEXT, b"\xff"),
        frame(TEXT, b"plain then \xc3("),
        frame(TEXT, b"\xed\xa0\x80"),
    ],
)
def test_whatever_is_no_plain_frame_is_the_owners_with_all_behind_it(reader, other):
    owner = Owner()
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, "grün".encode()) + other + frame(TEXT, b"behind"))
    reader.read()
    assert owner.events == [("text", "grün".encode()), ("data", other + frame(TEXT, b"behind"))]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 50, 167])
def test_the_beginning_of_a_frame_is_the_owners(reader, size):
    owner = Owner()
    _, far = reader.open(owner)
    begun = frame(BINARY, bytes(160))[:size]
    far.sendall(frame(BINARY, b"whole") + begun)
    reader.read()
    assert owner.events == [("binary", b"whole"), ("data", begun)]


def test_frames_are_the_owners_until_it_takes_them_again(reader):
    owner = Owner()
    _, far = reader.open(owner)
    owner.takes_frames = False
    for rest in (frame(PING), frame(TEXT, b"a")):
        far.sendall(rest)
        reader.read()
        assert owner.events.pop() == ("data", rest)
    owner.takes_frames = True
    far.sendall(frame(TEXT, b"b"))
    reader.read()
    assert owner.events == [("text", b"b")]


def test_handlers_are_those_of_the_time_when_they_were_asked_for(reader):
    owner, heard = Owner(), []
    descriptor, far = reader.open(owner)
    far.sendall(frame(TEXT, b"a"))
    reader.read()
    owner.on_text = lambda payload: heard.append(("text", payload))
    owner.on_binary = lambda payload: heard.append(("binary", payload))
    far.sendall(frame(TEXT, b"b"))
    reader.read()
    assert (owner.events, heard) == ([("text", b"a"), ("text", b"b")], [])
    reader.poller.ask_again(descriptor)
    far.sendall(frame(TEXT, b"c") + frame(BINARY, b"d"))
    reader.read()
    assert heard == [("text", b"c"), ("binary", b"d")]
    reader.poller.ask_again(100_000)


def test_a_handler_may_be_exchanged_by_itself(reader, monkeypatch):
    owner, heard = Owner(), []
    descriptor, far = reader.open(owner)

    def exchange(_: Any) -> None:
        monkeypatch.setattr(owner, "on_text", heard.append)
        reader.poller.ask_again(descriptor)

    owner.act = exchange
    far.sendall(frame(TEXT, b"a") + frame(TEXT, b"b"))
    reader.read()
    assert (owner.events, heard) == ([("text", b"a")], [b"b"])


@pytest.mark.parametrize("name", ["takes_frames", "on_binary", "on_text"])
def test_an_owner_that_cannot_be_asked_gets_everything_as_it_came(reader, monkeypatch, name):
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: unraisable.append(event.exc_value))

    def refuse(_: Any) -> None:
        raise LookupError

    owner = type("Refusing", (Owner,), {name: property(refuse, lambda *_: None)})()
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, b"a"))
    reader.read()
    assert owner.events == [("data", frame(TEXT, b"a"))]
    assert [type(error) for error in unraisable] == [LookupError]


def test_a_socket_that_is_removed_while_it_is_asked_is_not_read(reader):
    unwanted: list[bytes] = []

    class Leaving(Owner):
        @property
        def on_text(self) -> Callable[[bytes], None]:
            reader.poller.remove(descriptor)
            return unwanted.append

    owner = Leaving()
    descriptor, far = reader.open(owner)
    far.sendall(frame(TEXT, b"a"))
    reader.read()
    assert (owner.events, unwanted) == ([("data", frame(TEXT, b"a"))], [])


def test_more_than_one_read_takes_is_read_in_turns(reader):
    owner = Owner()
    _, far = reader.open(owner)
    far.settimeout(5)
    payload = bytes(range(250)) * 4
    far.sendall(frame(BINARY, payload) * 30)
    reader.read()
    reader.read()
    kinds = [kind for kind, _ in owner.events]
    assert kinds == ["binary"] * (16384 // len(frame(BINARY, payload))) + ["data"] * 2
    parts = [frame(BINARY, value) if kind == "binary" else value for kind, value in owner.events]
    assert b"".join(parts) == frame(BINARY, payload) * 30


LIMITS = BudgetLimits(burst_frames=5, excess_frames_max=20)
FLOOD = st.lists(
    st.tuples(st.integers(0, 200) | st.just(1_100), st.sampled_from([1, 160, 999]), st.booleans()),
    max_size=60,
)


@given(FLOOD)
def test_frames_are_counted_as_the_sources_count_them(native, flood):
    poller = native.Poller(
        LIMITS.frame_ns, LIMITS.burst_frames, LIMITS.excess_ns, LIMITS.excess_frames_max
    )
    near, far = socket.socketpair()
    standstill = Standstill(LIMITS, 0)
    owner, budget, now_ns = Owner(), FrameBudget(LIMITS, standstill), 0
    taken, dropped, is_flooded = 0, 0, False
    with near, far:
        poller.add(near.fileno(), owner, BYTES_MAX)
        for ms, size, is_text in flood:
            now_ns += ms * 1_000_000
            poller.excuse(standstill.look(now_ns))
            verdict = budget.spend(now_ns, 1)
            taken += verdict == TAKEN
            dropped += verdict != TAKEN
            is_flooded = is_flooded or verdict == FLOODED
            far.sendall(frame(TEXT if is_text else BINARY, b"x" * size))
            poller.poll(now_ns)
            assert poller.spend(near.fileno(), now_ns, 0) in (TAKEN, FLOODED)
    poller.close()
    told = [value for kind, value in owner.events if kind == "dropped"]
    assert len(owner.events) - len(told) == taken
    assert sum(count for count, _ in told) == dropped
    assert any(flooded for _, flooded in told) == is_flooded


def test_one_socket_has_one_read_a_turn_and_a_flood_is_told_once(reader, native):
    poller = native.Poller(9_000_000, 10, 40_000_000, 100)
    near, far = socket.socketpair()
    quiet, mouth = socket.socketpair()
    order: list[str] = []
    flooder = Owner(lambda _: order.append("flooder"))
    other = Owner(lambda _: order.append("other"))
    with near, far, quiet, mouth:
        poller.add(near.fileno(), flooder, BYTES_MAX)
        poller.add(quiet.fileno(), other, BYTES_MAX)
        far.setblocking(False)
        while True:
            try:
                far.send(frame(BINARY, b"x") * 5_000)
            except BlockingIOError:
                break
        mouth.sendall(frame(TEXT, b"hi"))
        flooder.act = lambda value: poller.remove(near.fileno()) if value == (101, True) else None
        poller.poll(1)
        assert other.events == [("text", b"hi")]
        assert flooder.events == [("binary", b"x")] * 10 + [("dropped", (101, True))]
        poller.poll(2)
        assert len(flooder.events) == 11
    poller.close()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_end_of_the_stream_is_told(reader, how):
    owner = Owner()
    if how == "close":
        _, far = reader.open(owner)
        far.close()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
        reader.sockets += [listener, near]
        reader.poller.add(near.fileno(), owner, BYTES_MAX)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
    reader.read()
    assert owner.events == [("ended", None)]


@pytest.mark.parametrize("is_read_between", [False, True])
def test_what_came_before_the_end_is_delivered_before_it(reader, is_read_between):
    owner = Owner()
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, b"last"))
    if is_read_between:
        reader.read()
    far.close()
    reader.read()
    reader.read()
    reader.read()
    assert owner.events == [("text", b"last"), ("ended", None)]


def test_what_comes_before_a_socket_is_added_is_read(reader):
    owner = Owner()
    near, far = socket.socketpair()
    reader.sockets += [near, far]
    far.sendall(frame(TEXT, b"early"))
    for turn in range(2):
        reader.poller.add(near.fileno(), owner, BYTES_MAX)
        reader.read()
        reader.poller.remove(near.fileno())
        far.sendall(frame(TEXT, b"%d" % turn))
    assert owner.events == [("text", b"early"), ("text", b"0")]


def test_many_are_read_and_none_twice(reader):
    owners = [Owner() for _ in range(300)]
    for number, owner in enumerate(owners):
        reader.open(owner)[1].sendall(frame(TEXT, b"%d" % number))
    reader.read()
    reader.read()
    assert [owner.events for owner in owners] == [[("text", b"%d" % n)] for n in range(300)]


def test_a_removed_socket_is_not_read_not_even_in_the_same_turn(reader):
    first, second = Owner(), Owner()
    descriptors = [reader.open(owner) for owner in (first, second)]

    def remove_both(_: Any) -> None:
        for descriptor, _peer in descriptors:
            reader.poller.remove(descriptor)

    first.act = second.act = remove_both
    for _, far in descriptors:
        far.sendall(frame(TEXT, b"one") + frame(TEXT, b"two"))
    reader.read()
    reader.read()
    # What was read with the frame that ended it goes to its owner: it may hold a close frame.
    told = [events for events in (first.events, second.events) if events]
    assert told == [[("text", b"one"), ("data", frame(TEXT, b"two"))]]
    assert reader.poller.take_counts(descriptors[0][0]) == (0, 0, 0)


def test_a_handler_may_add_sockets(reader):
    late = Owner()

    def add(_: Any) -> None:
        for _ in range(300):
            reader.open(late)

    owner = Owner(add)
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, b"one") + frame(TEXT, b"two"))
    reader.read()
    assert owner.events == [("text", b"one"), ("text", b"two")]
    assert late.events == []


def test_a_handlers_fault_is_its_owners_alone(reader):
    def fail(value: Any) -> None:
        if isinstance(value, bytes):
            raise LookupError(value)

    failing, sound = Owner(fail), Owner()
    for owner in (failing, sound):
        reader.open(owner)[1].sendall(frame(TEXT, b"x") + frame(PING))
    reader.read()
    assert [kind for kind, _ in failing.events] == ["text", "failed", "data", "failed"]
    error = failing.events[1][1]
    assert isinstance(error, LookupError)
    assert error.__traceback__ is not None
    assert sound.events == [("text", b"x"), ("data", frame(PING))]


def test_an_owner_that_cannot_even_fail_hinders_nobody(reader, monkeypatch):
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: unraisable.append(event.exc_value))

    def fail(_: Any) -> None:
        raise LookupError

    failing, sound = Owner(fail), Owner()
    for owner in (failing, sound):
        reader.open(owner)[1].sendall(frame(TEXT, b"x"))
    reader.read()
    assert [type(error) for error in unraisable] == [LookupError]
    assert sound.events == [("text", b"x")]


def test_what_ends_the_process_is_raised(reader):
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    owner = Owner(interrupt)
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, b"x") + frame(TEXT, b"y"))
    with pytest.raises(KeyboardInterrupt):
        reader.read()
    assert owner.events == [("text", b"x")]
    owner.act = lambda _: None
    far.sendall(frame(TEXT, b"z"))
    reader.read()
    assert owner.events[1:] == [("text", b"z")]


def test_what_ends_the_process_leaves_the_others_unread_but_not_forgotten(reader):
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    owners = [Owner(interrupt) for _ in range(5)]
    for owner in owners:
        reader.open(owner)[1].sendall(frame(TEXT, b"x"))
    for count in range(1, 6):
        with pytest.raises(KeyboardInterrupt):
            reader.read()
        assert sum(len(owner.events) for owner in owners) == count
    reader.read()
    assert [owner.events for owner in owners] == [[("text", b"x")]] * 5


def test_reading_within_reading_is_refused(reader):
    owner = Owner(lambda value: reader.read() if isinstance(value, bytes) else None)
    _, far = reader.open(owner)
    far.sendall(frame(TEXT, b"x"))
    reader.read()
    assert isinstance(owner.events[1][1], RuntimeError)


def test_closing_within_reading_ends_it(reader):
    owner = Owner(lambda _: reader.poller.close())
    descriptor, far = reader.open(owner)
    far.sendall(frame(TEXT, b"x"))
    reader.read()
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.read()
    reader.poller.remove(descriptor)
    assert owner.events == [("text", b"x")]


def test_what_cannot_be_read_is_refused(reader, tmp_path):
    descriptor, _ = reader.open(Owner())
    for wrong in (descriptor, -1):
        with pytest.raises(ValueError, match="cannot be added"):
            reader.poller.add(wrong, Owner(), BYTES_MAX)
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.poller.add(100_000, Owner(), BYTES_MAX)
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="not permitted"):
        reader.poller.add(file.fileno(), Owner(), BYTES_MAX)
    reader.poller.remove(100_000)
    reader.poller.remove(-1)


def test_owners_are_let_go(native):
    reader = Reader(native)
    owners = [Owner(), Owner()]
    alive = [weakref.ref(owner) for owner in owners]
    descriptor, _ = reader.open(owners[0])
    reader.open(owners[1])
    reader.poller.remove(descriptor)
    owners[1].act = reader.poller.poll  # a cycle
    for one in reader.sockets:
        one.close()
    del owners, reader
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


@pytest.mark.parametrize("length", [0, 1, 4096, 65536])
def test_data_is_written_or_its_rest_returned(native, length):
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    with near, far:
        data = bytes(index % 251 for index in range(length))
        rest = native.send_data(near.fileno(), data)
        assert (rest is None) == (length < 65536)
        assert native.send_data(near.fileno(), data) == (None if length < 65536 else data)
        near.close()
        got = b"".join(iter(lambda: far.recv(1 << 17), b""))
        assert got == (data * 2 if rest is None else data[: -len(rest)])
        assert native.send_data(far.fileno(), b"gone") == b"gone"


@pytest.mark.parametrize("first", [TEXT_FIN, BINARY_FIN])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 160, 2048, 2049, 65535, 65536])
def test_a_frame_is_written_whole_or_its_rest_returned(native, first, length):
    near, far = socket.socketpair()
    with near, far:
        payload = bytes(index % 251 for index in range(length))
        rest = native.send_frame(near.fileno(), first, payload)
        near.close()
        got = b"".join(iter(lambda: far.recv(1 << 17), b""))
        assert got + (rest or b"") == data_header(first, length) + payload
        assert (rest is None) == (length <= 2048)


def test_what_the_kernel_does_not_take_is_returned(native):
    listener = socket.create_server(("127.0.0.1", 0))
    far = socket.socket()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    far.connect(listener.getsockname())
    near, _ = listener.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with listener, near, far:
        sent = b""
        for number in range(10_000):
            one = (b"%09d " % number) * 200
            sent += data_header(BINARY_FIN, len(one)) + one
            rest = native.send_frame(near.fileno(), BINARY_FIN, one)
            if rest is not None:
                break
        else:
            pytest.fail("the kernel swallowed everything")
        again = native.send_frame(near.fileno(), BINARY_FIN, b"more")
        assert again == data_header(BINARY_FIN, 4) + b"more"
        near.shutdown(socket.SHUT_WR)
        far.settimeout(5)
        got = b"".join(iter(lambda: far.recv(1 << 16), b""))
        assert got + rest == sent


def test_a_peer_that_is_gone_is_the_transports_to_find(native):
    near, far = socket.socketpair()
    with near:
        far.close()
        assert native.send_frame(near.fileno(), TEXT_FIN, b"x") == b"\x81\x01x"
    assert native.send_frame(-1, TEXT_FIN, b"x") == b"\x81\x01x"


@pytest.mark.parametrize("arguments", [(), (1, TEXT_FIN), (1, TEXT_FIN, "text"), ("1", 1, b"")])
def test_wrong_arguments_are_refused(native, arguments):
    with pytest.raises(TypeError):
        native.send_frame(*arguments)


def test_masks_are_the_peers_own(reader):
    owner = Owner()
    _, far = reader.open(owner)
    key = bytes(255 - byte for byte in MASK)
    payload = b"another key"
    masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    far.sendall(bytes((BINARY_FIN, 0x80 | len(payload))) + key + masked)
    reader.read()
    assert owner.events == [("binary", payload)]
