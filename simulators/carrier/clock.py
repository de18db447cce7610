"""The two clocks of the simulated carrier, as one value that tests can replace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time source of the modules with side effects; pure modules take the time as an argument."""

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    """For intervals: media deadlines."""
    epoch_ns: Callable[[], int] = time.time_ns
    """For timestamps that others read."""
