"""Whatever nodes say and viewers do, in any order: all end with exactly what the board has."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.watching import channel as channel_module
from gateway.watching.board import COST_SHOWN_NS
from gateway.watching.channel import TEXTS_MAX, Audience
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.watching.house import ALICE, ALL, BOB, House
from tests.gateway.watching.played import SOUND, ended_of, plain, row_of, warned_of

AUDIENCES = (
    ALL,
    ALICE,
    BOB,
    Audience("alice", "c0"),
    Audience(None, "c0"),
    Audience("bob", "c0"),
)
OWNERS = {"c0": "alice", "c1": "alice", "c2": "bob", "c3": "bob"}
CALLS = st.sampled_from(sorted(OWNERS))
WHO = st.integers(0, 2 * len(AUDIENCES) - 1)
HAPPENINGS = st.one_of(
    st.tuples(st.just("hears"), CALLS, st.sampled_from(["ringing", "answered", "held", "ended"])),
    st.tuples(st.just("hears"), CALLS, st.just("answered"), st.floats(1, 4.5)),
    st.tuples(st.just("warns"), st.integers(1, 30)),
    st.tuples(st.just("nodes"), st.sets(st.sampled_from(["n1", "n2", "n3"]))),
    st.tuples(st.just("passes"), st.sampled_from([0.1, 1, 5, 10, 31, 60])),
    st.tuples(st.just("update")),
    st.tuples(st.just("refresh")),
    st.tuples(st.just("serve"), WHO),
    st.tuples(st.just("stall"), WHO),
    st.tuples(st.just("read"), WHO, st.integers(1, 3_000)),
    st.tuples(st.just("back"), WHO),
    st.tuples(st.just("away"), WHO),
)


class Play(House):
    """Two screens for each audience, and whatever happens to them."""

    def __init__(self):
        super().__init__()
        self.screens = [(audience, self.joins(audience)) for audience in AUDIENCES * 2]

    def happens(self, what, *details):
        getattr(self, f"_{what}")(*details)

    def _hears(self, call_id, state, mos=None):
        make = ended_of if state == "ended" else row_of
        row = make(call_id, OWNERS[call_id], state=state, mos=mos)
        self.hears(row, sounds={call_id: SOUND})

    def _warns(self, count):
        self.hears(node="", warnings=[warned_of(f"{self.at} {n}") for n in range(count)])

    def _nodes(self, names):
        self.board.see_nodes([facts_of(name) for name in names], self.now_ns)

    def _passes(self, seconds):
        self.passes(seconds)

    def _update(self):
        self.feed.update(self.now_ns, self.at)

    def _refresh(self):
        self.refreshes()

    def _serve(self, who):
        screen = self.screens[who][1]
        if screen in self.viewers and not screen.is_closed:
            self.feed.serve(self.viewers[screen], self.now_ns, self.at)

    def _stall(self, who):
        self.screens[who][1].stalls = True

    def _read(self, who, count):
        self.screens[who][1].read(count)

    def _away(self, who):
        screen = self.screens[who][1]
        if screen in self.viewers:
            self.leaves(screen)

    def _back(self, who):
        audience, screen = self.screens[who]
        self._away(who)
        screen.comes_back()
        self.joins(audience, screen)

    def comes_to_rest(self):
        """Let everybody be there and read, and each live call be spoken of once more."""
        for who, (_, screen) in enumerate(self.screens):
            screen.stalls = False
            screen.read()
            if screen not in self.viewers or screen.is_closed:
                self._back(who)
        self.now_ns += COST_SHOWN_NS
        self.hears(*(row for row in self.board.rows(None) if row.state not in {"ended", "lost"}))
        self.tells()
        self.refreshes()


@pytest.mark.thorough
@settings(max_examples=300)
@given(st.lists(HAPPENINGS, min_size=10, max_size=80), st.sampled_from([1, 4, TEXTS_MAX]))
def test_whatever_happens_everybody_ends_with_exactly_what_the_board_has(happenings, texts_max):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel_module, "TEXTS_MAX", texts_max)
        play = Play()
        for happening in happenings:
            play.happens(*happening)
        play.comes_to_rest()
        for audience, screen in play.screens:
            assert screen.calls == play.visible(audience), audience
            if audience.call_id is None:
                rows = play.board.rows(audience.account_id)
                assert screen.totals["calls"] == len(
                    [row for row in rows if row.state not in {"ended", "lost"}]
                )
            if audience == ALL:
                assert screen.nodes == plain(play.board.nodes())
                assert screen.warnings == plain(list(play.board.warnings))
            else:
                assert not screen.nodes
                assert not screen.warnings
