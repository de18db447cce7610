"""Buttons on both databases: each change once, with its line, and never of somebody else."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.notice import Notice
from billing.rating import Rate
from billing.spend_limits import Budget, Period
from billing.stores import tables
from database.errors import StoreUnavailableError
from gateway.buttons.ports import (
    BUTTONS_MAX,
    DESTINATIONS_MAX,
    KEYS_MAX,
    ButtonChange,
    CodeTry,
    NewButton,
    TakenBack,
)
from gateway.buttons.store import SqlButtons
from gateway.buttons.tables import erase_button_rows
from gateway.cause import Cause
from gateway.editors import ByKey
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules
from gateway.people.key_store import SqlHolderKeys
from gateway.scopes import Scope
from gateway.stores.accounts import SqlAccountStore
from tests.gateway.people.two_people import TwoPeople

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PHONE = "+493012345678"
RULES = ButtonRules(
    title="Sales",
    origins=("https://example.com",),
    destination=PHONE,
    day_cap_micros=5_000_000,
    month_cap_micros=50_000_000,
)
NOTICE = Notice("button_made", values={"label": "shop", "at": NOW.isoformat()})


def key(n, mode=KeyMode.LIVE):
    return publishable_key(mode, bytes([n] * 32))


NEW = NewButton("b1", "shop", RULES, live_key=key(1), test_key=key(2, KeyMode.TEST))


class World(TwoPeople):
    """Their buttons."""

    def __init__(self, engine):
        super().__init__(engine, NOW)
        self.buttons = SqlButtons(engine, self.tell, clock=lambda: self.now)
        self.accounts = SqlAccountStore(engine)

    async def lines(self, account_id="ada"):
        entries = await self.entries(account_id)
        return [e for e in entries if e.act.startswith(("button_", "destination_"))][::-1]

    async def acts(self, account_id="ada"):
        return [entry.act for entry in await self.lines(account_id)]

    async def made(self, new=NEW):
        assert await self.buttons.note_proven("ada", 1, PHONE) is CodeTry.PROVEN
        assert await self.buttons.make("ada", 1, new, NOTICE) is ButtonChange.DONE
        return await self.buttons.read("ada", new.id)


@pytest.fixture
async def world(engine):
    world = World(engine)
    await world.sign_up()
    return world


async def test_a_button_is_made_once_with_its_keys_its_mail_and_its_line(world):
    button = await world.made()
    assert await world.buttons.make("ada", 1, NEW, NOTICE) is ButtonChange.DONE
    assert await world.acts() == [Act.DESTINATION_PROVEN, Act.BUTTON_MADE]
    assert await world.mails("button_made") == ["button_made"]
    assert (button.label, button.rules, button.paused_at) == ("shop", RULES, None)
    assert (button.key_of(KeyMode.LIVE), button.key_of(KeyMode.TEST)) == (
        key(1),
        key(2, KeyMode.TEST),
    )
    assert list(await world.buttons.of_account("ada")) == [button]
    assert list(await world.buttons.of_account("bob")) == []
    account = await world.accounts.account_by_key_id(button.key_id)
    assert (account.id, account.scopes) == ("ada", {Scope.EMBED})
    holder = f"key:{button.key_id}"
    assert account.limits.budgets == (
        Budget(holder, Period.DAY, 5_000_000),
        Budget(holder, Period.MONTH, 50_000_000),
    )


async def test_its_api_key_is_no_key_of_its_owners_list(world):
    button = await world.made()
    keys = SqlHolderKeys(world.engine, world.tell)
    assert await keys.standing("ada") == []
    assert await keys.revoke("ada", 1, button.key_id)
    assert await world.buttons.by_key(key(1)) is not None


async def test_a_visitor_finds_it_by_either_key_and_by_nothing_else(world):
    button = await world.made()
    live = await world.buttons.by_key(key(1))
    assert (live.button_id, live.account_id, live.key_id) == ("b1", "ada", button.key_id)
    assert (live.mode, live.rules, live.is_paused) == (KeyMode.LIVE, RULES, False)
    assert (await world.buttons.by_key(key(2, KeyMode.TEST))).mode is KeyMode.TEST
    for text in (key(3), "", "ck_abc", key(1).lower(), f"{key(1)}\0"):
        assert await world.buttons.by_key(text) is None
    await world.accounts.revoke_api_key("ada", button.key_id)
    assert await world.buttons.by_key(key(1)) is None


async def test_only_what_was_proven_is_called(world):
    assert await world.buttons.make("ada", 1, NEW, NOTICE) is ButtonChange.UNPROVEN
    await world.buttons.note_proven("bob", 1, PHONE)
    assert await world.buttons.make("ada", 1, NEW, NOTICE) is ButtonChange.UNPROVEN
    signed = replace(NEW, rules=msgspec.structs.replace(RULES, destination=""))
    assert await world.buttons.make("ada", 1, signed, NOTICE) is ButtonChange.DONE
    change = await world.buttons.change("ada", 1, "b1", label="shop", rules=RULES)
    assert (change, await world.acts()) == (ButtonChange.UNPROVEN, [Act.BUTTON_MADE])


async def test_other_rules_hold_and_a_budget_that_begins_is_counted_from_then_on(world):
    button = await world.made()
    other = msgspec.structs.replace(
        RULES, title="Service", month_cap_micros=None, day_cap_micros=7, origins=()
    )
    for _ in range(2):
        assert (
            await world.buttons.change("ada", 1, "b1", label="desk", rules=other)
            is ButtonChange.DONE
        )
    assert (await world.acts()).count(Act.BUTTON_CHANGED) == 1
    changed = await world.buttons.read("ada", "b1")
    assert (changed.label, changed.rules, changed.keys) == ("desk", other, button.keys)
    counted = tables.api_keys.c.caps_counted_from
    async with world.engine.connect() as connection:
        assert await connection.scalar(sa.select(counted)) is None
    await world.buttons.change("ada", 1, "b1", label="desk", rules=RULES)
    async with world.engine.connect() as connection:
        assert await connection.scalar(sa.select(counted)) == NOW + timedelta(seconds=60)


async def test_it_is_paused_and_goes_on(world):
    await world.made()
    for is_paused in (True, True, False, False):
        await world.buttons.pause("ada", 1, "b1", is_paused=is_paused)
        assert (await world.buttons.by_key(key(1))).is_paused is is_paused
    assert (await world.acts())[2:] == [Act.BUTTON_PAUSED, Act.BUTTON_RESUMED]
    assert await world.buttons.by_key("nothing") is None


async def test_a_key_that_is_turned_goes_on_until_its_overlap_ends(world):
    button = await world.made()
    ends_at = NOW + timedelta(days=7)
    for _ in range(2):
        turned = await world.buttons.turn("ada", 1, "b1", new_key=key(5), ends_at=ends_at)
        assert turned is ButtonChange.DONE
    assert (await world.acts()).count(Act.BUTTON_TURNED) == 1
    found = await world.buttons.read("ada", "b1")
    assert (found.key_of(KeyMode.LIVE), found.key_of(KeyMode.TEST)) == (
        key(5),
        key(2, KeyMode.TEST),
    )
    for each in (key(1), key(5)):
        # One budget, whichever key a call began with.
        assert (await world.buttons.by_key(each)).key_id == button.key_id
    world.now = ends_at
    assert await world.buttons.by_key(key(1)) is None
    assert await world.buttons.by_key(key(5)) is not None
    assert {k.key for k in (await world.buttons.read("ada", "b1")).keys} == {
        key(5),
        key(2, KeyMode.TEST),
    }


async def test_keys_of_one_button_are_bounded(world):
    await world.made()
    ends_at = NOW + timedelta(days=7)
    outcomes = [
        await world.buttons.turn("ada", 1, "b1", new_key=key(10 + n), ends_at=ends_at)
        for n in range(KEYS_MAX)
    ]
    assert outcomes == [ButtonChange.DONE] * (KEYS_MAX - 1) + [ButtonChange.TOO_MANY]
    world.now = ends_at
    assert (
        await world.buttons.turn("ada", 1, "b1", new_key=key(99), ends_at=ends_at)
        is ButtonChange.DONE
    )


async def test_what_is_deleted_is_gone_with_its_keys_and_its_calls_keep_their_key(world):
    button = await world.made()
    for _ in range(2):
        assert await world.buttons.delete("ada", 1, "b1") is ButtonChange.DONE
    assert (await world.acts())[2:] == [Act.BUTTON_DELETED]
    assert await world.buttons.by_key(key(1)) is None
    assert await world.buttons.read("ada", "b1") is None
    assert await world.accounts.account_by_key_id(button.key_id) is None
    assert [row.id for row in await world.accounts.keys("ada")] == [button.key_id]


async def test_what_is_deleted_is_not_made_again_by_the_same_request(world):
    assert not await world.buttons.was_made("ada", "b1")
    await world.made()
    assert await world.buttons.was_made("ada", "b1")
    assert not await world.buttons.was_made("bob", "b1")
    assert await world.buttons.delete("ada", 1, "b1") is ButtonChange.DONE
    assert await world.buttons.was_made("ada", "b1")
    assert await world.buttons.make("ada", 1, NEW, NOTICE) is ButtonChange.NOT_FOUND
    assert await world.buttons.by_key(key(1)) is None
    assert await world.buttons.delete("ada", 1, "b1") is ButtonChange.DONE


@pytest.mark.parametrize("who", ["bob", "ended", "deleted"])
async def test_nobody_else_changes_it(world, who):
    button = await world.made()
    account_id, epoch = ("bob", 1) if who == "bob" else ("ada", 2 if who == "ended" else 1)
    if who == "deleted":
        await world.accounts.mark_deleted("ada")
    no = ButtonChange.NOT_FOUND if who == "bob" else ButtonChange.SESSION_OVER
    whose = (account_id, epoch, "b1")
    acts = [
        await world.buttons.change(*whose, label="x", rules=RULES),
        await world.buttons.pause(*whose, is_paused=True),
        await world.buttons.turn(*whose, new_key=key(9), ends_at=NOW),
    ]
    assert acts == [no] * 3
    assert await world.buttons.note_ended(*whose) is no
    # Of another account's it is not said that it is gone: nobody ends its calls by that.
    assert await world.buttons.delete(*whose) is no
    assert await world.buttons.read("bob", "b1") is None
    assert await world.buttons.read("ada", "b1") == button
    if who != "bob":
        other = replace(NEW, id="b2")
        assert await world.buttons.make(account_id, epoch, other, NOTICE) is no
        assert await world.buttons.note_proven(account_id, epoch, "+1") is CodeTry.SESSION_OVER
    assert len(await world.acts()) == 2


async def test_an_operators_process_needs_no_session(world):
    await world.accounts.create_account("robots", "USD")
    await world.buttons.note_proven("robots", None, PHONE)
    assert await world.buttons.make("robots", None, NEW, NOTICE) is ButtonChange.DONE
    assert [line.actor for line in await world.lines("robots")] == [Actor.OPERATOR] * 2


async def test_a_program_changes_buttons_by_its_key_and_stands_in_the_log(world):
    button = await world.made()
    for name, scopes in (("f" * 64, {Scope.BUTTONS}), ("e" * 64, {Scope.CALLS})):
        await world.accounts.add_api_key("ada", name, "program", scopes=scopes)
    by, lacks = ByKey("f" * 16), ByKey("e" * 16)
    for other in (lacks, ByKey("nobody")):
        paused = await world.buttons.pause("ada", other, "b1", is_paused=True)
        assert paused is ButtonChange.SESSION_OVER
    assert await world.buttons.pause("bob", by, "b1", is_paused=True) is ButtonChange.SESSION_OVER
    assert await world.buttons.pause("ada", by, "b1", is_paused=True) is ButtonChange.DONE
    assert await world.buttons.note_ended("ada", by, "b1") is ButtonChange.DONE
    assert [(e.act, e.actor, e.operator) for e in (await world.lines())[2:]] == [
        (Act.BUTTON_PAUSED, Actor.KEY, "f" * 16),
        (Act.BUTTON_CALLS_ENDED, Actor.KEY, "f" * 16),
    ]
    await world.accounts.revoke_api_key("ada", "f" * 16)
    assert await world.buttons.delete("ada", by, "b1") is ButtonChange.SESSION_OVER
    assert (await world.buttons.read("ada", "b1")).keys == button.keys


async def test_a_number_that_is_taken_back_stops_the_buttons_that_call_it(world):
    await world.made()
    other = msgspec.structs.replace(RULES, destination="")
    keys = {"live_key": key(11), "test_key": key(12, KeyMode.TEST)}
    await world.buttons.make("ada", 1, replace(NEW, id="b2", rules=other, **keys), NOTICE)
    assert await world.buttons.take_back("bob", 1, PHONE) == TakenBack(False, [])
    assert await world.buttons.take_back("ada", 2, PHONE) is ButtonChange.SESSION_OVER
    taken = await world.buttons.take_back("ada", 1, PHONE)
    assert taken.was_proven
    (stopped,) = taken.buttons
    assert (stopped.id, stopped.paused_at) == ("b1", NOW)
    assert await world.buttons.destinations("ada") == []
    assert (await world.buttons.read("ada", "b2")).paused_at is None
    assert (await world.acts())[3:] == [Act.DESTINATION_TAKEN_BACK, Act.BUTTON_PAUSED]
    # A repeat says which they are once more, and writes nothing.
    again = await world.buttons.take_back("ada", 1, PHONE)
    assert (again.was_proven, [each.id for each in again.buttons]) == (False, ["b1"])
    assert len(await world.acts()) == 5
    # It goes on when its number is proven again, and not before.
    resumed = await world.buttons.pause("ada", 1, "b1", is_paused=False)
    assert resumed is ButtonChange.UNPROVEN
    await world.buttons.note_proven("ada", 1, PHONE)
    assert await world.buttons.pause("ada", 1, "b1", is_paused=False) is ButtonChange.DONE


async def test_buttons_and_numbers_are_bounded(world):
    await world.made()
    for n in range(1, BUTTONS_MAX + 1):
        keys = {"live_key": key(10 + n), "test_key": key(10 + n, KeyMode.TEST)}
        made = await world.buttons.make("ada", 1, replace(NEW, id=f"c{n}", **keys), NOTICE)
        assert made is (ButtonChange.DONE if n < BUTTONS_MAX else ButtonChange.TOO_MANY)
    for n in range(1, DESTINATIONS_MAX + 1):
        noted = await world.buttons.note_proven("ada", 1, f"+4930{n}")
        assert noted is (CodeTry.PROVEN if n < DESTINATIONS_MAX else CodeTry.TOO_MANY)
    assert await world.buttons.note_proven("ada", 1, PHONE) is CodeTry.PROVEN
    assert len(await world.buttons.destinations("ada")) == DESTINATIONS_MAX


async def test_what_could_not_be_told_is_told_by_a_repeat(world):
    await world.made()
    world.is_untold = True
    with pytest.raises(StoreUnavailableError):
        await world.buttons.pause("ada", 1, "b1", is_paused=True)
    world.is_untold = False
    assert await world.buttons.pause("ada", 1, "b1", is_paused=True) is ButtonChange.DONE
    assert (world.told, (await world.acts())[2:]) == (1, [Act.BUTTON_PAUSED])


async def test_usage_is_the_calls_of_its_key_by_day(world):
    button = await world.made()
    calls = [
        call("c1", button.key_id, NOW),
        call("c2", button.key_id, NOW + timedelta(hours=11, minutes=59), answered_at=None),
        call("c3", button.key_id, NOW + timedelta(hours=12)),
        call("old", button.key_id, NOW - timedelta(days=2)),
        call("live", button.key_id, NOW, closed=False),
        call("other", "another", NOW),
    ]
    too_many = call("many", button.key_id, NOW, answered_at=None, seconds=0, spent_micros=0)
    async with world.engine.begin() as connection:
        await connection.execute(sa.insert(tables.calls), calls)
        cause = Cause.SERVICE_UNAVAILABLE.value
        await connection.execute(sa.insert(tables.calls), [{**too_many, "cause": cause}])
    found = await world.buttons.usage("ada", since=date(2026, 11, 23))
    assert list(found) == ["b1"]
    assert [(d.day.day, d.calls, d.answered, d.seconds, d.micros) for d in found["b1"]] == [
        (25, 1, 1, 30, 7),
        (24, 2, 1, 60, 14),
    ]
    assert await world.buttons.usage("bob", since=date(2026, 11, 1)) == {}


def call(call_id, key_id, at, **fields):
    texts = ("codec", "origin", "cause_name", "carrier_call_id", "node", "country")
    return {
        **dict.fromkeys(texts, ""),
        **dict.fromkeys(("browser_quality", "carrier_quality"), "{}"),
        "id": call_id,
        "account_id": "ada",
        "opened": True,
        "closed": True,
        "destination": PHONE,
        "currency": "USD",
        "created_at": at,
        "answered_at": at,
        "rate": Rate(per_minute_micros=1).to_json(),
        "spent_micros": 7,
        "seconds": 30,
        "key_id": key_id,
        **fields,
    }


async def test_an_erased_account_has_no_button_and_no_number(world):
    await world.made()
    async with world.engine.begin() as connection:
        await erase_button_rows(connection, "bob")
    assert await world.buttons.read("ada", "b1") is not None
    async with world.engine.begin() as connection:
        await erase_button_rows(connection, "ada")
    assert (await world.buttons.of_account("ada"), await world.buttons.destinations("ada")) == (
        [],
        [],
    )
    assert await world.buttons.by_key(key(1)) is None
