"""What a call says to its caller and to the books."""

from datetime import UTC, datetime

import pytest

from billing.cdr import LegQuality
from billing.meter import CutOff
from billing.ports import OpenResult
from billing.rating import Rate
from gateway.browser import reports
from gateway.browser.messages import Cancel, Disconnect, encode
from gateway.call.machine import (
    Answered,
    Call,
    CarrierEnded,
    DialFailed,
    Ended,
    HoldPlaced,
    Requested,
    Ringing,
)
from gateway.cause import CarrierRefusal, Cause
from gateway.problems import PROBLEMS
from tests.gateway.stage import order

ORDER = order()
START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND_NS = 1_000_000_000


def call_of(*events):
    """Return a call after these events, a second apart."""
    call = Call()
    for second, event in enumerate((Requested(), HoldPlaced(), *events)):
        call.receive(event, second * SECOND_NS)
    return call


def test_every_refusal_of_a_hold_has_words():
    assert set(reports.REFUSALS) == set(OpenResult) - {OpenResult.OPENED}
    assert set(reports.REFUSALS.values()) <= set(PROBLEMS)


@pytest.mark.parametrize(
    ("event", "tone"),
    [
        (CarrierEnded(Cause.USER_BUSY, "callee"), "busy"),
        (CarrierEnded(Cause.UNALLOCATED_NUMBER, "carrier"), "congestion"),
        (CarrierEnded(Cause.NO_ANSWER, "callee"), None),
        (Ended(Cause.ORIGINATOR_CANCEL, "caller"), None),
        (Ended(Cause.USER_BUSY, "caller"), None),
    ],
)
def test_a_failure_before_the_answer_has_its_tone(event, tone):
    assert reports.end_tone(call_of(event)) == tone


@pytest.mark.parametrize("ended_by", ["credit", "limit"])
def test_a_call_that_is_cut_off_has_its_tone(ended_by):
    call = call_of(Answered(), Ended(Cause.ALLOTTED_TIMEOUT, ended_by))
    assert reports.end_tone(call) == "cut-off"


@pytest.mark.parametrize(
    ("ran_out_of", "lack", "words"),
    [
        (CutOff.CREDIT, "credit", "credit is used up"),
        (CutOff.CAP, "cap", "spending limit"),
        (CutOff.DURATION, "duration", "as long as a call may"),
    ],
)
def test_a_cut_off_says_why_and_what_to_do(ran_out_of, lack, words):
    call = call_of(Answered(), Ended(Cause.ALLOTTED_TIMEOUT, "limit"))
    message = reports.end_message("c1", call, 2, reports.money(1, "USD"), ran_out_of)
    assert words in message.message
    assert message.action
    assert message.cut_off == lack


def test_an_outage_is_no_lack_of_the_callers():
    call = call_of(Answered(), Ended(Cause.NORMAL_TEMPORARY_FAILURE, "gateway"))
    message = reports.end_message("c1", call, 2, reports.money(1, "USD"), CutOff.GRACE)
    assert message.message == Cause.NORMAL_TEMPORARY_FAILURE.message
    assert (message.action, message.cut_off) == ("", None)


def test_an_answered_or_a_living_call_ends_without_a_tone():
    ended = CarrierEnded(Cause.USER_BUSY, "callee")
    assert reports.end_tone(call_of(Answered(), ended)) is None
    assert reports.end_tone(call_of()) is None


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([Ended(Cause.ORIGINATOR_CANCEL, "caller")], Cancel),
        ([Ended(Cause.MANAGER_REQUEST, "operator")], Disconnect),
        ([Answered(), Ended(Cause.NORMAL_CLEARING, "caller")], Disconnect),
        ([CarrierEnded(Cause.USER_BUSY, "callee")], Disconnect),
    ],
)
def test_only_the_caller_gives_up_and_only_before_the_answer(events, kind):
    cost = reports.money(20_000, "USD")
    message = reports.end_message("c1", call_of(*events), 2, cost)
    assert type(message) is kind
    assert (message.call_id, message.seconds, message.cost) == ("c1", 2, cost)
    assert (message.cause, message.name) == (events[-1].cause, events[-1].cause.name)
    assert message.message == events[-1].cause.message
    assert message.ended_by == events[-1].ended_by
    assert (message.action, message.cut_off) == ("", None)


def test_what_the_carrier_answered_is_told_in_every_language():
    told = {"en": "All lines are in use.", "de": "Alle Leitungen sind belegt."}
    refusal = CarrierRefusal(10004, "Call concurrency limit exceeded", told)
    call = Call()
    for event in (Requested(), HoldPlaced(), DialFailed(Cause.NORMAL_CIRCUIT_CONGESTION, refusal)):
        call.receive(event, SECOND_NS)
    message = reports.end_message("c1", call, 0, None)
    assert (message.message, message.messages) == ("All lines are in use.", told)
    assert message.cause == Cause.NORMAL_CIRCUIT_CONGESTION
    # Code and words are about the operator's account.
    assert "10004" not in encode(message).decode()
    assert "concurrency" not in encode(message).decode()


