"""Frames that are late by less than the carrier's lead reach it byte for byte as they were sent.

Each call is one of a seed. Something stands still many times a second: the process, the network
before us, or both; whatever it keeps comes at its end. The carrier returns marks meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.media.stalled_world import LOUD, TALK, Call, Stalls
from tests.thorough import first_of

SECONDS = 20
REPEATED_MS = {True: 7.5, False: 23.5}
"""Lateness that alters nothing however often it happens, by whether frames are packets."""
FIRST_MS = {True: 3.5, False: 17.5}
"""The same of the first frame: all others come that much earlier, and are left alone."""
ONCE_MS = {True: 11.0, False: 27.0}
"""The same of a single frame: all of the lead but what concealment needs."""
SILENCE = b"\xff" * 160


@dataclass
class Listened(Call):
    """A call of which the carrier keeps all that it is sent."""

    sent: list[bytes] = field(default_factory=list)

    def _send(self, now: int, given: Sequence[bytes]) -> None:
        self.sent += given
        super()._send(now, given)

    def is_exact(self) -> bool:
        """Whether each frame but the first, which fades in, is a piece of its own, in order."""
        pieces = list(self.sent)
        while pieces[0] == SILENCE:
            del pieces[0]
        frames = [frame for frame, _ in (LOUD if self.is_loud else TALK)]
        first = random.Random(self.seed).randrange(len(frames))
        spoken = [frames[(first + 1 + at) % len(frames)] for at in range(SECONDS * 50 - 1)]
        # What the carrier is sent after the last frame conceals that there is none.
        return pieces[1 : len(spoken) + 1] == spoken


def stops(seed: int, longest_ms: float, *, first_s: float = 1) -> Stalls:
    """Return stops of any length up to the longest, eight a second on average."""
    chance, found, at = random.Random(-1 - seed), [], first_s
    while at < SECONDS - 1:
        length_s = chance.uniform(0.2, 1) * longest_ms / 1_000
        found.append((at, at + length_s))
        at += length_s + chance.expovariate(8)
    return found


@pytest.mark.parametrize("is_loud", [False, True], ids=["speech", "noise"])
@pytest.mark.parametrize("is_packets", [False, True], ids=["stream", "packets"])
@pytest.mark.parametrize("side", ["process", "before us"])
@pytest.mark.parametrize("seed", first_of(range(12)))
def test_lateness_within_the_lead_alters_no_frame(
    seed: int, side: str, is_packets: bool, is_loud: bool
) -> None:
    stalls = {side: stops(seed, REPEATED_MS[is_packets] - 0.1)}
    call = Listened(seed, SECONDS, stalls, jitter_ms=0, is_packets=is_packets, is_loud=is_loud)
    call.run((0, 0))
    assert call.is_exact()
    assert call.clears == 0


@pytest.mark.parametrize("is_packets", [False, True], ids=["stream", "packets"])
@pytest.mark.parametrize("seed", first_of(range(12)))
def test_nor_does_uneven_arrival_beside_stops_of_the_process(seed: int, is_packets: bool) -> None:
    jitter_ms = 0.2
    longest_ms = REPEATED_MS[is_packets] - 5 * jitter_ms
    stalls = {"process": stops(seed, longest_ms)}
    call = Listened(seed, SECONDS, stalls, jitter_ms=jitter_ms, is_packets=is_packets)
    call.run((0, 0))
    assert call.is_exact()


@pytest.mark.parametrize("is_loud", [False, True], ids=["speech", "noise"])
@pytest.mark.parametrize("is_packets", [False, True], ids=["stream", "packets"])
@pytest.mark.parametrize("seed", first_of(range(8)))
def test_a_call_that_begins_while_the_process_is_busy_is_exact_too(
    seed: int, is_packets: bool, is_loud: bool
) -> None:
    longest_ms = min(FIRST_MS[is_packets], REPEATED_MS[is_packets]) - 0.1
    # Of the first frame, which comes 15 ms after the call has begun, and of all others.
    stalls = {"process": [(0.0149, 0.0149 + longest_ms / 1_000), *stops(seed, longest_ms)]}
    call = Listened(seed, SECONDS, stalls, jitter_ms=0, is_packets=is_packets, is_loud=is_loud)
    call.run((0, 0))
    assert call.is_exact()


@pytest.mark.parametrize("is_packets", [False, True], ids=["stream", "packets"])
def test_a_single_late_frame_may_use_up_all_of_the_lead(is_packets: bool) -> None:
    longest_s = ONCE_MS[is_packets] / 1_000 - 1e-4
    # Apart by more than the window in which two of them would ask for more lead.
    begins = [1.0149 + 3.02 * count for count in range(6)]
    stalls = {"process": [(begin, begin + longest_s) for begin in begins]}
    call = Listened(1, SECONDS, stalls, jitter_ms=0, is_packets=is_packets)
    call.run((0, 0))
    assert call.is_exact()
