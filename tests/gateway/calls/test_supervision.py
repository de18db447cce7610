"""Supervisors in the calls of a node: who gets in, what is noted before, and who is put out."""

import pytest
from structlog.testing import capture_logs

from gateway.call.supervision import Mode, Rule
from gateway.calls.supervision import LOOK_NS, SUPERVISORS_MAX
from gateway.nanoseconds import SECOND_NS
from tests.gateway.calls.test_live import BROWSER, PAGE, Node, refusal_of
from tests.gateway.stage import SPEECH_FRAME

OURS = bytes(range(0x20, 0x30)) * 10


@pytest.fixture
def node(stage):
    return Node(stage)


async def talking(stage, node, **changes):
    """Return the caller's socket, the phone's stream, and the call's id, once both are joined."""
    caller = await node.starts(**changes)
    call_id = caller.messages[0]["call_id"]
    stream = node.begins_stream(call_id)
    stream.speaks(SPEECH_FRAME)
    await stage.run(0.05)
    assert node.calls._calls[call_id].media.can_supervise
    return caller, stream, call_id


async def supervises(stage, node, call_id, origin="", **changes):
    """Return a supervisor's socket that has sent its grant."""
    supervisor = node.opens(BROWSER, origin=origin)
    token = node.grants.issue(call_id, **changes)
    supervisor.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.05)
    return supervisor


async def goes_on(stage, stream, seconds):
    """Let time pass in which the phone is heard, so that its silence ends nothing."""
    for _ in range(seconds):
        stream.speaks(SPEECH_FRAME)
        await stage.run(1)


async def test_a_supervisor_listens_and_both_sides_know(stage, node):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    ready, mode = supervisor.messages
    assert ready == {
        "type": "supervision-ready",
        "version": 1,
        "call_id": call_id,
        "frame_bytes": 160,
        "most": "take-over",
        "announced": True,
    }
    assert mode == {"type": "supervise", "mode": "listen"}
    assert caller.of("supervised") == [{"type": "supervised", "mode": "listen"}]
    assert supervisor.is_authenticated
    stream.speaks(SPEECH_FRAME)
    await stage.run(0.1)
    assert supervisor.audio


async def test_nothing_is_heard_before_it_is_noted(stage, node):
    _caller, stream, call_id = await talking(stage, node)
    node.grants.gate.clear()
    supervisor = await supervises(stage, node, call_id)
    stream.speaks(SPEECH_FRAME)
    await stage.run(0.5)
    assert (node.grants.begun, node.grants.noted, supervisor.sent) == (1, [], [])
    node.grants.gate.set()
    await stage.run(0.1)
    assert node.grants.noted == [(call_id, Mode.LISTEN)]
    assert supervisor.kinds[0] == "supervision-ready"


async def test_where_nothing_can_be_noted_nothing_is_heard(stage, node):
    _, _stream, call_id = await talking(stage, node)
    node.grants.gate.clear()
    supervisor = await supervises(stage, node, call_id)
    node.grants.is_away = True
    node.grants.gate.set()
    await stage.run(0.1)
    assert refusal_of(supervisor)[0] == "store_unavailable"
    assert supervisor.audio == []
    node.grants.is_away = False
    # And the call can be supervised once it is back.
    assert (await supervises(stage, node, call_id)).kinds[0] == "supervision-ready"


async def test_a_fault_of_ours_is_told_and_lets_nobody_in(stage, node):
    caller, _, call_id = await talking(stage, node)
    node.grants.fault = KeyError("ours")
    supervisor = await supervises(stage, node, call_id)
    assert refusal_of(supervisor) == ("internal_error", 1011)
    node.grants.gate.clear()
    node.grants.fault = None
    late = await supervises(stage, node, call_id)
    node.grants.fault = KeyError("ours")
    node.grants.gate.set()
    await stage.run(0.1)
    assert refusal_of(late) == ("internal_error", 1011)
    assert (caller.closed, caller.of("supervised")) == (None, [])
    node.grants.fault = None
    assert (await supervises(stage, node, call_id)).kinds[0] == "supervision-ready"


async def test_each_step_further_is_noted_before_it_holds(stage, node):
    caller, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    for mode in ("whisper", "barge", "listen", "take-over"):
        supervisor.say({"type": "supervise", "mode": mode})
        await stage.run(0.05)
        assert supervisor.messages[-1] == {"type": "supervise", "mode": mode}
        assert caller.of("supervised")[-1]["mode"] == mode
    noted = [mode for _, mode in node.grants.noted]
    assert noted == [Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKE_OVER]


async def test_a_step_that_cannot_be_noted_is_not_taken(stage, node):
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.is_away = True
    supervisor.say({"type": "supervise", "mode": "barge"})
    await stage.run(0.05)
    assert supervisor.messages[-1] == {"type": "supervise", "mode": "listen"}
    assert node.bridge.media._supervised.mode is Mode.LISTEN


