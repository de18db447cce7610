"""The phases: what each event allows, and where it leads."""

from __future__ import annotations

import pytest

from media.playout_state import (
    CONCEALING,
    IDLE,
    JOINING,
    ON_ARRIVAL,
    ON_BROKEN,
    ON_INSERTED,
    ON_MISSING,
    ON_PLAYED,
    ON_STOPPED,
    PLAYING,
    STARTING,
    PlayoutPhase,
    Transitions,
)

EVENTS = (ON_ARRIVAL, ON_BROKEN, ON_MISSING, ON_PLAYED, ON_INSERTED, ON_STOPPED)


def test_a_stream_starts_plays_conceals_and_stops() -> None:
    assert ON_ARRIVAL[IDLE] is STARTING
    assert ON_PLAYED[STARTING] is PLAYING
    assert ON_MISSING[PLAYING] is CONCEALING
    assert ON_PLAYED[CONCEALING] is PLAYING
    assert ON_BROKEN[PLAYING] is JOINING
    assert ON_PLAYED[JOINING] is PLAYING
    assert ON_STOPPED[PLAYING] is IDLE


def test_only_a_frame_that_was_played_is_continued() -> None:
    for event in EVENTS:
        led_to = {phase for phase, after in event.items() if after is PLAYING}
        assert led_to in (set(), {PLAYING}) or event is ON_PLAYED


def test_only_an_arrival_ends_idleness() -> None:
    for event in EVENTS:
        assert event.get(IDLE, IDLE) is IDLE or event is ON_ARRIVAL


@pytest.mark.parametrize(
    ("event", "refused"),
    [
        (ON_ARRIVAL, set()),
        (ON_BROKEN, set()),
        (ON_MISSING, {IDLE, STARTING}),
        (ON_PLAYED, {IDLE}),
        (ON_INSERTED, set()),
        (ON_STOPPED, set()),
    ],
)
def test_an_event_that_a_phase_does_not_allow_is_refused(
    event: Transitions, refused: set[PlayoutPhase]
) -> None:
    assert set(PlayoutPhase) - set(event) == refused
    for phase in refused:
        with pytest.raises(KeyError):
            event[phase]


def test_every_phase_can_be_reached_and_left() -> None:
    reached, waiting = {IDLE}, [IDLE]
    while waiting:
        phase = waiting.pop()
        after = {event[phase] for event in EVENTS if phase in event} - reached
        reached |= after
        waiting += after
    assert reached == set(PlayoutPhase)
    assert all(
        any(event.get(phase, phase) is not phase for event in EVENTS) for phase in PlayoutPhase
    )
