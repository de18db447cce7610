"""What Twilio reports, as events."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.call.machine import Answered, CarrierEnded, Ringing
from gateway.carriers.twilio.status import from_callback, from_reply
from gateway.cause import Cause


@pytest.mark.parametrize(
    ("form", "event"),
    [
        ({"CallStatus": "queued"}, None),
        ({"CallStatus": "initiated"}, None),
        ({"CallStatus": "ringing"}, Ringing()),
        ({"CallStatus": "in-progress"}, Answered()),
        (
            {"CallStatus": "completed", "CallDuration": "49"},
            CarrierEnded(Cause.NORMAL_CLEARING, "callee", 49),
        ),
        ({"CallStatus": "completed"}, CarrierEnded(Cause.NORMAL_CLEARING, "callee", None)),
        (
            {"CallStatus": "busy", "SipResponseCode": "486"},
            CarrierEnded(Cause.USER_BUSY, "callee", 0),
        ),
        ({"CallStatus": "no-answer"}, CarrierEnded(Cause.NO_ANSWER, "callee", 0)),
        (
            {"CallStatus": "failed", "SipResponseCode": "404"},
            CarrierEnded(Cause.UNALLOCATED_NUMBER, "carrier", 0),
        ),
        (
            {"CallStatus": "failed", "SipResponseCode": "999"},
            CarrierEnded(Cause.NORMAL_TEMPORARY_FAILURE, "carrier", 0),
        ),
        ({"CallStatus": "canceled"}, CarrierEnded(Cause.ORIGINATOR_CANCEL, "caller", 0)),
        ({"CallStatus": "teleported"}, None),
        ({}, None),
    ],
)
def test_a_callback_proves_what_it_says(form, event):
    assert from_callback(form).event() == event


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("queued", CarrierState.QUEUED),
        ("initiated", CarrierState.DIALLING),
        ("ringing", CarrierState.RINGING),
        ("in-progress", CarrierState.ANSWERED),
        ("completed", CarrierState.COMPLETED),
        ("busy", CarrierState.BUSY),
        ("no-answer", CarrierState.NO_ANSWER),
        ("failed", CarrierState.FAILED),
        ("canceled", CarrierState.CANCELLED),
        *((odd, CarrierState.UNKNOWN) for odd in ("teleported", "answered", "", None)),
    ],
)
def test_twilios_words_become_ours_in_callbacks_and_replies(status, state):
    form = {} if status is None else {"CallStatus": status}
    assert from_callback(form).state is state
    assert from_reply("CA1", status, None).state is state


@pytest.mark.parametrize("text", ["-1", "", "1e3", "٣", "9" * 40, None])
def test_a_duration_that_is_none_is_unknown(text):
    status = from_callback({"CallStatus": "completed", "CallDuration": text})
    assert status.seconds is None


def test_a_reply_writes_numbers_as_strings():
    assert from_reply("CA1", "completed", "15") == CarrierStatus("CA1", CarrierState.COMPLETED, 15)
    assert from_reply("CA1", "completed", None).seconds is None
    assert from_reply("CA1", "busy", None).is_terminal
    assert not from_reply("CA1", "queued", None).is_terminal


END = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "duration", "end_time", "answered_s"),
    [
        ("completed", "15", END, 15),
        ("completed", "0", END, None),
        ("completed", None, END, None),
        ("completed", "15", None, None),
        ("completed", "15", "soon", None),
        ("completed", "15", END.replace(tzinfo=None), None),
        ("completed", "999999999", datetime(1, 1, 1, tzinfo=UTC), None),
        ("in-progress", "15", END, None),
        ("no-answer", "15", END, None),
    ],
)
def test_a_completed_call_was_answered_its_duration_before_its_end(
    status, duration, end_time, answered_s
):
    found = from_reply("CA1", status, duration, end_time).answered_at
    assert found == (None if answered_s is None else END - timedelta(seconds=answered_s))


@pytest.mark.parametrize(
    ("status", "end_time", "ended_at"),
    [
        ("completed", END, END),
        ("canceled", END, END),
        ("in-progress", END, None),
        ("completed", None, None),
        ("completed", END.replace(tzinfo=None), None),
    ],
)
def test_a_call_that_is_over_ended_when_twilio_says(status, end_time, ended_at):
    assert from_reply("CA1", status, "15", end_time).ended_at == ended_at
