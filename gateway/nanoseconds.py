"""Units of the monotonic clock, which counts nanoseconds."""

from typing import Final

SECOND_NS: Final = 1_000_000_000
