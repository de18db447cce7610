"""Hypothesis strategies for the words of billing: rates, amounts, durations."""

from __future__ import annotations

from hypothesis import strategies as st

from billing.rating import Rate

micros = st.integers(0, 10**10)
"""Amounts up to ten thousand currency units."""

seconds = st.integers(0, 4_000)


def rates(*, per_minute_micros_max: int = 10**7) -> st.SearchStrategy[Rate]:
    """Rates of all shapes: per second, 60/6, 30/6, with connect fees and free heads."""
    increments = st.sampled_from((1, 2, 6, 20, 30, 60)) | st.integers(1, 120)
    return st.builds(
        Rate,
        per_minute_micros=st.integers(0, per_minute_micros_max),
        first_s=increments,
        next_s=increments,
        connect_fee_micros=st.just(0) | st.integers(0, 10**6),
        free_s=st.just(0) | st.integers(0, 30),
    )