async def test_what_was_asked_for_last_holds(stage, node):
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.gate.clear()
    for mode in ("whisper", "barge", "take-over", "whisper"):
        supervisor.say({"type": "supervise", "mode": mode})
    await stage.run(0.05)
    node.grants.gate.set()
    await stage.run(0.05)
    assert node.bridge.media._supervised.mode is Mode.WHISPER
    assert node.grants.noted == [(call_id, Mode.LISTEN), (call_id, Mode.WHISPER)]


async def test_nobody_goes_further_than_the_account_allows(stage, node):
    node.grants.allowed = Rule(Mode.WHISPER)
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    for mode in ("barge", "take-over"):
        supervisor.say({"type": "supervise", "mode": mode})
        await stage.run(0.05)
        assert supervisor.messages[-1] == {"type": "supervise", "mode": "listen"}
    assert node.grants.noted == [(call_id, Mode.LISTEN)]
    supervisor.say({"type": "supervise", "mode": "whisper"})
    await stage.run(0.05)
    assert supervisor.messages[-1]["mode"] == "whisper"


async def test_where_the_account_has_a_reason_the_caller_is_told_nothing(stage, node):
    node.grants.allowed = Rule(Mode.BARGE, "one side's consent is enough here")
    caller, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    assert supervisor.messages[0]["announced"] is False
    supervisor.end(1000)
    assert caller.of("supervised") == []


@pytest.mark.parametrize("refusal", ["", "unauthorized", "scope_missing"])
async def test_an_account_that_allows_nothing_is_not_supervised(stage, node, refusal):
    _, _, call_id = await talking(stage, node)
    node.grants.allowed, node.grants.refusal = Rule(), refusal
    supervisor = await supervises(stage, node, call_id)
    assert refusal_of(supervisor) == (refusal or "supervision_refused", 1008)
    assert node.grants.noted == []


@pytest.mark.parametrize("token", ["sg_wrong", "sg_"])
async def test_a_grant_is_good_once_and_a_wrong_one_never(stage, node, token):
    _, _, call_id = await talking(stage, node)
    first = await supervises(stage, node, call_id)
    first.end(1000)
    for used in (token, "sg_0"):
        supervisor = node.opens(BROWSER)
        supervisor.say({"type": "start", "version": 1, "token": used})
        await stage.run(0.05)
        assert refusal_of(supervisor)[0] == "bad_token"
        assert not supervisor.is_authenticated


async def test_a_grant_of_a_page_is_worth_nothing_elsewhere(stage, node):
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id, origin=PAGE)
    assert supervisor.kinds[0] == "supervision-ready"
    supervisor.end(1000)
    stranger = node.opens(BROWSER)
    token = node.grants.issue(call_id, origin=PAGE)
    stranger.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.05)
    assert refusal_of(stranger)[0] == "bad_token"


async def test_only_a_call_in_which_somebody_talks_can_be_supervised(stage, node):
    assert refusal_of(await supervises(stage, node, "nothing"))[0] == "call_not_found"
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    assert refusal_of(await supervises(stage, node, call_id))[0] == "call_not_found"


async def test_a_second_supervisor_is_told_that_there_is_one(stage, node):
    _, _, call_id = await talking(stage, node)
    node.grants.gate.clear()
    first = await supervises(stage, node, call_id)
    assert refusal_of(await supervises(stage, node, call_id))[0] == "already_supervised"
    node.grants.gate.set()
    await stage.run(0.05)
    assert refusal_of(await supervises(stage, node, call_id))[0] == "already_supervised"
    first.end(1006)
    assert (await supervises(stage, node, call_id)).kinds[0] == "supervision-ready"


async def test_supervisors_of_a_node_are_bounded(stage):
    node = Node(stage, calls_max=SUPERVISORS_MAX + 2, account_calls_max=SUPERVISORS_MAX + 2)
    calls = [await talking(stage, node) for _ in range(SUPERVISORS_MAX + 1)]
    inside = [await supervises(stage, node, call_id) for *_, call_id in calls]
    assert [each.closed for each in inside[:-1]] == [None] * SUPERVISORS_MAX
    assert refusal_of(inside[-1])[0] == "gateway_full"


async def test_when_the_call_ends_the_supervisor_is_told(stage, node):
    caller, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    caller.say({"type": "hangup"})
    await stage.run(0.1)
    assert refusal_of(supervisor)[0] == "call_ended"
    assert node.calls._supervisors._supervisors == set()


async def test_a_call_that_ends_while_it_is_noted_is_not_entered(stage, node):
    caller, _, call_id = await talking(stage, node)
    node.grants.gate.clear()
    supervisor = await supervises(stage, node, call_id)
    caller.say({"type": "hangup"})
    await stage.run(0.1)
    node.grants.gate.set()
    await stage.run(0.1)
    assert refusal_of(supervisor)[0] == "call_ended"


async def test_a_supervisor_who_goes_while_it_is_noted_is_not_let_in(stage, node):
    _, _, call_id = await talking(stage, node)
    node.grants.gate.clear()
    supervisor = await supervises(stage, node, call_id)
    supervisor.end(1006)
    node.grants.gate.set()
    await stage.run(0.1)
    assert node.bridge.media.can_supervise


