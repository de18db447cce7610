"""The row of a real call, from its request to its end, and how it sounded."""

import pytest

from gateway.call.machine import TALKING as TALKING_STATES
from gateway.call.machine import State
from gateway.cause import CarrierRefusal, Cause
from gateway.sound.line_quality import RULES
from gateway.watching import call_row
from gateway.watching.call_row import PDD_MS_MAX, row_of
from gateway.watching.rows import LIVE, TALKING, Batch, decode, encode
from tests.gateway.stage import CENT


def fresh(call):
    """Return a call's row and sound, as they travel."""
    row, sound = row_of(call.bridge)
    (found,) = decode(encode(Batch(node=row.node, calls=[row]))).calls
    assert found == row
    return row, sound


def test_each_state_of_a_call_has_one_for_who_watches():
    assert call_row._STATES.keys() == set(State)
    talking = {state for state, shown in call_row._STATES.items() if shown in TALKING}
    assert talking == set(TALKING_STATES)
    over = {state for state, shown in call_row._STATES.items() if shown not in LIVE}
    assert over == {State.SETTLED}


def test_each_tag_follows_from_a_warning_that_there_is():
    assert call_row._TAGS.keys() <= {rule.name for rule in RULES}


async def test_a_row_follows_its_call_from_the_request_to_the_end(stage):
    call = stage.call(prefix="+1500")
    row, sound = fresh(call)
    assert row.prefix == "+1500"
    opened = call.bridge.opened
    assert (row.id, row.node, row.account_id) == ("c1", opened.node, "alice")
    assert (row.destination, row.country, row.currency) == ("+15005551000", "US", "USD")
    assert (row.state, row.created_at, row.per_minute_micros) == (
        "connecting",
        opened.created_at,
        60 * CENT,
    )
    assert {row.ringing_at, row.answered_at, row.ended_at, row.pdd_ms, row.mos, row.cause} == {None}
    assert (sound, row.cause_name, row.ended_by, row.tags) == (None, "", "", ())
    await stage.run(0.5)
    call.status("ringing")
    ringing, _ = fresh(call)
    assert ringing.state == "ringing"
    assert ringing.pdd_ms == pytest.approx(500, abs=50)
    assert (ringing.ringing_at - ringing.created_at).total_seconds() == pytest.approx(0.5, abs=0.05)
    await stage.run(2)
    call.status("answered")
    call.opens_stream()
    for _ in range(150):
        call.phone_speaks()
        call.speaks()
        await stage.run(0.02)
    talking, sound = fresh(call)
    assert (talking.state, talking.path) == ("answered", "websocket")
    assert talking.pdd_ms == ringing.pdd_ms, "it rang: how long does not change any more"
    assert (talking.seconds, talking.cost_micros) == call.bridge.used()
    assert talking.seconds >= 3
    assert 1 <= talking.mos <= 4.5
    assert {talking.jitter_ms, talking.loss_percent} != {None}
    assert sound.caller_dbov > -60
    assert sound.phone_dbov > -60
    call.says(type="hold", held=True)
    assert fresh(call)[0].state == "held"
    call.says(type="hold", held=False)
    call.says(type="hangup")
    ending, sound = fresh(call)
    assert (ending.state, sound) == ("ending", None)
    await stage.ended(call)
    ended, sound = fresh(call)
    assert (ended.state, sound, ended.tags) == ("ended", None, ())
    assert (ended.cause, ended.cause_name, ended.ended_by) == (16, "NORMAL_CLEARING", "caller")
    assert ended.ended_at >= ended.answered_at >= ended.ringing_at >= ended.created_at
    record = stage.record()
    assert (ended.seconds, ended.cause) == (record.seconds, record.cause)


async def test_the_row_of_a_call_that_the_carrier_has_failed_has_its_code(stage):
    stage.carrier.on_why = CarrierRefusal(13227, "No international authorization", {})
    call = stage.call()
    await stage.run(0.1)
    assert row_of(call.bridge)[0].carrier_code is None
    call.status("failed", sip_response=404)
    await stage.until(lambda: stage.released)
    assert row_of(call.bridge)[0].carrier_code == 13227
    # Told to whoever watches when the call is released at the latest.
    assert stage.changed[-1] is call.bridge


async def test_the_worse_direction_counts(stage):
    call = await stage.call().answered()
    await stage.run(3)
    row, _ = fresh(call)
    sample = call.bridge.media.line.last
    assert row.mos == min(sample.browser.mos, sample.carrier.mos)
    assert row.jitter_ms == max(sample.browser.jitter_ms, sample.carrier.jitter_ms)
    assert row.loss_percent == max(sample.browser.loss_percent, sample.carrier.loss_percent)


async def test_of_a_holder_who_objects_nothing_of_how_they_sound_is_told(stage):
    call = await stage.call(keeps_quality=False).answered()
    line = call.bridge.media.line
    await stage.until(lambda: call_row._TAGS.keys() & set(line.standing()))
    row, sound = fresh(call)
    assert (row.state, sound, row.path) == ("answered", None, "")
    assert {row.mos, row.rtt_ms, row.jitter_ms, row.loss_percent} == {None}
    assert row.tags == ()


async def test_a_silent_line_is_tagged_as_long_as_it_is_silent(stage):
    call = await stage.call().answered()
    for _ in range(40):
        await stage.run(1)
        if "silence" in fresh(call)[0].tags:
            break
    else:
        pytest.fail("nobody saw the silence")
    call.bridge.end(Cause.MANAGER_REQUEST, "operator")
    assert "silence" not in fresh(call)[0].tags


@pytest.mark.parametrize(("waited_s", "tags"), [(10.5, ()), (11.5, ("high_pdd",))])
async def test_a_carrier_that_is_late_to_ring_is_tagged(stage, waited_s, tags):
    stage.carrier.on_fetch = "queued"
    call = stage.call()
    await stage.run(waited_s)
    assert fresh(call)[0].tags == (), "nothing is late that is awaited"
    call.status("ringing")
    row, _ = fresh(call)
    assert (row.tags, row.pdd_ms > PDD_MS_MAX) == (tags, bool(tags))
    call.says(type="hangup")
    await stage.ended(call)
    assert fresh(call)[0].tags == tags, "it stays so"


async def test_a_call_that_never_rang_has_no_delay_but_a_cause(stage):
    call = stage.call()
    await stage.run(0.1)
    call.status("busy")
    await stage.ended(call)
    row, _ = fresh(call)
    assert (row.pdd_ms, row.answered_at, row.state) == (None, None, "ended")
    assert (row.cause_name, row.seconds, row.cost_micros) == ("USER_BUSY", 0, 0)
