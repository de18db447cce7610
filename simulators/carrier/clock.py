"""The two clocks of the simulated carrier, as one value that tests can replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the shells read the time from; the cores are told."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    """For intervals: media deadlines."""
    epoch_ns: Callable[[], int] = time.time_ns
    """For timestamps that others read."""
