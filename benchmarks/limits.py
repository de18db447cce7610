"""Defines what a valid measurement window is, and how the generators' own limit is found."""

from __future__ import annotations

P99_US_MAX = 20_000
"""A load is held when frames or packets come before the next one is due: 20 ms."""
LATE_P99_US_MAX = 1_000
"""A generator later than this does not offer the load it claims."""
LATE_MAX_US_MAX = 8_000
"""A generator that spins on its own core is late by more than this only where the machine stood
still, and then the server stood still as well."""
FOREIGN_SHARE_MAX = 0.1
"""More than this of the server's core used by others, and its latency is not its own. Idle services
and the coarseness of the kernel's clock ticks come to a few percent on a quiet machine."""
CEILING_STEP = 200
CEILING_SECONDS = 0.7
SHARE_MAX = 1.1
"""Of a core: a load that would take more, by what the last one took, is not tried. It would take a
minute to bring up, and be late."""
