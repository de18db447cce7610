"""Reads Server-Sent Events out of bytes, however they are split. Pure.

WHATWG HTML, 9.2.6 "Interpreting an event stream", but for the field `retry`: how long is waited
before a connection is made again is the client's own rule. Knows no connection and no event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

EVENT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of one event: twice what 20,000 calls take, which is the most that a gateway shows."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark, which a stream may begin with."""


class EventTooLongError(ValueError):
    """An event of more bytes than are read of one."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event."""

    type: str
    data: str
    id: str
    """The last that the stream has told, with this event or before it; empty before the first."""


class EventParser:
    """Takes the bytes of one response, in order."""

    def __init__(self, last_id: str = "", bytes_max: int = EVENT_BYTES_MAX) -> None:
        """Begin a response that goes on behind the event with this id."""
        self._bytes_max = bytes_max
        self._line = bytearray()
        """What there is so far of the line under way."""
        self._is_first = True
        self._after_return = False
        """Whether the bytes so far end with a CR, whose LF may yet come."""
        self._data = bytearray()
        """With an LF behind each line."""
        self._type = ""
        self._id = last_id

    def feed(self, part: bytes) -> list[ServerEvent]:
        """Return the events that some more bytes complete. Raises EventTooLongError.

        After that it is of no use any more.
        """
        if not part:
            return []
        begin = 1 if self._after_return and part[0] == 0x0A else 0
        self._after_return = part[-1] == 0x0D
        events: list[ServerEvent] = []
        for end in _LINE_END.finditer(part, begin):
            self._hold(part[begin : end.start()])
            begin = end.end()
            line = bytes(self._line)
            self._line.clear()
            if (event := self._take(line)) is not None:
                events.append(event)
        self._hold(part[begin:])
        return events

    def _hold(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + len(self._data) > self._bytes_max:
            raise EventTooLongError

    def _take(self, line: bytes) -> ServerEvent | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_MARK)
        if not line:
            return self._dispatch()
        # No byte of a longer character in UTF-8 is a colon, a space or the end of a line.
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data += value + b"\n"
            case b"event":
                self._type = _text(value)
            case b"id" if b"\0" not in value:
                self._id = _text(value)
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, kind = bytes(self._data), self._type
        self._data.clear()
        self._type = ""
        if not data:
            return None
        return ServerEvent(kind or "message", _text(data[:-1]), self._id)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
