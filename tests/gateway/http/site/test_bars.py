"""The bars of a chart."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.site.bars import Bar, bars


def test_bars_stand_beside_each_other_as_high_as_their_values():
    assert bars([0, 5, 10], width=30, height=100) == [
        Bar(0, 100, 8, 0),
        Bar(10, 50, 8, 50),
        Bar(20, 0, 8, 100),
    ]
    assert bars([], width=30, height=100) == []
    assert [bar.height for bar in bars([0, 0], width=30, height=100)] == [0, 0]


@given(st.lists(st.integers(0, 10**9), max_size=40))
def test_no_bar_leaves_the_chart_and_none_with_a_value_is_missed(values):
    for value, bar in zip(values, bars(values, width=600, height=120), strict=True):
        assert 0 <= bar.x < bar.x + bar.width <= 600
        assert bar.y + bar.height == 120
        assert bar.y >= 0
        assert (bar.height > 0) is (value > 0)
