"""Viewers get what they may see, once, in order, and whole, however slow they are."""

import pytest

from gateway.nanoseconds import SECOND_NS
from gateway.watching import feed as feed_module
from gateway.watching.channel import TEXTS_MAX, Audience
from gateway.watching.feed import (
    ACCOUNT_VIEWERS_MAX,
    KEPT_NS,
    QUIET_NS,
    TURNS,
    UNREAD_NS,
    VIEWERS_MAX,
    AccountFullError,
    FeedFullError,
)
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.watching.house import ALICE, ALL, BOB, House
from tests.gateway.watching.played import (
    SOUND,
    Screen,
    ended_of,
    plain,
    row_of,
    shown,
    warned_of,
)


@pytest.fixture
def house():
    return House()


def kinds(screen):
    return [kind for kind, _ in screen.events]


# Who sees what.


def test_whoever_comes_sees_all_there_is_and_then_what_changes(house):
    house.hears(row_of("a1"), row_of("b1", "bob"), warnings=[warned_of()])
    house.board.see_nodes([facts_of("n1")], house.now_ns)
    house.tells()
    operator, alice = house.joins(ALL), house.joins(ALICE)
    ((kind, first),) = operator.events
    assert (kind, first["audience"], first["at"]) == ("snapshot", "all", "2026-11-28T12:00:00Z")
    assert set(first) == {
        "at",
        "audience",
        "calls",
        "totals",
        "nodes",
        "alarms",
        "warnings",
        "samples",
    }
    assert (len(first["nodes"]), first["warnings"][0]["event"]) == (1, "carrier away")
    assert alice.events[0][1]["audience"] == "account"
    house.hears(row_of("a1", state="held"), warnings=[warned_of("again")])
    house.tells()
    assert operator.calls == house.visible(ALL)
    assert [each["event"] for each in operator.warnings] == ["carrier away", "again"]
    assert alice.calls == house.visible(ALICE) == shown(row_of("a1", state="held"))
    assert kinds(alice) == ["snapshot", "delta"]
    assert set(alice.events[1][1]) == {"at", "calls"}, "each key only where there is news"


def test_a_warning_that_comes_with_a_viewer_is_told_it_once(house):
    house.hears(warnings=[warned_of("first")])
    house.tells()
    house.hears(warnings=[warned_of("second")])
    screen = house.joins(ALL)
    house.tells()
    assert [each["event"] for each in screen.warnings] == ["first", "second"]


def test_the_first_to_look_is_told_nothing_that_the_snapshot_has(house):
    house.hears(row_of("c1"), warnings=[warned_of("w")])
    viewer = house.joins(ALL)
    assert set(viewer.calls) == {"c1"}
    assert [each["event"] for each in viewer.warnings] == ["w"]
    told = list(viewer.texts)
    house.tells()
    assert viewer.texts == told


def test_no_text_for_an_account_names_another(house):
    alice, own_call = house.joins(ALICE), house.joins(Audience("alice", "b1"))
    for state in ("ringing", "answered", "held"):
        house.hears(
            row_of("a1", state=state),
            row_of("b1", "bob", state=state, country="FR"),
            sounds={"a1": SOUND, "b1": SOUND},
            warnings=[warned_of("secret of the house")],
        )
        house.board.see_nodes([facts_of("n1"), facts_of(f"n {state}")], house.now_ns)
        house.tells()
        house.refreshes()
    house.hears(ended_of("b1", "bob"))
    for _ in range(2):
        house.passes(61)
        house.tells()
        house.refreshes()
    late = house.joins(Audience("alice", "b1"))
    for screen in (alice, own_call, late):
        text = b"".join(screen.texts)
        for word in (b"bob", b"b1", b"FR", b"secret", b"n ringing", b"lag_ms"):
            assert word not in text, word
    assert late.events[0][1]["samples"] == []
    assert set(own_call.calls) == set()


