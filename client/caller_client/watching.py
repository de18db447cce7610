"""Decides what a stream is asked with, what its events are, and when it is asked for again. Pure.

A stream that broke off is gone on with behind the last event that came whole. Knows no connection,
no clock and no chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from caller_client.errors import CallerError, UnexpectedAnswerError
from caller_client.event_stream import EventParser, EventTooLongError, ServerEvent
from caller_client.exchange import UNREADABLE, Wish, wait_before_repeat

RETRIES: Final = 10
"""Failures in a row after which a stream that has been open is given up: two minutes and more."""
STEADY_S: Final = 10.0
"""A connection that ends sooner is one failure more, whatever came by it."""
SILENCE_S_MAX: Final = 40.0
"""A gateway says something every 15 seconds at least; two of those may be late."""
EVENT_STREAM: Final = "text/event-stream"
END: Final = "end"
"""Name of the event after which a gateway closes a stream for good."""
_ID_CHARS_MAX: Final = 256


class Watch:
    """One stream over all of its connections."""

    def __init__(self, wish: Wish, retries: int) -> None:
        """Take what is asked for, and how often it is asked again while it has never been open."""
        self._wish = wish
        self._retries = retries
        self._failures = 0
        self._last_id = ""
        self._parser = EventParser()
        self._is_open = False
        """Whether the connection has brought an event."""
        self.is_over = False
        """Whether the gateway has said that it closes the stream for good."""

    @property
    def headers(self) -> dict[str, str]:
        """What the next request is sent with, beside the key."""
        headers = self._wish.headers | {"Accept": EVENT_STREAM}
        return headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})

    def connect(self) -> None:
        """Begin another connection."""
        self._parser = EventParser(self._last_id)
        self._is_open = self.is_over = False

    def check(self, status: int, headers: Mapping[str, str]) -> None:
        """Raise UnexpectedAnswerError for a success that is no stream."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        # Compressed although that was not asked for, its bytes would be no events.
        if kind != EVENT_STREAM or headers.get("content-encoding", "identity") != "identity":
            raise UnexpectedAnswerError(status)

    def take(self, part: bytes) -> Iterator[Any]:
        """Yield what some more bytes say, up to the event that ends the stream.

        Raises UnexpectedAnswerError for events that are not of this API. Those of another name are
        passed over: a newer gateway may have more.
        """
        try:
            events = self._parser.feed(part)
        except EventTooLongError:
            raise UnexpectedAnswerError(200) from None
        for event in events:
            shape = self._wish.events.get(event.type)
            if shape is not None:
                content = _content(event, shape)
                self._is_open = True
                if event.type == END:
                    self.is_over = True
                    return
            is_plain = event.id.isascii() and event.id.isprintable()
            self._last_id = event.id if is_plain and len(event.id) <= _ID_CHARS_MAX else ""
            if shape is not None:
                yield content

    def wait_after(self, error: CallerError, lasted_s: float, chance: float) -> float:
        """Return after how many seconds the stream is asked for again.

        Args:
            error: What ended the connection.
            lasted_s: How long that was there.
            chance: 0 to 1: those who were cut off together do not come back together.

        Raises:
            CallerError: `error`, where that would not help or has not helped so far.

        """
        if self._is_open:
            self._retries = max(self._retries, RETRIES)
            if lasted_s >= STEADY_S:
                self._failures = 0
        wait_s = wait_before_repeat(self._wish, error, self._failures)
        if wait_s is None or self._failures >= self._retries:
            raise error
        self._failures += 1
        # Who may watch no more is told why by the answer to one request more.
        if self.is_over and self._failures == 1:
            return 0.0
        return wait_s * (1 + chance / 4)


def _content(event: ServerEvent, shape: Any) -> Any:
    try:
        return msgspec.json.decode(event.data, type=shape)
    except UNREADABLE:
        raise UnexpectedAnswerError(200) from None
