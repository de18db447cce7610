"""The generator sees every fault that a relay can make, and none that it does not make."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from benchmarks import generator as module
from benchmarks import loopback
from benchmarks.faulty_relay import (
    Fault,
    doubling,
    ending_after,
    faithful,
    flipping,
    frames_of,
    in_pieces,
    inserting,
    losing,
    relay,
    swapping,
)
from benchmarks.generator import CompilerMissingError, Counts, Generator, Measurement

STREAM_SID = "MZ00000000000000000000000000000001"
WINDOW_S = 0.3


def measure(*, uplink: Fault = faithful, downlink: Fault = faithful) -> Measurement:
    with (
        relay(uplink=uplink, downlink=downlink) as (browser, carrier),
        Generator(1) as generator,
    ):
        generator.add_call(browser, carrier, STREAM_SID)
        return generator.measure(WINDOW_S)


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame with a mask of zeros, as the relay passes it on."""
    assert len(payload) < 126
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


@pytest.mark.parametrize("way", [faithful, in_pieces])
def test_a_faithful_relay_has_no_faults(way: Fault) -> None:
    seen = measure(uplink=way, downlink=way)
    assert seen.counts.faults == {}
    assert seen.counts.sent == seen.counts.received
    # 20 ms apart on two legs: about 30 frames, fewer on a machine that stalls.
    assert 10 <= seen.counts.sent <= 60


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
class TestFaults:
    def test_a_lost_frame(self, direction: str) -> None:
        assert measure(**{direction: losing(3)}).counts.faults == {"lost": 1}

    def test_the_end_of_a_stream_that_never_came(self, direction: str) -> None:
        counts = measure(**{direction: ending_after(3)}).counts
        assert counts.faults == {"lost": counts.sent - counts.received}
        assert counts.lost > 2

    def test_a_frame_twice(self, direction: str) -> None:
        assert measure(**{direction: doubling(3)}).counts.faults == {"duplicated": 1}

    def test_two_frames_in_the_wrong_order(self, direction: str) -> None:
        assert measure(**{direction: swapping(3)}).counts.faults == {"reordered": 1}


# A browser's frame is 2 + 2 + 4 bytes of header, then call, sequence, time and body.
@pytest.mark.parametrize("byte", [8, 12, 16, 24, 100, 167])
def test_one_flipped_bit_of_binary_audio(byte: int) -> None:
    assert measure(uplink=flipping(3, byte)).counts.faults == {"lost": 1, "invented": 1}


# The payload stands some 60 bytes before the end, behind it comes the streamSid.
@pytest.mark.parametrize("byte", [-70, -200, -4])
def test_one_flipped_bit_of_a_media_message(byte: int) -> None:
    assert measure(downlink=flipping(3, byte)).counts.faults == {"lost": 1, "corrupted": 1}


def test_audio_that_nobody_sent() -> None:
    noise = inserting(2, masked(2, bytes(100)))
    assert measure(uplink=noise).counts.faults == {"invented": 1}
    other_noise = inserting(2, bytes((0x82, 100)) + bytes(100))
    assert measure(downlink=other_noise).counts.faults == {"corrupted": 1}


def test_audio_of_another_call() -> None:
    with ExitStack() as stack:
        strangers: list[bytes] = []

        def listen(frames: Iterator[bytes]) -> Iterator[bytes]:
            for frame in frames:
                strangers.append(frame)
                yield frame

        def leak(frames: Iterator[bytes]) -> Iterator[bytes]:
            for index, frame in enumerate(frames):
                if index == 5:
                    yield strangers[0]
                yield frame

        generator = stack.enter_context(Generator(2))
        for way in (listen, leak):
            ends = stack.enter_context(relay(uplink=way))
            generator.add_call(*ends, STREAM_SID)
        assert generator.measure(WINDOW_S).counts.faults == {"corrupted": 1}


def test_a_leg_that_is_closed() -> None:
    last_words = masked(1, b'{"type":"disconnect","cause":41}')
    farewell = inserting(3, last_words + masked(8, b"\x03\xe8"))
    seen = measure(downlink=farewell)
    assert seen.counts.closed == 1
    assert seen.last_text == '{"type":"disconnect","cause":41}'


def test_a_server_that_does_not_read() -> None:
    browser, near = socket.socketpair()
    carrier, far = socket.socketpair()
    with near, far, Generator(1) as generator:
        for leg in (browser, carrier):
            leg.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        generator.add_call(browser, carrier, STREAM_SID)
        assert generator.measure(WINDOW_S).counts.skipped > 0


