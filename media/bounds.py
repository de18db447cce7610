"""Limits of one playout: frame sizes, lead at the carrier, delay."""

from __future__ import annotations

from typing import Final

from media.nanoseconds import MS_NS

FRAME_BYTES_MIN: Final = 8
FRAME_BYTES_MAX: Final = 960

CAP_NS: Final = 100 * MS_NS
"""Lead above which the carrier is sent nothing."""
HARD_NS: Final = 240 * MS_NS
"""Delay above which frames are dropped at once. With networks and phone more would pass 400 ms, the
most that ITU-T G.114 allows."""
BACKLOG_NS_MAX: Final = 1_000 * MS_NS
"""Lead above which the carrier is cleared."""
