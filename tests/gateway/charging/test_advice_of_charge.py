"""What the caller is shown of the money: warnings of the call's coming end."""

import pytest

from gateway.nanoseconds import SECOND_NS
from media import tones
from tests.gateway.stage import CENT, SPEECH_FRAME
from tests.gateway.virtual_time import virtual_loop

BEEP = tones.warning_beep()
BEEP_FRAMES = [BEEP[at : at + 160] for at in range(0, len(BEEP), 160)]


async def test_the_end_of_the_credit_is_warned_of_three_times(stage):
    stage.gate.fill(alice=65 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.ended(call)
    assert call.warned == [(60, "credit"), (30, "credit"), (10, "credit")]
    told = [name for name, _ in stage.events]
    assert told == ["call.credit_warning"] * 3 + ["call.cut_off"]
    data = {"account_id": "alice", "call_id": "c1", "cause": "credit"}
    assert stage.events[-2][1] == {**data, "seconds_left": 10}
    assert stage.events[-1][1] == {**data, "seconds": 65}


async def test_a_warning_is_a_beep_that_the_caller_alone_hears(stage):
    stage.gate.fill(alice=12 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.until(lambda: call.warned)
    call.browser.forget()
    call.carrier.forget()
    for _ in range(10):
        call.phone_speaks()
        await stage.run(0.02)
    assert [f for f in call.browser.audio if f != SPEECH_FRAME] == BEEP_FRAMES
    assert call.browser.audio[-1] == SPEECH_FRAME, "the phone is heard again"
    assert call.carrier.audio == []


@pytest.mark.parametrize(
    ("seconds", "told"), [(61, [60, 30, 10]), (60, [59, 30, 10]), (45, [44, 30, 10]), (9, [8])]
)
async def test_a_call_short_from_the_start_is_warned_at_once(stage, seconds, told):
    stage.gate.fill(alice=seconds * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.run(1.5)
    assert [left_s for left_s, _ in call.warned] == told[:1]
    await stage.ended(call)
    assert [left_s for left_s, _ in call.warned] == told


async def test_the_last_warning_comes_at_ten_seconds(stage):
    stage.gate.fill(alice=12 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.ended(call)
    assert call.warned[-1] == (10, "credit")


async def test_a_caller_who_is_back_is_told_of_a_warning_that_holds(stage):
    stage.gate.fill(alice=45 * CENT)
    call = await stage.call(media_silence_s=99, resume_s=15).answered()
    await stage.run(3)
    call.browser.end(1006)
    assert call.returns()
    (told,) = call.browser.of("credit-warning")
    assert (told["cause"], 40 < told["seconds_left"] < 44) == ("credit", True)


async def test_a_top_up_takes_the_warning_back(stage):
    stage.gate.fill(alice=12 * CENT)
    call = await stage.call(media_silence_s=99).answered()
    await stage.until(lambda: (10, "credit") in call.warned)
    await stage.gate.credit("alice", 2, 30 * CENT)
    await stage.run(2)
    (cleared,) = call.browser.of("credit-warning-cleared")
    assert 36 <= cleared["seconds_left"] <= 40
    await stage.ended(call)
    assert [left_s for left_s, _ in call.warned] == [11, 10, 30, 10]


async def test_the_longest_time_allowed_is_warned_of_too(stage):
    call = await stage.call(call_duration_max_s=33, media_silence_s=99).answered()
    await stage.ended(call)
    assert call.warned == [(32, "duration"), (30, "duration"), (10, "duration")]
    assert call.end["message"].endswith("as long as a call may.")


async def test_every_call_of_the_account_is_warned_in_the_same_second(stage):
    stage.gate.fill(alice=50 * CENT)
    changes = {"balance_micros": 50 * CENT, "media_silence_s": 99}
    calls = [await stage.call(f"c{n}", **changes).answered() for n in range(3)]
    times_ns = []
    for call in calls:
        await stage.until(lambda call=call: (10, "credit") in call.warned)
        times_ns.append(virtual_loop().now_ns)
    assert times_ns[-1] - times_ns[0] <= SECOND_NS
    await stage.ended(*calls)
