"""What one process knows of all calls: whose word counts, and what is let go of when."""

import random
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.nanoseconds import SECOND_NS
from gateway.watching.board import (
    CALLS_MAX,
    COST_SHOWN_NS,
    ENDED_SHOWN_NS,
    ERRORS_NS,
    LOST_NS,
    NODE_KEPT_NS,
    NODES_MAX,
    SUMMED_AT_ONCE,
    WARNINGS_MAX,
    Board,
)
from gateway.watching.rows import Sound
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.watching.played import AT, SOUND, batch_of, ended_of, row_of, warned_of


class Wall:
    """A board, and the clock in front of it."""

    def __init__(self):
        self.board = Board()
        self.now_ns = 1_000 * SECOND_NS
        self.at = AT

    def passes(self, seconds):
        self.now_ns += round(seconds * SECOND_NS)
        self.at += timedelta(seconds=seconds)
        self.board.sweep(self.now_ns)

    def hears(self, *rows, **batch):
        self.board.apply(batch_of(*rows, **batch), self.now_ns, self.at)

    def states(self, account_id=None):
        return {row.id: row.state for row in self.board.rows(account_id)}

    def news(self):
        """Return ids of new rows and of those that are gone."""
        news = self.board.take_news()
        return sorted(news.calls), sorted(news.gone)

    def totals(self, account_id=None):
        for _ in range(1 + len(self.board) // SUMMED_AT_ONCE + 1):
            self.board.sum_up_some(self.at)
        return self.board.totals(account_id, self.now_ns, self.at)


@pytest.fixture
def wall():
    return Wall()


def test_two_accounts_see_only_theirs_and_operators_all(wall):
    wall.hears(row_of("a1", "alice"), row_of("b1", "bob"))
    wall.hears(row_of("a2", "alice", node="n2"), node="n2")
    assert set(wall.states("alice")) == {"a1", "a2"}
    assert set(wall.states("bob")) == {"b1"}
    assert set(wall.states("carol")) == set()
    assert set(wall.states()) == {"a1", "a2", "b1"}
    assert len(wall.board) == 3


def test_a_row_that_lies_about_its_node_is_not_believed(wall):
    wall.hears(row_of("c1", node="n2"), row_of("c2", node=""), row_of("c3"), node="n1")
    assert set(wall.states()) == {"c3"}
    wall.hears(ended_of("c3", node="n1"), node="n2")
    assert wall.states() == {"c3": "answered"}


def test_a_call_does_not_change_its_owner(wall):
    wall.hears(row_of("c1", "alice"))
    wall.news()
    wall.hears(row_of("c1", "mallory", state="held"))
    assert wall.board.row("c1").account_id == "alice"
    assert (wall.states("mallory"), wall.news()) == ({}, ([], []))


def test_a_late_row_does_not_bring_a_call_back_that_has_ended(wall):
    wall.hears(row_of())
    wall.hears(ended_of())
    wall.hears(row_of(state="held"))
    wall.hears(ended_of(seconds=1))
    assert wall.states() == {"c1": "ended"}
    assert wall.board.row("c1").seconds == 60
    assert wall.totals().countries[0].attempts == 1, "its end counts once"
    wall.passes(ENDED_SHOWN_NS / SECOND_NS - 0.1)
    assert wall.states() == {"c1": "ended"}
    wall.news()
    wall.passes(0.1)
    assert (wall.states(), wall.news()) == ({}, ([], ["c1"]))
    assert wall.board._of_account == {}


def test_a_call_that_nobody_speaks_of_is_lost_and_found_again(wall):
    wall.hears(row_of())
    wall.passes(LOST_NS / SECOND_NS - 0.1)
    assert wall.states() == {"c1": "answered"}
    wall.news()
    wall.passes(0.1)
    assert (wall.states(), wall.news()) == ({"c1": "lost"}, (["c1"], []))
    assert wall.totals().calls == 0
    wall.passes(30)
    wall.hears(row_of())
    assert (wall.states(), wall.news()) == ({"c1": "answered"}, (["c1"], []))
    wall.passes(4.9)
    assert wall.states() == {"c1": "answered"}
    wall.passes(0.1)
    wall.passes(59.9)
    assert wall.states() == {"c1": "lost"}
    wall.passes(0.1)
    assert wall.states() == {}


def test_a_lost_call_that_has_ended_all_the_same_is_shown_as_ended(wall):
    wall.hears(row_of())
    wall.passes(30)
    wall.passes(59)
    wall.hears(ended_of())
    wall.passes(59)
    assert wall.states() == {"c1": "ended"}
    assert wall.totals().asr_percent == 100


def test_a_call_that_is_gone_and_back_before_anybody_is_told_is_not_told_to_be_gone(wall):
    """A reader of both would take it off the screen, and not see it for a while."""
    wall.hears(row_of(), row_of("c2"))
    wall.passes(5)
    wall.news()
    wall.passes(60)
    wall.hears(row_of())
    assert wall.news() == (["c1"], ["c2"])


def test_what_nobody_sees_is_no_news_but_comes_now_and_then(wall):
    wall.hears(row_of(mos=4.4, rtt_ms=40.0))
    wall.news()
    last = COST_SHOWN_NS // SECOND_NS
    for n in range(1, last):
        wall.passes(1)
        wall.hears(row_of(mos=4.4 + n / 1_000, rtt_ms=40 + n / 10, seconds=n, cost_micros=n))
        assert wall.news() == ([], []), n
    assert wall.board.row("c1").cost_micros == last - 1, "who begins to watch sees it as it is"
    wall.passes(1)
    wall.hears(row_of(mos=4.4, rtt_ms=40.0, seconds=last))
    assert wall.news() == (["c1"], [])


@pytest.mark.parametrize(
    "change",
    [
        {"state": "held"},
        {"answered_at": None},
        {"ringing_at": AT},
        {"mos": 3.2},
        {"mos": None},
        {"rtt_ms": 400.0},
        {"jitter_ms": 50.0},
        {"loss_percent": 7.0},
        {"path": "webrtc"},
        {"pdd_ms": 900},
        {"tags": ("silence",)},
        {"cause": 16},
        {"state": "ending", "seconds": 61},
    ],
)
def test_what_somebody_sees_is_news_at_once(wall, change):
    wall.hears(row_of(mos=4.3, rtt_ms=40.0))
    wall.news()
    wall.hears(row_of(**{"mos": 4.3, "rtt_ms": 40.0} | change))
    assert wall.news() == (["c1"], [])


def test_what_an_ending_call_costs_is_news_for_no_clock_tells_it(wall):
    wall.hears(row_of(state="ending", seconds=60))
    wall.news()
    wall.hears(row_of(state="ending", seconds=66))
    assert wall.news() == (["c1"], [])


def test_no_more_calls_are_held_than_may_be_and_room_is_made_again(wall):
    rows = [row_of(f"c{n}", f"a{n % 100}") for n in range(CALLS_MAX)]
    for begin in range(0, CALLS_MAX, 500):
        wall.hears(*rows[begin : begin + 500])
    wall.hears(row_of("too many"))
    assert len(wall.board) == CALLS_MAX
    assert wall.board.row("too many") is None
    wall.hears(ended_of("c0", "a0"))
    assert wall.board.row("c0").state == "ended", "those that are held are heard"
    assert wall.totals().calls == CALLS_MAX - 1
    wall.passes(60)
    wall.passes(60)
    assert len(wall.board) == 0
    wall.hears(row_of("too many"))
    assert len(wall.board) == 1


def test_samples_are_kept_of_each_call_by_itself(wall):
    wall.hears(row_of("c1"), row_of("c2"), sounds={"c1": SOUND, "c9": SOUND})
    samples, count = wall.board.samples("c1", 0)
    assert ([each.caller_dbov for each in samples], count) == ([-30], 1)
    assert wall.board.samples("c2", 0) == ([], 0)
    assert wall.board.samples("c9", 7) == ([], 7)


def test_of_a_row_that_is_not_believed_no_sound_is_heard(wall):
    wall.board.watch("alice")
    wall.hears(row_of(node="n2"), sounds={"c1": SOUND}, node="n1")
    assert wall.totals("alice").talk_percent is None
    wall.hears(row_of("c1", "bob"))
    wall.hears(row_of("c1", "alice"), sounds={"c1": SOUND})
    assert wall.totals("alice").talk_percent is None


# Nodes and warnings.


def test_a_node_that_is_gone_stays_as_lost_for_ten_minutes(wall):
    nodes = wall.board
    nodes.see_nodes([facts_of("n2"), facts_of("n1")], wall.now_ns)
    assert [each.node for each in nodes.nodes()] == ["n1", "n2"]
    assert nodes.take_news().nodes is not None
    wall.passes(1)
    nodes.see_nodes([facts_of("n2"), facts_of("n1")], wall.now_ns)
    assert nodes.take_news().nodes is None, "nothing is new"
    wall.passes(1)
    nodes.see_nodes([facts_of("n1", calls=3)], wall.now_ns)
    news = nodes.take_news().nodes
    assert [(each.node, each.calls, each.is_lost) for each in news] == [
        ("n1", 3, False),
        ("n2", 0, True),
    ]
    wall.passes(1)
    nodes.see_nodes([facts_of("n1", calls=3), facts_of("n2")], wall.now_ns)
    assert not any(each.is_lost for each in nodes.nodes())
    wall.passes(NODE_KEPT_NS / SECOND_NS - 1)
    nodes.see_nodes([facts_of("n1")], wall.now_ns)
    assert [each.is_lost for each in nodes.nodes()] == [False, True]
    wall.passes(1)
    nodes.see_nodes([facts_of("n1")], wall.now_ns)
    assert [each.node for each in nodes.nodes()] == ["n1"]


def test_no_more_nodes_are_listed_than_may_be(wall):
    wall.board.see_nodes([facts_of(f"n{n}") for n in range(NODES_MAX + 9)], wall.now_ns)
    assert len(wall.board.nodes()) == NODES_MAX
    wall.board.see_nodes([facts_of("n0", calls=5)], wall.now_ns)
    assert next(each for each in wall.board.nodes() if each.node == "n0").calls == 5


def test_the_last_warnings_are_kept_and_told_and_no_more(wall):
    lines = [warned_of(f"line {n}") for n in range(WARNINGS_MAX + 40)]
    for begin in range(0, len(lines), 37):
        wall.hears(node="", warnings=lines[begin : begin + 37])
    assert list(wall.board.warnings) == lines[-WARNINGS_MAX:]
    assert wall.board.take_news().warnings == lines[-WARNINGS_MAX:]
    wall.hears(node="", warnings=lines[:2])
    assert wall.board.take_news().warnings == lines[:2]
    assert not wall.board.take_news()


# Totals.


def test_totals_of_an_account_are_of_its_calls_since_somebody_watches(wall):
    wall.hears(row_of("a1", "alice"), row_of("b1", "bob"))
    wall.hears(ended_of("a0", "alice"))
    wall.board.watch("alice")
    # Of the one that is on; the one that has ended was not watched.
    totals = wall.totals("alice")
    assert (totals.asr_percent, totals.acd_s) == (100, None)
    wall.hears(ended_of("a1", "alice"), ended_of("b1", "bob", answered_at=None))
    wall.hears(row_of("a2", "alice"), row_of("b2", "bob"), sounds={"b2": Sound(-99, -99, 0)})
    totals = wall.totals("alice")
    assert (totals.calls, totals.asr_percent, totals.begun_per_minute) == (1, 100, 1)
    assert totals.talk_percent is None
    everybody = wall.totals()
    # Two of three that have ended, and the two that are on.
    assert (everybody.calls, everybody.asr_percent) == (2, 80)
    assert (everybody.begun_per_minute, everybody.talk_percent) == (5, 0)
    wall.board.unwatch("alice")
    wall.board.unwatch("alice")
    assert wall.totals("alice").acd_s is None


def test_a_call_that_was_begun_before_this_process_looked_has_not_begun_now(wall):
    wall.passes(LOST_NS / SECOND_NS)
    wall.hears(row_of())
    assert wall.totals().begun_per_minute == 0
    wall.hears(row_of("c2", created_at=wall.at - timedelta(seconds=4.9)))
    assert wall.totals().begun_per_minute == 1


@given(st.data())
def test_whatever_comes_in_whatever_order_the_board_is_what_was_said_last(data):
    """Two nodes, two accounts; a plain dict beside the board takes the same words."""
    draw, wall, expected = data.draw, Wall(), {}
    chance = random.Random(draw(st.integers(0, 1 << 30)))
    for _ in range(draw(st.integers(0, 40))):
        call_id, node = chance.choice("abcd"), chance.choice(["n1", "n2"])
        owner = "alice" if call_id < "c" else "bob"
        its_node = "n1" if call_id in "ac" else "n2"
        state = chance.choice(["ringing", "answered", "held", "ended"])
        make = ended_of if state == "ended" else row_of
        account_id = chance.choice([owner, owner, owner, "mallory"])
        if call_id not in expected and account_id == "mallory":
            continue
        row = make(call_id, account_id, node=its_node, state=state)
        wall.hears(row, node=node)
        known = expected.get(call_id)
        is_over = known is not None and known.state == "ended"
        if node == its_node and account_id == owner and not is_over:
            expected[call_id] = row
    assert {row.id: row for row in wall.board.rows(None)} == expected
    for account_id in ("alice", "bob", "mallory"):
        own = {key: row for key, row in expected.items() if row.account_id == account_id}
        assert {row.id: row for row in wall.board.rows(account_id)} == own
    live = [row for row in expected.values() if row.state != "ended"]
    assert wall.totals().calls == len(live)
    assert msgspec.structs.asdict(wall.totals())["by_state"].keys() == {r.state for r in live}


def error_of(event):
    return msgspec.structs.replace(warned_of(event), level="error")


def test_errors_are_counted_by_their_words_until_they_were_not_logged_for_long(wall):
    wall.hears(warnings=[error_of("it broke"), error_of("it broke"), warned_of("no matter")])
    assert wall.board.errors(wall.now_ns) == {"it broke": 2}
    wall.passes(ERRORS_NS / SECOND_NS - 1)
    wall.hears(warnings=[error_of("it broke"), error_of("another")])
    assert wall.board.errors(wall.now_ns) == {"it broke": 3, "another": 1}
    wall.passes(ERRORS_NS / SECOND_NS)
    assert wall.board.errors(wall.now_ns) == {}
    wall.hears(warnings=[error_of("it broke")])
    assert wall.board.errors(wall.now_ns) == {"it broke": 1}


def test_an_error_that_is_logged_all_the_time_pushes_no_other_out(wall):
    wall.hears(warnings=[error_of("rare")])
    for _ in range(10):
        wall.hears(warnings=[error_of("flood")] * 64)
    assert wall.board.errors(wall.now_ns) == {"rare": 1, "flood": 640}


def test_of_many_errors_the_newest_are_kept(wall):
    for number in range(WARNINGS_MAX + 10):
        wall.hears(warnings=[error_of(f"e{number}")])
    kept = wall.board.errors(wall.now_ns)
    assert list(kept) == [f"e{number}" for number in range(10, WARNINGS_MAX + 10)]


def test_how_long_nobody_was_heard_begins_with_the_first_look(wall):
    assert wall.board.silence_s(wall.now_ns) == 0
    wall.passes(7)
    assert wall.board.silence_s(wall.now_ns) == 7
    wall.hears()
    assert wall.board.silence_s(wall.now_ns) == 0