def test_money_is_exact_and_readable():
    assert reports.money(1_250_000, "USD").text == "$1.25"
    assert reports.money(-10_000, "EUR").micros == -10_000


def test_a_quote_names_every_part_of_the_price():
    rate = Rate(per_minute_micros=12_000, connect_fee_micros=3_000, first_s=30, next_s=6)
    quote = reports.quote(order(rate, currency="EUR"), rate)
    assert (quote.per_minute.micros, quote.connect_fee.micros) == (12_000, 3_000)
    assert quote.per_minute.currency == "EUR"
    assert (quote.first_increment_s, quote.next_increment_s) == (30, 6)


def ready(resume_seconds=15, **changes):
    return reports.ready(
        "c1",
        order(**changes),
        Rate(per_minute_micros=0),
        webrtc=True,
        resume_token="0.token",
        resume_seconds=resume_seconds,
    )


@pytest.mark.parametrize(("codec", "frame_bytes"), [("pcmu", 160), ("pcm16", 640)])
def test_ready_says_the_size_of_a_frame(codec, frame_bytes):
    message = ready(codec=codec)
    assert (message.codec, message.frame_bytes) == (codec, frame_bytes)


def test_ready_says_how_a_call_is_taken_up_again_where_that_is_possible():
    message = ready()
    assert (message.webrtc, message.resume_token, message.resume_seconds) == (True, "0.token", 15)
    message = ready(resume_seconds=0)
    assert (message.resume_token, message.resume_seconds) == ("", 0)


def test_dates_follow_the_monotonic_clock():
    clock = reports.WallClock(7 * SECOND_NS, START)
    assert clock.date(7 * SECOND_NS) == START
    assert clock.date(7 * SECOND_NS + 1_500_999_999).isoformat() == (
        "2026-03-01T12:00:01.750000+00:00"
    )
    assert clock.date_or_none(None) is None
    assert clock.date_or_none(6 * SECOND_NS) == clock.date(6 * SECOND_NS) < START


def test_the_opening_is_the_order_without_its_words():
    opened = reports.opened("c1", order(origin="https://page.example", key_id="k"), "n1", START)
    assert opened.key_id == "k"
    assert (opened.call_id, opened.account_id, opened.node) == ("c1", "alice", "n1")
    assert (opened.destination, opened.country, opened.codec) == ("+15005551000", "US", "pcmu")
    assert (opened.origin, opened.currency) == ("https://page.example", "USD")
    assert Rate.from_json(opened.rate).per_minute_micros == 600_000
    assert opened.created_at == START


def test_the_closing_tells_what_happened_when():
    call = call_of(Ringing(), Answered(), CarrierEnded(Cause.NORMAL_CLEARING, "callee", 1))
    call.carrier_call_id = "CA1"
    browser, carrier = LegQuality(frames_in=1), LegQuality(frames_in=2)
    closed = reports.closed(call, reports.WallClock(0, START), 1, ORDER, (browser, carrier))
    times = [closed.ringing_at, closed.answered_at, closed.ended_at]
    assert [round((t - START).total_seconds()) for t in times] == [2, 3, 4]
    assert (closed.seconds, closed.carrier_seconds, closed.carrier_call_id) == (1, 1, "CA1")
    assert (closed.cause, closed.cause_name, closed.ended_by) == (16, "NORMAL_CLEARING", "callee")
    assert (closed.browser, closed.carrier) == (browser, carrier)


def test_of_a_call_whose_holder_objects_no_figure_is_kept():
    call = call_of(Ringing(), Answered(), CarrierEnded(Cause.NORMAL_CLEARING, "callee", 1))
    heard = LegQuality(frames_in=1, paths=("webrtc",), mos=4.1)
    closed = reports.closed(
        call, reports.WallClock(0, START), 1, order(keeps_quality=False), (heard, heard)
    )
    assert (closed.browser, closed.carrier) == (LegQuality(), LegQuality())
    assert closed.seconds == 1


def test_a_call_that_was_never_answered_has_no_such_date():
    call = call_of(CarrierEnded(Cause.USER_BUSY, "callee", 0))
    none = LegQuality()
    closed = reports.closed(call, reports.WallClock(0, START), 0, ORDER, (none, none))
    assert (closed.ringing_at, closed.answered_at) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "is_capped", "limit"),
    [(599, False, "credit"), (599, True, "cap"), (600, False, "duration"), (600, True, "duration")],
)
def test_what_ends_a_call_is_named(seconds, is_capped, limit):
    assert reports.limited_by(seconds, 600, is_capped=is_capped) == limit
