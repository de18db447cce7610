"""Keeps the errors and warnings that Twilio's console debugger would show, bounded. Pure.

Tests assert that it stays empty, or that exactly the expected code is in it.
https://www.twilio.com/docs/usage/troubleshooting/debugging-your-application
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Final

ENTRIES_MAX: Final = 1000

# Level and text of each code; https://www.twilio.com/docs/api/errors/<code>
CODES: Final[dict[int, tuple[str, str]]] = {
    11200: ("error", "HTTP retrieval failure"),
    12100: ("error", "Document parse failure"),
    12200: ("warning", "Schema validation warning"),
    13224: ("error", "Dial: Twilio does not support calling this number"),
    13225: ("error", "Dial: forbidden phone number"),
    13227: ("error", "Dial: no international authorization"),
    13805: ("warning", "Trial account: call exceeded its time limit"),
    31901: ("error", "Stream: WebSocket connection timeout"),
    31902: ("error", "Stream: WebSocket connection refused"),
    31903: ("error", "Stream: WebSocket broken pipe"),
    31910: ("error", "Stream: WebSocket TLS error"),
    31920: ("error", "Stream: WebSocket handshake error"),
    31921: ("error", "Stream: WebSocket close error"),
    31922: ("error", "Stream: scheme not supported"),
    31923: ("error", "Stream: malformed URL"),
    31924: ("error", "Stream: WebSocket protocol error"),
    31930: ("warning", "Stream: congestion, audio towards the application discarded"),
    31931: ("warning", "Stream: more than ten minutes buffered, no more data is accepted"),
    31941: ("error", "Stream: invalid track"),
    31950: ("warning", "Stream: malformed message"),
    31951: ("warning", "Stream: invalid message"),
    32015: ("warning", "Call terminated: maximum duration reached"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the debugger."""

    code: int
    level: str
    message: str
    detail: str
    call_sid: str
    stream_sid: str
    at_ns: int


class Debugger:
    """The newest entries; older ones fall off."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)

    def note(
        self, code: int, at_ns: int, *, detail: str = "", call_sid: str = "", stream_sid: str = ""
    ) -> None:
        """Add an entry.

        Raises:
            KeyError: the code is not one of `CODES`.
        """
        level, message = CODES[code]
        self._entries.append(Entry(code, level, message, detail, call_sid, stream_sid, at_ns))

    def entries(self) -> list[dict[str, object]]:
        """Return all entries, oldest first."""
        return [asdict(entry) for entry in self._entries]

    def of_call(self, call_sid: str) -> list[Entry]:
        """Return the entries of one call, newest first."""
        return [entry for entry in reversed(self._entries) if entry.call_sid == call_sid]

    def codes(self, call_sid: str = "") -> list[int]:
        """Return the codes of one call, or of all, oldest first."""
        return [e.code for e in self._entries if call_sid in ("", e.call_sid)]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
