"""Reports the calls of a node to live viewers, a few times a second.

Nothing here waits or depends on who is watching. What cannot be sent now is dropped, because the
next second reports it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from gateway.calls.bridge import Bridge
from gateway.watching.call_row import row_of
from gateway.watching.rows import COUNTED_BYTES_MAX, Batch, CallRow, Sound, encode

CHANGED_MAX: Final = 4000
"""Calls noted at once; any beyond the live ones can only be calls that have ended."""
_ROWS: Final = 20
"""As many as usually fit into one message: about 600 bytes each, and half that for its sound."""

log = structlog.get_logger(__name__)


class Reporter:
    """The calls of one node that have changed since its last report."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._changed: dict[str, Bridge] = {}

    def note(self, call: Bridge) -> None:
        """Note that a call has changed, or that another second of it has passed."""
        if len(self._changed) < CHANGED_MAX or call.call_id in self._changed:
            self._changed[call.call_id] = call

    def batches(self) -> list[bytes]:
        """Return the messages to send, encoded."""
        changed, self._changed = self._changed, {}
        calls: list[CallRow] = []
        sounds: dict[str, Sound] = {}
        for call in changed.values():
            try:
                row, sound = row_of(call)
            except Exception:
                # A bug of ours: the other calls must still be reported.
                log.exception("live call not told", call_id=call.call_id)
                continue
            calls.append(row)
            if sound is not None:
                sounds[row.id] = sound
        parts = (calls[begin : begin + _ROWS] for begin in range(0, len(calls), _ROWS))
        return [text for part in parts for text in self._texts(part, sounds)]

    def _texts(self, calls: Sequence[CallRow], sounds: Mapping[str, Sound]) -> Iterator[bytes]:
        """Yield batches of calls that are short enough to be counted."""
        heard = {row.id: sounds[row.id] for row in calls if row.id in sounds}
        text = encode(Batch(node=self._node, calls=calls, sounds=heard))
        half = len(calls) // 2
        if len(text) <= COUNTED_BYTES_MAX or not half:
            yield text
        else:
            yield from self._texts(calls[:half], sounds)
            yield from self._texts(calls[half:], sounds)
