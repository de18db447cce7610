"""The call's state machine: every script of events keeps what the product promises."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.call.machine import (
    DIAL_MARGIN_NS,
    LIVE,
    TRANSITIONS,
    Answered,
    Call,
    CarrierEnded,
    Command,
    ConfirmationAbandoned,
    DialAccepted,
    DialFailed,
    Ended,
    Event,
    HeldByCaller,
    HoldPlaced,
    HoldRefused,
    Requested,
    ResumedByCaller,
    Ringing,
    Settled,
    State,
    StreamStarted,
    overdue,
)
from gateway.cause import Cause
from gateway.errors import UnexpectedEventError
from gateway.nanoseconds import SECOND_NS
from gateway.settings_variables import from_mapping

SAMPLES: dict[type[Event], Event] = {
    Requested: Requested(),
    HoldPlaced: HoldPlaced(),
    HoldRefused: HoldRefused(Cause.OUTGOING_CALL_BARRED),
    DialAccepted: DialAccepted("CA1"),
    DialFailed: DialFailed(Cause.NETWORK_OUT_OF_ORDER),
    Ringing: Ringing(),
    Answered: Answered(),
    StreamStarted: StreamStarted(),
    HeldByCaller: HeldByCaller(),
    ResumedByCaller: ResumedByCaller(),
    Ended: Ended(Cause.NORMAL_CLEARING, "caller"),
    CarrierEnded: CarrierEnded(Cause.NORMAL_CLEARING, "callee", 7),
    ConfirmationAbandoned: ConfirmationAbandoned(),
    Settled: Settled(),
}
"""One event of every kind."""


def play(*events: Event) -> tuple[Call, list[Command]]:
    """Feed the events, one a nanosecond; return the call and all commands."""
    call = Call()
    commands: list[Command] = []
    for now_ns, event in enumerate(events, start=1):
        commands += call.receive(event, now_ns)
    return call, commands


def scripts(length: int):
    """Yield every script of events that the table allows, with the call and its commands."""

    def extend(call_events: tuple[Event, ...], state: State):
        yield call_events
        if len(call_events) == length:
            return
        for kind, event in SAMPLES.items():
            row = TRANSITIONS.get((state, kind))
            if row is not None:
                yield from extend((*call_events, event), row[0])

    yield from extend((), State.NEW)


def test_the_samples_cover_every_event():
    kinds = {kind for _, kind in TRANSITIONS}
    assert set(SAMPLES) == kinds


def test_every_short_life_keeps_the_promises():
    count = 0
    for script in scripts(6):
        count += 1
        call, commands = play(*script)
        assert commands.count(Command.DIAL) <= 1
        assert commands.count(Command.START_METER) <= 1
        assert commands.count(Command.REPORT_END) <= 1
        assert commands.count(Command.SETTLE) <= 1
        assert commands.count(Command.RELEASE) <= 1
        assert commands.count(Command.REPORT_END) == (call.cause is not None)
        if Command.START_METER in commands:
            kinds = [type(e) for e in script]
            assert Answered in kinds or StreamStarted in kinds, "charged before answer"
        if Command.START_METER in commands and call.cause is not None:
            assert Command.STOP_METER in commands
        if call.state is State.SETTLED and Command.DIAL in commands:
            assert Command.SETTLE in commands, "a dialled call ends without a record"
        if Command.SETTLE in commands:
            after = commands[commands.index(Command.SETTLE) :]
            assert not {Command.DIAL, Command.START_METER, Command.JOIN_MEDIA} & set(after)
    assert count > 5_000


def test_no_call_ends_without_telling_the_carrier():
    for script in scripts(6):
        call, commands = play(*script)
        ended_by_us = call.state in (State.ENDING, State.SETTLING) and any(
            type(e) is Ended for e in script
        )
        confirmed = any(type(e) in (CarrierEnded, DialFailed) for e in script)
        if ended_by_us and Command.DIAL in commands and not confirmed:
            assert Command.HANG_UP_CARRIER in commands


@pytest.mark.parametrize(
    ("state", "kind"), [pair for pair in product(State, SAMPLES) if pair not in TRANSITIONS]
)
def test_a_pair_outside_the_table_is_refused(state, kind):
    call = Call()
    call.state = state
    with pytest.raises(UnexpectedEventError) as caught:
        call.receive(SAMPLES[kind], 1)
    assert (caught.value.state, caught.value.event) == (state.name, kind.__name__)


def test_whatever_the_carrier_repeats_changes_nothing():
    call, _ = play(Requested(), HoldPlaced(), DialAccepted("CA1"), Ringing(), Answered())
    late = [Ringing(), Answered(), DialAccepted("CA2")]
    assert [call.receive(event, 9) for event in late] == [(), (), ()]
    assert (call.state, call.carrier_call_id, call.answered_ns) == (State.ANSWERED, "CA1", 5)


def test_the_stream_proves_the_answer_when_the_callback_is_lost():
    call, commands = play(Requested(), HoldPlaced(), StreamStarted())
    assert commands[-3:] == [Command.START_METER, Command.REPORT_ANSWER, Command.JOIN_MEDIA]
    assert call.answered_ns == 3


def test_the_first_proof_of_the_end_names_it():
    call, _ = play(
        Requested(),
        HoldPlaced(),
        Answered(),
        Ended(Cause.ALLOTTED_TIMEOUT, "credit"),
        CarrierEnded(Cause.NORMAL_CLEARING, "callee", 11),
    )
    assert (call.cause, call.ended_by, call.ended_ns) == (Cause.ALLOTTED_TIMEOUT, "credit", 4)
    assert call.carrier_seconds == 11


def test_a_call_that_is_taken_after_its_end_is_hung_up():
    _, commands = play(
        Requested(), HoldPlaced(), Ended(Cause.ORIGINATOR_CANCEL, "caller"), DialAccepted("CA1")
    )
    assert commands[-1] is Command.HANG_UP_CARRIER


def test_a_call_ended_while_its_hold_is_placed_is_never_dialled():
    _, commands = play(Requested(), Ended(Cause.ORIGINATOR_CANCEL, "caller"), HoldPlaced())
    assert Command.DIAL not in commands
    assert commands[-1] is Command.SETTLE


@pytest.mark.parametrize("state", LIVE)
def test_every_live_state_ends_on_either_proof(state):
    assert (state, Ended) in TRANSITIONS
    assert (state, CarrierEnded) in TRANSITIONS


def test_hold_parts_and_joins_again():
    call, commands = play(
        Requested(), HoldPlaced(), StreamStarted(), HeldByCaller(), ResumedByCaller()
    )
    assert commands[-2:] == [Command.HOLD_MEDIA, Command.RESUME_MEDIA]
    assert call.state is State.ANSWERED


SETTINGS = from_mapping({"CALLER_DATA_DIR": "/nonexistent"})
DIALLED_NS = 10**15
RUNG_OUT_NS = DIALLED_NS + SETTINGS.ring_timeout_s * SECOND_NS + DIAL_MARGIN_NS
UNANSWERED = [Requested(), HoldPlaced(), DialAccepted("CA1"), Ringing()]


def call_after(*events):
    call = Call()
    for event in events:
        call.receive(event, DIALLED_NS)
    return call


def end_of(call, now_ns, heard_ns=None):
    return overdue(call, SETTINGS, DIALLED_NS, heard_ns, now_ns)


@pytest.mark.parametrize("events", [UNANSWERED[:2], UNANSWERED[:3], UNANSWERED])
def test_a_phone_that_rings_beyond_what_was_asked(events):
    call = call_after(*events)
    assert end_of(call, RUNG_OUT_NS) is None
    assert end_of(call, RUNG_OUT_NS + 1) == (Ended(Cause.NO_ANSWER, "limit"), RUNG_OUT_NS + 1)


def test_an_answered_call_whose_stream_does_not_come():
    call = call_after(*UNANSWERED, Answered())
    allowed_ns = SETTINGS.stream_timeout_s * SECOND_NS
    assert end_of(call, DIALLED_NS + allowed_ns) is None
    late_ns = DIALLED_NS + allowed_ns + 1
    assert end_of(call, late_ns) == (Ended(Cause.MEDIA_TIMEOUT, "carrier"), late_ns)


def test_a_stream_that_has_fallen_silent_ends_with_its_last_sound():
    call = call_after(*UNANSWERED, Answered(), StreamStarted())
    heard_ns = DIALLED_NS + 77 * SECOND_NS
    allowed_ns = SETTINGS.media_silence_s * SECOND_NS
    assert end_of(call, heard_ns + allowed_ns, heard_ns) is None
    ended = (Ended(Cause.MEDIA_TIMEOUT, "carrier"), heard_ns)
    assert end_of(call, heard_ns + allowed_ns + 1, heard_ns) == ended


def test_what_has_not_begun_or_is_over_is_not_waited_for():
    over = call_after(*UNANSWERED, Ended(Cause.NORMAL_CLEARING, "caller"))
    for call in (Call(), over):
        assert end_of(call, DIALLED_NS * 2) is None
