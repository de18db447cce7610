"""Hypothesis strategies for the words of billing: rates, amounts, durations."""

from __future__ import annotations

from hypothesis import strategies as st

from billing.rating import Rate

micros = st.integers(0, 10**10)
"""Amounts up to ten thousand currency units."""

seconds = st.integers(0, 4_000)


def rates(*, per_minute_micros_max: int = 10**7) -> st.SearchStrategy[Rate]:
    """Rates of all shapes: per second, 60/6, 30/6, with fees, free heads, minimum and cap."""
    increments = st.sampled_from((1, 2, 6, 20, 30, 60)) | st.integers(1, 120)
    amounts = st.just(0) | st.integers(0, 10**6)
    return st.builds(
        _rate,
        per_minute_micros=st.integers(0, per_minute_micros_max),
        first_s=increments,
        next_s=increments,
        connect_fee_micros=amounts,
        free_s=st.just(0) | st.integers(0, 30),
        minimum_micros=amounts,
        cap_micros=st.just(0) | st.integers(1, 10**8),
    )


def _rate(cap_micros: int, **values: int) -> Rate:
    """Return a rate, its cap raised to what every call costs."""
    least = max(values["minimum_micros"], values["connect_fee_micros"])
    return Rate(cap_micros=cap_micros and max(cap_micros, least), **values)
