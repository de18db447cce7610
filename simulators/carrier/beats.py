"""Computes how many frames of a stream are due at a beat of about 20 ms. Pure."""

from __future__ import annotations

from typing import Final

from media.g711 import FRAME_MS

FRAME_NS: Final = FRAME_MS * 1_000_000


class Beats:
    """Counts the frames of one stream, at a beat that may have any phase.

    A frame begins half a frame before its beat, so that no beat falls between two frames, where a
    little jitter would send none at one beat and two at the next.
    """

    def __init__(self) -> None:
        self._began_ns: int | None = None

    def due(self, started_ns: int, now_ns: int) -> int:
        """Return how many frames are due; one at the first beat, more where that comes late.

        Args:
            started_ns: When the stream began.
            now_ns: Now.

        """
        if self._began_ns is None:
            # The leg joins the ticker some time after the stream's start; the frames of that time
            # are due at the first beat.
            first = max(1, (now_ns - started_ns) // FRAME_NS)
            self._began_ns = now_ns - first * FRAME_NS - FRAME_NS // 2
        return (now_ns - self._began_ns) // FRAME_NS
