"""Defines the limits of one playout's delay. Knows no frame and no clock."""

from __future__ import annotations

from typing import Final

from media.source import MS_NS

FRAME_BYTES_MIN: Final = 8
FRAME_BYTES_MAX: Final = 960

CAP_NS: Final = 100 * MS_NS
"""The carrier is sent no more while it has this much to play."""
HARD_NS: Final = 240 * MS_NS
"""Delay beyond this is cut at once: with networks and phone it would exceed the 400 ms that ITU-T
G.114 allows at most."""
BACKLOG_NS_MAX: Final = 1_000 * MS_NS
"""A carrier that has more than this to play is cleared."""
