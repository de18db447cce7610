"""Lays out the bars of a small chart, in the units of its drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart, from its upper left corner; `y` grows downwards, as in SVG."""

    x: int
    y: int
    width: int
    height: int


def bars(values: Sequence[int], *, width: int, height: int) -> Sequence[Bar]:
    """Return a bar for each value, the tallest as high as the chart.

    A value above 0 is always visible, however small it is beside the largest.
    """
    most = max(values, default=0)
    step = width // max(len(values), 1)
    # A fifth of its width stays free, so that neighbours can be told apart.
    own = max(step - max(step // 5, 1), 1)
    heights = [max(value * height // most, 1) if value > 0 else 0 for value in values]
    return [Bar(place * step, height - tall, own, tall) for place, tall in enumerate(heights)]
