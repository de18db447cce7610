"""A voice that ceases to come, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.sound.stalls import RECHECK_NS, StallWatch
from media.clock import NEVER_NS

LIMIT_NS = 500_000_000
START_NS = 7_000_000_000


@dataclass
class Voice:
    """A voice, and what is told of it."""

    now_ns: int = START_NS
    last_in_ns: int = 0
    told: list[tuple[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = StallWatch(LIMIT_NS, self, self)

    def stalled(self, voice: Voice, is_stalled: bool) -> None:
        assert voice is self
        self.told.append((self.now_ns, is_stalled))

    def passes(self, ms: int, *, speaks: bool) -> Voice:
        for _ in range(ms // 10):
            self.now_ns += 10_000_000
            if speaks:
                self.last_in_ns = self.now_ns
            if self.watch.deadline_ns <= self.now_ns:
                self.watch.poll(self.now_ns)
        return self


def test_a_watch_that_was_not_started_tells_nothing() -> None:
    voice = Voice().passes(5_000, speaks=False)
    assert voice.told == []
    assert voice.watch.deadline_ns == NEVER_NS


def test_a_voice_that_comes_is_not_told_of() -> None:
    voice = Voice()
    voice.watch.start(voice.now_ns)
    assert voice.passes(5_000, speaks=True).told == []


def test_a_stall_is_told_once_and_so_is_its_end() -> None:
    voice = Voice()
    voice.watch.start(voice.now_ns)
    voice.passes(1_000, speaks=True)
    silent_ns = voice.now_ns
    voice.passes(4_000, speaks=False)
    assert voice.told == [(silent_ns + LIMIT_NS, True)]
    back_ns = voice.now_ns
    voice.passes(2_000, speaks=True)
    (_, (at_ns, is_stalled)) = voice.told
    assert not is_stalled
    assert at_ns - back_ns <= RECHECK_NS + 10_000_000


def test_a_voice_that_never_came_is_waited_for_as_long() -> None:
    voice = Voice()
    voice.watch.start(voice.now_ns)
    assert voice.passes(490, speaks=False).told == []
    assert voice.passes(10, speaks=False).told == [(START_NS + LIMIT_NS, True)]


def test_a_watch_that_starts_anew_tells_again() -> None:
    voice = Voice()
    voice.watch.start(voice.now_ns)
    voice.passes(1_000, speaks=False)
    voice.watch.start(voice.now_ns)
    voice.passes(1_000, speaks=False)
    assert [is_it for _, is_it in voice.told] == [True, True]
