"""Holds the last texts for one audience, numbered; each viewer has a position in them. Pure.

A viewer who comes back names its last text (`epoch:offset`), and continues after it while it is
still held.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, NamedTuple

from gateway.watching.feed_events import FeedEnd
from gateway.watching.rows import ENCODER

TEXTS_MAX: Final = 256
"""At most ten a second: half a minute of a busy audience."""
BYTES_MAX: Final = 8 << 20
COMMENT: Final = b":\n\n"


class Audience(NamedTuple):
    """What a group of viewers sees alike."""

    account_id: str | None
    """Whose calls; None: everyone's."""
    call_id: str | None = None
    """This call only, with its samples."""

    @property
    def kind(self) -> Literal["all", "account", "call"]:
        """Its name in a snapshot."""
        if self.call_id is not None:
            return "call"
        return "all" if self.account_id is None else "account"


class Channel:
    """The texts of one audience: an event of the stream each, or a comment."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._texts: deque[bytes] = deque()
        self._bytes = 0
        self._snapshot = b""
        """The snapshot before the next text; empty unless one was requested."""
        self.next = 0
        """Number of the next text."""

    def add(self, kind: str, data: object) -> None:
        """Add an event."""
        self._add(self._event(kind, self.next, data))

    def add_comment(self) -> None:
        """Add a comment, which only tells viewers and proxies that the stream is alive."""
        self._add(COMMENT)

    def _add(self, text: bytes) -> None:
        self._texts.append(text)
        self._bytes += len(text)
        self._snapshot = b""
        self.next += 1
        while len(self._texts) > TEXTS_MAX or self._bytes > BYTES_MAX:
            self._bytes -= len(self._texts.popleft())

    def after(self, place: int) -> list[bytes] | None:
        """Return the texts from number `place` on; None if some are gone."""
        missing = self.next - place
        if not 0 <= missing <= len(self._texts):
            return None
        return list(self._texts)[len(self._texts) - missing :] if missing else []

    def place_of(self, last_event_id: str) -> int | None:
        """Return where a viewer continues whose last event this is; None if that is unknown."""
        epoch, _, offset = last_event_id.partition(":")
        # Only decimals: `int` accepts more, and twenty digits are no offset of ours.
        if epoch != self._epoch or not (offset.isascii() and offset.isdigit() and len(offset) < 16):
            return None
        place = int(offset) + 1
        return place if self.after(place) is not None else None

    @property
    def snapshot(self) -> bytes:
        """The snapshot that replaces all texts so far; empty until one is kept."""
        return self._snapshot

    def keep_snapshot(self, data: object) -> bytes:
        """Write a snapshot, and keep it until the next text."""
        # Numbered as the last text: a viewer who has it continues with the next.
        self._snapshot = self._event("snapshot", self.next - 1, data)
        return self._snapshot

    def _event(self, kind: str, offset: int, data: object) -> bytes:
        return b"id: %b:%d\nevent: %b\ndata: %b\n\n" % (
            self._epoch.encode(),
            offset,
            kind.encode(),
            ENCODER.encode(data),
        )


def end_event(code: str) -> bytes:
    """Return the event before a stream is closed for good; `code` is one of `PROBLEMS`."""
    return b"event: end\ndata: %b\n\n" % ENCODER.encode(FeedEnd(code=code))
