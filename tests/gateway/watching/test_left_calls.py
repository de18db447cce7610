"""Calls that nobody looks after, by lists and clocks alone."""

from gateway.call.ghost import Ghost
from gateway.nanoseconds import SECOND_NS
from gateway.watching.left_calls import GHOST_S, ORPHAN_NS, ORPHANS_MAX, Orphans, ghosts_left

NOW_S = 1_700_000_000.0


def ghost_of(age_s):
    return Ghost(call_id="c1", node="n1", noted_s=NOW_S - age_s, due_s=NOW_S)


def test_a_ghost_counts_once_it_has_withstood_some_attempts():
    ghosts = [ghost_of(age_s) for age_s in (0, GHOST_S - 1, GHOST_S, 9_000, -60)]
    assert ghosts_left(ghosts, NOW_S) == 2


def test_a_call_counts_once_it_has_been_without_a_node_for_long_enough_and_without_a_break():
    orphans = Orphans()
    both = [("c1", "n2"), ("c2", "n1")]
    assert orphans.left(both, {"n1"}, 0) == 0
    assert orphans.left(both, {"n1"}, ORPHAN_NS - 1) == 0
    assert orphans.left(both, {"n1"}, ORPHAN_NS) == 1
    # Its node has renewed its lease, which the store had lost: from now on it begins again.
    assert orphans.left(both, {"n1", "n2"}, ORPHAN_NS + 1) == 0
    assert orphans.left(both, {"n1"}, ORPHAN_NS + 2) == 0
    assert orphans.left(both, {"n1"}, 2 * ORPHAN_NS + 2) == 1
    # It is settled.
    assert orphans.left(both[1:], {"n1"}, 2 * ORPHAN_NS + 3) == 0


def test_calls_beyond_what_is_kept_are_not_counted():
    orphans = Orphans()
    calls = [(f"c{n}", "gone") for n in range(2 * ORPHANS_MAX)]
    assert orphans.left(calls, (), 0) == 0
    assert orphans.left(calls, (), 600 * SECOND_NS) == ORPHANS_MAX
    assert len(orphans._since_ns) == ORPHANS_MAX
