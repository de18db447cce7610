"""A call that nobody answers, or nobody is heard on, ends when it is time."""

from __future__ import annotations

import pytest

from gateway.call.machine import (
    Answered,
    Call,
    DialAccepted,
    Ended,
    HoldPlaced,
    Requested,
    Ringing,
    StreamStarted,
)
from gateway.call.patience import DIAL_MARGIN_NS, overdue
from gateway.cause import Cause
from gateway.nanoseconds import SECOND_NS
from gateway.settings_variables import from_mapping

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