def test_the_carriers_code_of_a_call_is_told_to_operators_and_nobody_else(house):
    one, of_alice = Audience(None, "a1"), Audience("alice", "a1")
    early = [house.joins(audience) for audience in (ALL, one, ALICE, of_alice)]
    house.hears(ended_of("a1", cause=1, ended_by="carrier", carrier_code=13227))
    house.tells()
    house.refreshes()
    late = [house.joins(audience) for audience in (ALL, one, ALICE, of_alice)]
    for screens in (early, late):
        told = [[row["carrier_code"] for row in screen.calls.values()] for screen in screens]
        assert told == [[13227], [13227], [None], [None]]
        assert all("13227" not in str(screen.events) for screen in screens[2:])


def test_a_call_is_watched_with_its_samples_by_whom_it_belongs_to(house):
    house.hears(row_of("a1"), sounds={"a1": SOUND})
    screens = [house.joins(Audience(who, "a1")) for who in ("alice", None, "bob")]
    alice, operator, bob = screens
    for _ in range(3):
        house.passes(1)
        house.hears(row_of("a1"), row_of("a2"), sounds={"a1": SOUND, "a2": SOUND})
        house.tells()
        house.refreshes()
    kept = {plain(each.at): plain(each) for each in house.board.samples("a1", 0)[0]}
    assert len(kept) == 4
    assert alice.samples == operator.samples == kept
    assert set(alice.calls) == set(operator.calls) == {"a1"}
    assert (bob.samples, bob.calls) == ({}, {})
    assert [data["audience"] for kind, data in alice.events if kind == "snapshot"] == ["call"]
    assert alice.events[0][1]["totals"] is None


def test_a_call_that_is_watched_goes_when_it_is_no_longer_shown(house):
    house.hears(row_of("a1"))
    screen = house.joins(Audience("alice", "a1"))
    house.hears(ended_of("a1"))
    house.refreshes()
    assert screen.calls["a1"]["state"] == "ended"
    house.passes(60)
    house.refreshes()
    assert screen.calls == {}
    count = len(screen.events)
    house.passes(1)
    house.refreshes()
    assert len(screen.events) == count, "and nothing more is said of it"
    house.hears(row_of("a1"))
    house.refreshes()
    assert set(screen.calls) == {"a1"}, "until it is there again"


def test_a_call_that_goes_within_a_second_goes_from_the_screen(house):
    house.hears(ended_of("a1"))
    house.passes(59.9)
    screen = house.joins(Audience("alice", "a1"))
    assert set(screen.calls) == {"a1"}
    house.passes(0.1)
    house.refreshes()
    assert screen.calls == {}


def test_a_call_that_is_gone_and_comes_to_another_is_taken_from_the_one_and_shown_to_the_other(
    house,
):
    house.hears(ended_of("c1", "alice"))
    house.tells()
    screens = {audience: house.joins(audience) for audience in (ALL, ALICE, BOB)}
    house.passes(60)
    house.hears(row_of("c1", "bob"))
    house.tells()
    for audience, screen in screens.items():
        assert screen.calls == house.visible(audience), audience


def test_totals_come_once_a_second_where_they_have_changed(house):
    operator, alice = house.joins(ALL), house.joins(ALICE)
    house.hears(row_of("a1"), row_of("b1", "bob"))
    house.refreshes()
    assert (operator.totals["calls"], alice.totals["calls"]) == (2, 1)
    counts = len(operator.events), len(alice.events)
    house.refreshes()
    assert (len(operator.events), len(alice.events)) == counts


# Who reads slowly, and who comes back.


def test_a_text_is_made_once_for_all_who_get_it(house):
    screens = [house.joins(ALL) for _ in range(9)]
    house.hears(*(row_of(f"c{n}") for n in range(50)))
    house.tells()
    assert len({id(screen.texts[0]) for screen in screens}) == 1
    assert len({screen.texts[1] for screen in screens}) == 1


