"""How much work all streams of a process may spend on repairs: concealing, stretching, fading in.

A repair costs as much as passing thirty frames on. When the process has been stalled, all streams
ask for one at once; made at once they would stall it again, and the streams with it, for seconds.
What is not allowed is left undone, or done poorly. Knows no stream and no clock.
"""

from __future__ import annotations

from typing import Final

REPAIR_NS: Final = 500_000
"""One repair is allowed so often. It takes a fifth of that: all take a fifth of a core at most,
and there is one for each packet of 1,200 calls of which 3 % are lost."""
REPAIRS_MAX: Final = 20
"""How many may be made at once: 2 ms of work, a tenth of a frame."""


class Allowance:
    """A bucket of repairs, which time fills."""

    __slots__ = ("_full_ns",)

    def __init__(self) -> None:
        self._full_ns = 0
        """When the bucket is full."""

    def take(self, now_ns: int) -> bool:
        """Take one repair; False if it is not allowed now."""
        full_ns = max(self._full_ns, now_ns) + REPAIR_NS
        if full_ns > now_ns + REPAIRS_MAX * REPAIR_NS:
            return False
        self._full_ns = full_ns
        return True
