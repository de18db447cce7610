"""Who of many sources may begin: the turns by themselves, against a plain model of them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.turns import Turns

A, B, C = b"a", b"b", b"c"


def test_so_many_of_a_source_begin_and_the_rest_waits():
    turns: Turns[str] = Turns(2, 10)
    assert [turns.take(A, name) for name in ("1", "2", "3", "4")] == [True, True, False, False]
    assert turns.take(B, "5")
    assert turns.give_back(B) is None
    assert [turns.give_back(A), turns.give_back(A), turns.give_back(A)] == [
        (A, "3"),
        (A, "4"),
        None,
    ]


def test_where_all_places_are_taken_the_sources_take_turns():
    turns: Turns[str] = Turns(2, 2)
    assert turns.take(A, "a1")
    assert turns.take(A, "a2")
    for name in ("a3", "a4"):
        assert not turns.take(A, name)
    for source, name in ((B, "b1"), (B, "b2"), (C, "c1")):
        assert not turns.take(source, name)
    begun = []
    for _ in range(3):
        source, name = turns.give_back(A if len(begun) < 2 else B)
        begun.append(name)
    assert begun[:2] == ["b1", "c1"]


def test_who_waits_no_longer_is_left_out():
    turns: Turns[str] = Turns(1, 9)
    assert turns.take(A, "1")
    assert not turns.take(A, "2")
    assert not turns.take(A, "3")
    for name in ("2", "2", "9"):
        turns.withdraw(A, name)
    turns.withdraw(B, "2")
    assert turns.give_back(A) == (A, "3")
    assert turns.give_back(A) is None
    assert len(turns) == 0
    assert (turns._held, turns._waiting, turns._next) == ({}, {}, {})


@given(
    st.integers(1, 3),
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("tgw"), st.sampled_from([A, B, C]), st.integers(0, 9))),
)
def test_no_order_breaks_a_bound_or_leaves_a_place_free(per_source, in_all, steps):
    turns: Turns[int] = Turns(per_source, in_all)
    held: Counter[bytes] = Counter()
    waiting: dict[int, bytes] = {}
    for serial, (step, source, chosen) in enumerate(steps):
        if step == "t":
            if turns.take(source, serial):
                held[source] += 1
            else:
                waiting[serial] = source
        elif step == "g" and held[source]:
            held[source] -= 1
            following = turns.give_back(source)
            if following is not None:
                assert waiting.pop(following[1]) == following[0]
                held[following[0]] += 1
        elif step == "w" and waiting:
            name = sorted(waiting)[chosen % len(waiting)]
            turns.withdraw(waiting.pop(name), name)
        assert len(turns) == held.total() <= in_all
        assert max(held.values(), default=0) <= per_source
        if held.total() < in_all:
            assert all(held[source] == per_source for source in waiting.values())
