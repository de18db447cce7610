"""Buttons of people: the calls of the store, and the person's answer."""

from dataclasses import replace
from datetime import date, timedelta

import msgspec
import pytest

from accounts.link import Purpose
from gateway.buttons.acts import OVERLAPS, ButtonActs, ButtonForm, NotFound, Seed
from gateway.buttons.own_buttons import USAGE_DAYS, OwnButtons
from gateway.buttons.ports import Button, ButtonChange, ButtonKey, TakenBack
from gateway.embed.keys import KeyMode, mode_of
from gateway.embed.refusals import Reason
from gateway.embed.rules import ButtonRules
from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from tests.gateway.buttons.on_stage.test_ended_buttons import Eras
from tests.gateway.people.memory import World

RULES = ButtonRules(title=" Sales ", origins=("https://Example.com/",), day_cap_micros=10**6)
FORM = ButtonForm("  my   shop ", RULES)
ONCE = {"secret": "session secret", "once": "form 1"}


class Store:
    """`Buttons` that does what the test says."""

    def __init__(self, outcome=ButtonChange.DONE):
        self.outcome, self.asked = outcome, []
        self.kept = {}

    async def of_account(self, account_id):
        return list(self.kept.values())

    async def read(self, account_id, button_id):
        return self.kept.get(button_id)

    async def was_made(self, account_id, button_id):
        return button_id in self.kept

    async def make(self, account_id, epoch, new, notice):
        self.asked.append(("make", account_id, epoch, new, notice))
        if self.outcome is ButtonChange.DONE:
            self.kept[new.id] = button(new.id, new.label, new.rules)
        return self.outcome

    async def usage(self, account_id, *, since):
        return {"b1": [since]}

    async def destinations(self, account_id):
        return [account_id]

    def __getattr__(self, name):
        async def ask(*what, **more):
            self.asked.append((name, *what, more))
            return self.outcome

        return ask


def button(button_id="b1", label="shop", rules=RULES):
    keys = [ButtonKey("pk_live_x", KeyMode.LIVE, None, None)]
    return Button(button_id, "ada", "k1", label, rules, keys, None, None)


@pytest.fixture
async def ada():
    world = World()
    world.add()
    return world, await world.enter()


class Refusals:
    """`ButtonRefusals` that has one."""

    async def of_day(self, button_id, at):
        return {Reason.BUSY: 1} if button_id == "b1" and at.year == 2026 else {}


async def two_calls(_account_id, _key_id):
    return 2


def buttons(ada, store, eras=None):
    world = ada[0]
    acts = ButtonActs(
        store, eras or Eras(), world.velocity, lambda: world.now, call_seconds_max=3_600
    )
    return OwnButtons(acts, Refusals(), two_calls)


async def test_a_button_is_made_as_the_form_says_and_by_one_form_once(ada):
    world, who = ada
    store = Store()
    made = [await buttons(ada, store).make(who, FORM, **ONCE) for _ in range(2)]
    assert made[0] == made[1] == store.kept[made[0].id]
    (_, account_id, epoch, new, notice), again = store.asked
    assert again[3] == new
    assert (account_id, epoch, new.label) == ("ada", 1, "my shop")
    assert new.rules == msgspec.structs.replace(
        RULES, title="Sales", origins=("https://example.com",)
    )
    assert (mode_of(new.live_key), mode_of(new.test_key)) == (KeyMode.LIVE, KeyMode.TEST)
    assert (notice.name, notice.values) == (
        "button_made",
        {"label": "my shop", "at": world.now.isoformat()},
    )
    assert (notice.link, notice.reach) == (Purpose.NOT_ME, who.session.began_at)
    other = await buttons(ada, store).make(who, FORM, **(ONCE | {"once": "form 2"}))
    assert other.id != new.id


def test_what_a_form_makes_tells_nothing_of_its_session():
    seed = Seed("secret", "once")
    chance = seed.chance("button")
    assert chance == Seed("secret", "once").chance("button")
    others = {seed.chance("live key"), Seed("secret", "two").chance("button")}
    assert chance not in others | {Seed("other", "once").chance("button")}
    assert b"secret" not in chance