def test_who_falls_out_of_the_ring_gets_a_snapshot_and_the_others_do_not(house):
    slow, quick = house.joins(ALICE), house.joins(ALICE)
    house.hears(row_of("gone"))
    house.tells()
    slow.stalls = True
    for n in range(TEXTS_MAX + 2):
        house.hears(
            ended_of("gone") if n == 5 else row_of(f"c{n % 7}", state=("held", "ringing")[n % 2])
        )
        house.passes(0.1)
        house.tells()
    assert kinds(slow).count("snapshot") == 1
    slow.read()
    house.serves()
    slow.read()
    assert kinds(slow).count("snapshot") == 2
    assert kinds(quick).count("snapshot") == 1
    assert slow.calls == quick.calls == house.visible(ALICE)


def test_who_reads_nothing_for_a_minute_is_dropped_and_who_reads_is_not(house):
    slow, dead = house.joins(ALICE), house.joins(ALICE)
    slow.stalls = dead.stalls = True
    for n in range(UNREAD_NS // SECOND_NS + 1):
        assert not dead.is_closed, n
        house.hears(row_of(state=("held", "answered")[n % 2]))
        house.tells()
        house.passes(1)
        if n % 50 == 49:
            slow.read()
    house.tells()
    assert (dead.is_aborted, slow.is_aborted) == (True, False)


def test_who_reads_a_long_snapshot_slowly_is_left_to_it(house):
    house.hears(*(row_of(f"c{n}") for n in range(500)))
    screen = Screen()
    screen.stalls = True
    house.joins(ALL, screen)
    for _ in range(30):
        house.passes(59)
        house.serves()
        screen.read(1_000)
    assert not screen.is_closed
    for _ in range(2):
        house.passes(59)
        house.serves()
    assert not screen.is_closed
    house.passes(2)
    house.serves()
    assert screen.is_aborted


@pytest.mark.parametrize("missed", [0, 1, TEXTS_MAX - 1])
def test_who_comes_back_goes_on_behind_what_it_had(house, missed):
    screen = house.joins(ALICE)
    house.hears(row_of())
    house.tells()
    house.leaves(screen)
    screen.comes_back()
    for n in range(missed):
        house.hears(row_of(state=("held", "answered")[n % 2]))
        house.tells()
    house.joins(ALICE, screen)
    assert kinds(screen) == ["snapshot", "delta", *["delta"] * missed]
    assert screen.calls == house.visible(ALICE)


@pytest.mark.parametrize(
    "last", ["", "e1.1:7", "e1.2:0", "e1.1:-1", "e2.1:0", "e1.1", "\x00", "e1.1:0" * 999]
)
def test_who_says_nothing_sensible_begins_with_a_snapshot(house, last):
    house.joins(ALICE)
    house.hears(row_of())
    house.tells()
    screen = house.joins(ALICE, last_event_id=last)
    assert kinds(screen) == ["snapshot"]
    assert screen.calls == house.visible(ALICE)


def test_a_place_in_one_audience_is_none_in_another(house):
    alice = house.joins(ALICE)
    house.joins(BOB)
    house.hears(row_of("a1"), row_of("b1", "bob"))
    house.tells()
    bob = house.joins(BOB, last_event_id=alice.last_event_id)
    assert kinds(bob) == ["snapshot"]


def test_an_audience_outlives_its_last_viewer_for_a_while(house):
    screen = house.joins(ALICE)
    house.hears(row_of())
    house.tells()
    house.leaves(screen)
    screen.comes_back()
    house.now_ns += KEPT_NS - 1
    house.refreshes()
    house.joins(ALICE, screen)
    assert kinds(screen) == ["snapshot", "delta"]
    house.leaves(screen)
    house.now_ns += KEPT_NS
    house.refreshes()
    assert house.feed._rooms == {}
    assert house.board._windows == {}
    screen.comes_back()
    house.joins(ALICE, screen)
    assert kinds(screen) == ["snapshot", "delta", "snapshot"]


def test_a_stream_that_has_nothing_to_say_says_so(house):
    screen = house.joins(ALICE)
    house.refreshes()
    begun = len(screen.texts)
    house.now_ns += QUIET_NS - 1
    house.refreshes()
    assert len(screen.texts) == begun
    house.now_ns += 1
    house.refreshes()
    assert screen.texts[begun:] == [b":\n\n"]
    house.refreshes()
    assert len(screen.texts) == begun + 1


def test_the_end_is_told_and_everybody_is_closed_at_the_end(house):
    refused, other = house.joins(ALICE), house.joins(BOB)
    house.feed.end(house.viewers[refused], "unauthorized")
    assert refused.events[-1] == ("end", {"code": "unauthorized"})
    assert (refused.is_closed, other.is_closed) == (True, False)
    house.feed.close()
    assert other.is_closed
    assert kinds(other)[-1] != "end", "browsers are to come back"


# How many.


def is_full_for(house, audience):
    """Return by what nobody more is taken, alike when they ask and when they come."""
    with pytest.raises(FeedFullError) as caught:
        house.joins(audience)
    with pytest.raises(type(caught.value)):
        house.feed.check_room(audience)
    return type(caught.value)


def test_an_account_has_so_many_viewers_and_others_as_before(house):
    screens = [house.joins(Audience("alice", f"c{n}")) for n in range(ACCOUNT_VIEWERS_MAX)]
    assert is_full_for(house, ALICE) == AccountFullError
    assert is_full_for(house, Audience("alice", "c1")) == AccountFullError
    for _ in range(ACCOUNT_VIEWERS_MAX + 1):
        house.joins(ALL)
    house.joins(BOB)
    house.leaves(screens[0])
    house.joins(ALICE)
    assert is_full_for(house, ALICE) == AccountFullError


def test_a_process_has_so_many_viewers_spread_over_all_turns(house):
    screens = [house.joins(Audience(f"a{n}")) for n in range(VIEWERS_MAX)]
    assert len(house.feed) == VIEWERS_MAX
    assert is_full_for(house, ALL) == is_full_for(house, BOB) == FeedFullError
    assert {len(house.feed.viewers(turn)) for turn in range(TURNS)} == {VIEWERS_MAX // TURNS}
    for _ in range(2):  # who leaves twice leaves once
        house.feed.leave(house.viewers[screens[0]], house.now_ns)
    assert len(house.feed) == VIEWERS_MAX - 1
    house.joins(BOB)
    assert house.feed._of_account.keys() == {f"a{n}" for n in range(1, VIEWERS_MAX)} | {"bob"}


def test_no_more_audiences_are_kept_than_may_be_and_the_emptiest_goes_first(house, monkeypatch):
    monkeypatch.setattr(feed_module, "AUDIENCES_MAX", 3)
    for account_id in ("a", "b", "c"):
        screen = house.joins(Audience(account_id))
        if account_id != "a":
            house.leaves(screen)
        house.passes(1)
    house.joins(Audience("d"))
    assert [each.account_id for each in house.feed._rooms] == ["a", "c", "d"]
    assert set(house.board._windows) == {"a", "c", "d"}


def test_an_audience_that_was_opened_anew_is_not_closed_in_place_of_the_old(house, monkeypatch):
    """Whoever watched it would see nothing any more."""
    monkeypatch.setattr(feed_module, "AUDIENCES_MAX", 2)
    house.joins(ALL)
    house.leaves(house.joins(ALICE))
    house.now_ns += KEPT_NS
    refreshing = house.feed.refresh(house.now_ns, house.at)
    next(refreshing)
    house.leaves(house.joins(BOB))  # which closes the one of before
    screen = house.joins(ALICE)
    for _ in refreshing:
        pass
    house.hears(row_of())
    house.tells()
    assert set(screen.calls) == {"c1"}