@pytest.mark.parametrize("how", ["hangup", "lost"])
async def test_who_leaves_leaves_the_call_as_it_was(stage, node, how):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    supervisor.say({"type": "supervise", "mode": "take-over"})
    await stage.run(0.05)
    if how == "hangup":
        supervisor.say({"type": "hangup"})
        assert supervisor.closed == (1000, "left")
    else:
        supervisor.end(1006)
    assert caller.of("supervised")[-1] == {"type": "supervised", "mode": None}
    before = len(caller.audio)
    stream.speaks(SPEECH_FRAME)
    assert caller.audio[before:] == [SPEECH_FRAME]
    assert node.bridge.media.can_supervise


@pytest.mark.parametrize(
    ("left", "refusal"),
    [
        (Rule(), ""),
        (Rule(Mode.WHISPER), ""),
        (Rule(Mode.BARGE), "unauthorized"),
        (Rule(Mode.BARGE), "scope_missing"),
    ],
)
async def test_whoever_may_no_more_is_put_out(stage, node, left, refusal):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    supervisor.say({"type": "supervise", "mode": "barge"})
    await stage.run(0.05)
    node.grants.allowed, node.grants.refusal = left, refusal
    await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert refusal_of(supervisor) == (refusal or "supervision_refused", 1008)
    assert caller.of("supervised")[-1]["mode"] is None


async def test_where_a_tone_is_wanted_again_nobody_goes_on_unannounced(stage, node):
    node.grants.allowed = Rule(Mode.BARGE, "they know")
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.allowed = Rule(Mode.BARGE, "they still know")
    await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert supervisor.closed is None
    node.grants.allowed = Rule(Mode.BARGE)
    await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert refusal_of(supervisor) == ("supervision_changed", 1008)
    assert caller.of("supervised") == []
    again = await supervises(stage, node, call_id)
    assert again.messages[0]["announced"]


async def test_whoever_was_announced_is_told_to_have_left_though_no_tone_is_needed_now(stage, node):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.allowed = Rule(Mode.BARGE, "they know")
    await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert supervisor.closed is None
    supervisor.say({"type": "hangup"})
    assert caller.of("supervised")[-1] == {"type": "supervised", "mode": None}


@pytest.mark.parametrize(
    ("allowed", "refusal"), [(Rule(Mode.LISTEN), ""), (Rule(Mode.BARGE), "unauthorized")]
)
async def test_a_step_further_needs_leave_at_that_moment(stage, node, allowed, refusal):
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.allowed, node.grants.refusal = allowed, refusal
    supervisor.say({"type": "supervise", "mode": "whisper"})
    await stage.run(0.05)
    assert supervisor.messages[-1] == {"type": "supervise", "mode": "listen"}
    assert node.grants.noted == [(call_id, Mode.LISTEN)]


async def test_a_take_over_by_somebody_who_is_stuck_ends(stage, node):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    supervisor.say({"type": "supervise", "mode": "take-over"})
    await goes_on(stage, stream, 4)
    assert supervisor.messages[-1] == {"type": "supervise", "mode": "listen"}
    assert caller.of("supervised")[-1]["mode"] == "listen"


async def test_a_store_that_is_away_puts_nobody_out(stage, node):
    _, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.is_away = True
    await goes_on(stage, stream, 12)
    assert supervisor.closed is None
    node.grants.is_away, node.grants.refusal = False, "unauthorized"
    await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert refusal_of(supervisor)[0] == "unauthorized"


async def test_where_it_cannot_be_asked_what_they_may_they_are_put_out(stage, node):
    caller, stream, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    node.grants.fault = KeyError("ours")
    with capture_logs() as logs:
        await goes_on(stage, stream, LOOK_NS // SECOND_NS)
    assert refusal_of(supervisor) == ("internal_error", 1011)
    assert "call task failed" in [line["event"] for line in logs]
    assert caller.of("supervised")[-1]["mode"] is None


async def test_sound_in_another_form_is_refused(stage, node):
    _, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)
    supervisor.speak(bytes(640))
    assert refusal_of(supervisor)[0] == "bad_message"
    assert node.bridge.media.can_supervise


async def test_a_supervisor_speaks_to_whom_they_chose(stage, node):
    caller, _, call_id = await talking(stage, node)
    supervisor = await supervises(stage, node, call_id)

    async def speaks(seconds):
        for _ in range(round(seconds * 50)):
            supervisor.speak(OURS)
            await stage.run(0.02)

    await speaks(0.5)
    quiet = set(caller.audio)
    supervisor.say({"type": "supervise", "mode": "whisper"})
    await stage.run(0.02)
    await speaks(0.5)
    assert set(caller.audio) - quiet


async def test_a_caller_cannot_supervise_by_their_own_socket(stage, node):
    caller, _, _ = await talking(stage, node)
    caller.say({"type": "supervise", "mode": "take-over"})
    await stage.run(0.05)
    assert caller.of("supervise") == []
    assert node.bridge.media.can_supervise