@pytest.mark.parametrize(
    ("label", "rules", "wrong"),
    [
        ("", {}, {"label": "button_label_needed"}),
        ("a\u202eb", {}, {"label": "characters_hidden"}),
        ("a" * 41, {}, {"label": "label_long"}),
        ("shop", {"title": ""}, {"title": "title_needed"}),
        ("shop", {"seconds_max": 3_601}, {"seconds_max": "seconds_range"}),
    ],
)
async def test_what_is_wrong_is_told_and_nothing_made(ada, label, rules, wrong):
    store = Store()
    form = ButtonForm(label, msgspec.structs.replace(RULES, **rules))
    assert await buttons(ada, store).make(ada[1], form, **ONCE) == Faults(wrong)
    assert await buttons(ada, store).change(ada[1], "b1", form) == Faults(wrong)
    assert store.asked == []


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ButtonChange.SESSION_OVER, SessionOver()),
        (ButtonChange.TOO_MANY, Faults({"label": "buttons_too_many"})),
        (ButtonChange.UNPROVEN, Faults({"destination": "destination_unproven"})),
        (ButtonChange.NOT_FOUND, NotFound()),
    ],
)
async def test_what_the_store_refuses_is_told(ada, outcome, told):
    own, who = buttons(ada, Store(outcome)), ada[1]
    assert await own.make(who, FORM, **ONCE) == told
    assert await own.change(who, "b1", FORM) == told
    assert await own.pause(who, "b1", is_paused=True) == told
    assert await own.end_calls(who, "b1") == told
    ended = SessionOver() if outcome is ButtonChange.SESSION_OVER else None
    assert await own.delete(who, "b1") == ended


async def test_grave_acts_need_a_proof_and_a_pause_none(ada):
    world, who = ada
    world.now += timedelta(hours=1)
    store = Store()
    store.kept["b1"] = button()
    own = buttons(ada, store)
    asked = [
        await own.make(who, FORM, **ONCE),
        await own.change(who, "b1", FORM),
        await own.pause(who, "b1", is_paused=False),
        await own.turn(who, "b1", overlap_days=1, **ONCE),
        await own.delete(who, "b1"),
        await own.take_back(who, "+1"),
    ]
    assert asked == [StepUpNeeded()] * 6
    assert store.asked == []
    assert await own.pause(who, "b1", is_paused=True) == store.kept["b1"]
    assert await own.end_calls(who, "b1") == store.kept["b1"]


async def test_a_key_is_turned_with_an_overlap(ada):
    world, who = ada
    store = Store()
    store.kept["b1"] = button()
    own = buttons(ada, store)
    assert await own.turn(who, "b1", overlap_days=7, **ONCE) == store.kept["b1"]
    (_, *whose, more) = store.asked[0]
    assert whose == ["ada", 1, "b1"]
    assert mode_of(more["new_key"]) is KeyMode.LIVE
    assert more["ends_at"] == world.now + OVERLAPS[7]
    assert await own.turn(who, "b1", overlap_days=2, **ONCE) == Faults(
        {"overlap": "overlap_invalid"}
    )
    store.outcome = ButtonChange.TOO_MANY
    assert await own.turn(who, "b1", overlap_days=0, **ONCE) == Faults(
        {"overlap": "button_keys_too_many"}
    )


async def test_what_is_there_is_shown(ada):
    world, who = ada
    store = Store()
    store.kept["b1"] = replace(button(), label="shop")
    own = buttons(ada, store)
    assert await own.of(who) == [store.kept["b1"]]
    assert await own.read(who, "b1") == store.kept["b1"]
    assert await own.destinations(who) == ["ada"]
    (since,) = (await own.usage(who))["b1"]
    assert since == (world.now - timedelta(days=USAGE_DAYS - 1)).date()
    assert isinstance(since, date)
    assert await own.running(store.kept["b1"]) == 2
    assert await own.refused_today(store.kept["b1"]) == {Reason.BUSY: 1}


async def test_what_is_ended_deleted_or_taken_back_ends_its_calls(ada):
    store, eras, who = Store(), Eras(), ada[1]
    store.kept["b1"] = button()
    own = buttons(ada, store, eras)
    assert await own.end_calls(who, "b1") == store.kept["b1"]
    assert await own.delete(who, "b2") is None
    # Also by a repeat: the first may have been cut short after it was committed.
    assert await own.delete(who, "b2") is None
    assert eras.ended == ["b1", "b2", "b2"]
    # A pause lets them go on.
    await own.pause(who, "b1", is_paused=True)
    store.outcome = TakenBack(True, [button("b3"), button("b4")])
    assert await own.take_back(who, "+1") == store.outcome
    assert eras.ended[3:] == ["b3", "b4"]


@pytest.mark.parametrize("outcome", [ButtonChange.NOT_FOUND, ButtonChange.SESSION_OVER])
async def test_calls_of_another_accounts_button_go_on(ada, outcome):
    eras, who = Eras(), ada[1]
    own = buttons(ada, Store(outcome), eras)
    await own.end_calls(who, "b1")
    await own.delete(who, "b1")
    if outcome is ButtonChange.SESSION_OVER:
        assert await own.take_back(who, "+1") == SessionOver()
    assert eras.ended == []
