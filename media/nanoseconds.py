"""Units of the one clock that all media times are read from. It counts nanoseconds."""

from __future__ import annotations

from typing import Final

MS_NS: Final = 1_000_000
SECOND_NS: Final = 1_000 * MS_NS

NEVER_NS: Final = 1 << 62
"""A time later than any that is reached; `-NEVER_NS` is earlier than any."""