def test_control_messages_are_no_audio() -> None:
    messages = masked(1, b'{"type":"cost"}') + masked(9, b"are you there")
    seen = measure(downlink=inserting(3, messages))
    assert seen.counts.faults == {}
    assert (seen.counts.events, seen.counts.pings) == (1, 1)


def test_an_order_to_throw_audio_away_is_a_fault() -> None:
    clear = masked(1, b'{"event":"clear","streamSid":"MZ1"}')
    assert measure(uplink=inserting(3, clear)).counts.faults == {"clears": 1}


MARK = b'"mark":{"name":"second 1"}}'


@pytest.mark.parametrize(
    ("opcode", "payload", "reply_opcode", "reply_end"),
    [
        (9, b"abc", 10, b"abc"),
        (1, b'{"event":"mark",' + MARK, 1, f'"streamSid":"{STREAM_SID}",'.encode() + MARK),
    ],
    ids=["ping", "mark"],
)
def test_pings_and_marks_come_back(
    opcode: int, payload: bytes, reply_opcode: int, reply_end: bytes
) -> None:
    browser, near = socket.socketpair()
    carrier, far = socket.socketpair()
    with near, far, Generator(1) as generator:
        generator.add_call(browser, carrier, STREAM_SID)
        far.sendall(masked(opcode, payload))
        far.settimeout(5)
        replies = []
        for frame in islice(frames_of(far), 20):
            header = 8 if frame[1] & 0x7F == 126 else 6
            mask, body = frame[header - 4 : header], frame[header:]
            plain = bytes(byte ^ mask[i & 3] for i, byte in enumerate(body))
            replies.append((frame[0] & 0x0F, plain[-len(reply_end) :]))
    assert (reply_opcode, reply_end) in replies


def test_latency_is_that_of_the_relay() -> None:
    delay_s = 0.006

    def slowly(frames: Iterator[bytes]) -> Iterator[bytes]:
        for frame in frames:
            time.sleep(delay_s)
            yield frame

    seen = measure(uplink=slowly, downlink=slowly)
    assert seen.counts.faults == {}
    assert delay_s * 1e6 <= seen.p50_us <= seen.p99_us
    assert seen.p99_us >= seen.max_us * 31 / 32


def test_a_window_counts_what_happened_since_the_one_before() -> None:
    with relay(uplink=losing(3)) as ends, Generator(1) as generator:
        generator.add_call(*ends, STREAM_SID)
        assert generator.measure(WINDOW_S).counts.faults == {"lost": 1}
        assert generator.measure(WINDOW_S).counts.faults == {}


def test_what_happened_before_a_window_is_told_apart() -> None:
    with relay(uplink=losing(3)) as ends, Generator(1) as generator:
        generator.add_call(*ends, STREAM_SID)
        time.sleep(WINDOW_S)
        seen = generator.measure(WINDOW_S)
    assert seen.before.faults == seen.counts.faults == {"lost": 1}
    assert seen.faults == {}
    with relay(uplink=doubling(3)) as ends, Generator(1) as generator:
        generator.add_call(*ends, STREAM_SID)
        time.sleep(WINDOW_S)
        assert generator.measure(WINDOW_S).faults == {"duplicated": 1}


def test_many_calls_without_a_server() -> None:
    with Generator(50) as generator:
        for index in range(50):
            generator.add_call(*loopback.pair(), f"MZ{index:032x}")
        seen = generator.measure(WINDOW_S)
    assert seen.counts.faults == {}
    assert seen.counts.sent > 500


def test_no_more_calls_than_prepared_for() -> None:
    with Generator(1) as generator:
        generator.add_call(*socket.socketpair(), STREAM_SID)
        spare = socket.socketpair()
        with pytest.raises(OSError, match="No space"):
            generator.add_call(*spare, STREAM_SID)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CompilerMissingError, match="apt install gcc"):
        module.compile_library()


def test_the_library_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library = module.compile_library()
    compiled_at = library.stat().st_mtime_ns
    assert module.compile_library() == library
    assert library.stat().st_mtime_ns == compiled_at
    assert list(library.parent.iterdir()) == [library]


def test_frames_that_were_only_late_are_not_counted_below_zero() -> None:
    earlier = Counts(10, 8, 2, *[0] * 10)
    later = Counts(20, 20, 0, *[0] * 10)
    assert (later - earlier).lost == 0
    assert (later - earlier).received == 12
