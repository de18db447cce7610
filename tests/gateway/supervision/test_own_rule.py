"""A person says what supervisors may do: more only after a proof, and told of by mail."""

from datetime import timedelta

import pytest

from accounts.link import Purpose
from gateway.call.supervision import Deed, Mode, Rule
from gateway.errors import RequestRefusedError
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.supervision.own_rule import RuleChosen, RuleForm, Supervision

LISTEN = RuleForm("listen", is_silent=False, silent_reason="")
OFF = RuleForm("off", is_silent=False, silent_reason="")


class Kept:
    """`gateway.supervision.own_rule.HolderSupervision` in memory."""

    def __init__(self):
        self.now, self.notices, self.is_over, self.done = Rule(), [], False, []

    async def rule(self, _account_id):
        return self.now

    async def choose(self, _account_id, _epoch, rule, *, may_widen, notice):
        if self.is_over:
            return None
        if rule.allows_more_than(self.now):
            if not may_widen:
                return False
            self.notices.append(notice)
        self.now = rule
        return True

    async def deeds(self, _account_id, limit):
        return self.done[:limit]


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
async def who(world):
    world.add()
    return await world.enter()


@pytest.fixture
def flow(world, kept):
    return Supervision(kept, world.velocity, lambda: world.now)


async def test_what_is_allowed_is_kept_and_told_of_once(world, flow, kept, who):
    form = RuleForm("barge", is_silent=True, silent_reason="  all know\n it ")
    assert await flow.choose(who, form) == RuleChosen(is_new=True)
    assert await flow.rule(who) == Rule(Mode.BARGE, "all know it")
    (notice,) = kept.notices
    assert (notice.name, notice.recipient) == ("supervision_allowed", who.holder.email)
    assert (notice.link, notice.reach) == (Purpose.NOT_ME, who.session.began_at)
    # Not the reason: a mail may be stored anywhere.
    assert notice.values == {"most": "barge", "silent": "yes", "at": world.now.isoformat()}
    assert await flow.choose(who, form) == RuleChosen(is_new=False)
    assert len(kept.notices) == 1


async def test_a_reason_without_the_box_is_no_reason(flow, who):
    assert await flow.choose(who, RuleForm("listen", False, "they know")) == RuleChosen(True)
    assert await flow.rule(who) == Rule(Mode.LISTEN)


async def test_off_asks_for_nothing_else(flow, kept, who):
    kept.now = Rule(Mode.LISTEN, "why")
    assert await flow.choose(who, RuleForm("off", True, "\0")) == RuleChosen(True)
    assert await flow.rule(who) == Rule()


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        (RuleForm("", False, ""), {"most": "supervision_unknown"}),
        (RuleForm("spy", False, ""), {"most": "supervision_unknown"}),
        (RuleForm("listen", True, " "), {"silent_reason": "silent_reason_needed"}),
        (RuleForm("listen", True, "a\0b"), {"silent_reason": "silent_reason_needed"}),
        (RuleForm("listen", True, "a\u202eb"), {"silent_reason": "silent_reason_needed"}),
        (RuleForm("listen", True, "x" * 301), {"silent_reason": "silent_reason_long"}),
    ],
)
async def test_what_is_wrong_with_the_form_is_told(flow, kept, who, form, errors):
    assert await flow.choose(who, form) == Faults(errors)
    assert (kept.now, kept.notices) == (Rule(), [])


async def test_more_needs_a_proof_of_the_last_minutes_and_less_does_not(world, flow, kept, who):
    kept.now = Rule(Mode.WHISPER)
    world.later(minutes=10)
    for form in (RuleForm("barge", False, ""), RuleForm("whisper", True, "why")):
        assert await flow.choose(who, form) == StepUpNeeded()
        assert kept.now == Rule(Mode.WHISPER)
    for form in (LISTEN, OFF):
        assert await flow.choose(who, form) == RuleChosen(is_new=True)
    assert kept.notices == []


async def test_what_another_page_has_switched_off_meanwhile_is_more_again(world, flow, kept, who):
    kept.now = Rule(Mode.WHISPER)
    choose = kept.choose

    async def after_another(*whose, **what):
        kept.now = Rule()
        return await choose(*whose, **what)

    kept.choose = after_another
    world.later(minutes=10)
    assert await flow.choose(who, LISTEN) == StepUpNeeded()
    assert kept.now == Rule()


async def test_a_session_that_is_over_changes_nothing(flow, kept, who):
    kept.is_over = True
    assert await flow.choose(who, LISTEN) == SessionOver()
    assert kept.now == Rule()


async def test_so_often_an_hour_that_the_mails_hold_up_no_other(world, flow, kept, who):
    world.velocity.refuses["account_supervision_hour"] = 60
    with pytest.raises(RequestRefusedError) as refused:
        await flow.choose(who, LISTEN)
    assert (refused.value.code, kept.now) == ("rate_limited", Rule())
    # It is switched off as often as one likes.
    assert await flow.choose(who, OFF) == RuleChosen(is_new=False)


async def test_what_was_done_is_shown(world, flow, kept, who):
    kept.done = [
        Deed(world.now - timedelta(minutes=each), "holder", "", f"c{each}", Mode.LISTEN, "x")
        for each in range(3)
    ]
    assert await flow.deeds(who, 2) == kept.done[:2]
