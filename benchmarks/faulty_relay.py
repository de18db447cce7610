"""Relays between the two legs of a call, with faults that can be switched on.

Proves that the generator finds what it is there to find. Knows frames, and nothing inside them.
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Fault = Callable[[Iterator[bytes]], Iterable[bytes]]
"""Turns the frames of one direction into the bytes that are passed on."""


def frames_of(connection: socket.socket) -> Iterator[bytes]:
    """Yield masked client frames, headers and all, until the connection ends."""
    with connection.makefile("rb") as stream:
        while True:
            head = stream.read(2)
            # The end of the stream; a generator that closes does so between frames.
            if len(head) < 2:
                return
            size = head[1] & 0x7F
            if size == 126:
                head += stream.read(2)
                size = int.from_bytes(head[2:4], "big")
            # A client's frames bear a mask of four bytes (RFC 6455, 5.3).
            yield head + stream.read(4 + size)


def faithful(frames: Iterator[bytes]) -> Iterable[bytes]:
    return frames


def in_pieces(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Cut the frames at places that have nothing to do with them."""
    randomness = random.Random(7)
    for frame in frames:
        cut = randomness.randrange(len(frame))
        yield frame[:cut]
        # Byte by byte, so that heads and masks are cut as well.
        yield from (bytes((byte,)) for byte in frame[cut : cut + 5])
        yield frame[cut + 5 :]


def losing(index: int) -> Fault:
    return lambda frames: (f for i, f in enumerate(frames) if i != index)


def ending_after(index: int) -> Fault:
    return lambda frames: (f for i, f in enumerate(frames) if i < index)


def doubling(index: int) -> Fault:
    return lambda frames: (f for i, g in enumerate(frames) for f in [g] * (2 if i == index else 1))


def swapping(index: int) -> Fault:
    def swap(frames: Iterator[bytes]) -> Iterator[bytes]:
        yield from itertools.islice(frames, index)
        first, second = next(frames), next(frames)
        yield second
        yield first
        yield from frames

    return swap


def flipping(index: int, byte: int) -> Fault:
    """Flip one bit; `byte` counts from the end of the frame where it is negative."""

    def flip(frames: Iterator[bytes]) -> Iterator[bytes]:
        for i, frame in enumerate(frames):
            if i != index:
                yield frame
                continue
            damaged = bytearray(frame)
            damaged[byte] ^= 1
            yield bytes(damaged)

    return flip


def inserting(index: int, message: bytes) -> Fault:
    """Send one frame of our own before frame `index`."""

    def insert(frames: Iterator[bytes]) -> Iterator[bytes]:
        for i, frame in enumerate(frames):
            if i == index:
                yield message
            yield frame

    return insert


def _pump(source: socket.socket, target: socket.socket, fault: Fault) -> None:
    try:
        for piece in fault(frames_of(source)):
            target.sendall(piece)
    except OSError:
        pass  # the generator has closed its end


@contextmanager
def relay(
    *, uplink: Fault = faithful, downlink: Fault = faithful
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield a browser end and a carrier end with a relay between them."""
    browser, near = socket.socketpair()
    far, carrier = socket.socketpair()
    threads = [
        threading.Thread(target=_pump, args=(near, far, uplink)),
        threading.Thread(target=_pump, args=(far, near, downlink)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield browser, carrier
    finally:
        for end in (near, far):
            # Before the threads are joined: closing alone would not wake one that reads.
            end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in (browser, near, far, carrier):
            end.close()
