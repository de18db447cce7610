"""Sends viewers what is new: one text for each audience, and a position in it for each viewer.

Pure: time is an argument, and a viewer is anything that takes bytes. Viewers are served in turns, a
part of them at each beat, so that a thousand are never served at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.nanoseconds import SECOND_NS
from gateway.sockets.stream import Stream
from gateway.watching.board import Board, News
from gateway.watching.channel import Audience, Channel, end_event
from gateway.watching.feed_events import FeedDelta, FeedSnapshot
from gateway.watching.rows import for_its_account
from gateway.watching.totals import Totals

TURNS: Final = 25
"""Parts of the viewers, each served in its turn: at 50 beats a second, all of them twice."""
VIEWERS_MAX: Final = 2000
"""Viewers of one process."""
ACCOUNT_VIEWERS_MAX: Final = 50
UNREAD_NS: Final = 60 * SECOND_NS
"""How long a viewer may read nothing of what it was sent."""
QUIET_NS: Final = 15 * SECOND_NS
"""How long a stream may be silent: proxies close what is idle for longer."""
KEPT_NS: Final = 30 * SECOND_NS
"""How long an audience outlives its last viewer, who may come back."""
AUDIENCES_MAX: Final = VIEWERS_MAX + 500
"""Including those without viewers."""


class FeedFullError(Exception):
    """No more viewers are accepted."""


class AccountFullError(FeedFullError):
    """No more viewers of this account are accepted."""


class _Room:
    """An audience that has viewers, or had some a moment ago."""

    __slots__ = (
        "audience",
        "channel",
        "empty_ns",
        "samples",
        "shows_call",
        "told_ns",
        "totals",
        "viewers",
    )

    def __init__(self, audience: Audience, channel: Channel, samples: int, now_ns: int) -> None:
        self.audience = audience
        self.channel = channel
        self.samples = samples
        """How many samples of its call were sent."""
        self.shows_call = False
        """Whether its viewers may see the one call that it is about."""
        self.totals: Totals | None = None
        self.told_ns = now_ns
        self.viewers = 0
        self.empty_ns = now_ns


class Viewer:
    """A viewer and its position."""

    __slots__ = ("behind_ns", "handed_on", "place", "room", "stream", "turn")

    def __init__(self, stream: Stream, room: _Room, place: int | None, turn: int) -> None:
        self.stream = stream
        self.room = room
        self.place = place
        """Number of the next text; None: a snapshot is due."""
        self.turn = turn
        self.behind_ns: int | None = None
        """Since when it has read nothing of what it was sent; None if it has read everything."""
        self.handed_on = 0


class Feed:
    """The viewers of one process."""

    def __init__(self, board: Board, epoch: str) -> None:
        """Serve viewers from a board; `epoch` is a name that no process had before."""
        self._board = board
        self._epoch = epoch
        self._rooms: dict[Audience, _Room] = {}
        self._made = 0
        self._turns: list[dict[Viewer, None]] = [{} for _ in range(TURNS)]
        self._of_account: Counter[str | None] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._turns))

    @property
    def is_watched(self) -> bool:
        """Whether there are viewers, or were a moment ago."""
        return bool(self._rooms)

    # Viewers come and go.

    def check_room(self, audience: Audience) -> None:
        """Raise FeedFullError if no more viewers are accepted."""
        if len(self) >= VIEWERS_MAX:
            raise FeedFullError
        # Operators are few, and hold a key that can do worse.
        account_id = audience.account_id
        if account_id is not None and self._of_account[account_id] >= ACCOUNT_VIEWERS_MAX:
            raise AccountFullError

    def join(
        self, audience: Audience, last_event_id: str, stream: Stream, now_ns: int, at: datetime
    ) -> Viewer:
        """Accept a viewer, and send it what it has missed. Raises FeedFullError."""
        self.check_room(audience)
        room = self._rooms.get(audience) or self._open(audience, now_ns)
        turn = min(range(TURNS), key=lambda each: len(self._turns[each]))
        viewer = Viewer(stream, room, room.channel.place_of(last_event_id), turn)
        self._turns[turn][viewer] = None
        self._of_account[audience.account_id] += 1
        room.viewers += 1
        self._serve(viewer, now_ns, at)
        return viewer

    def leave(self, viewer: Viewer, now_ns: int) -> None:
        """Forget a viewer whose connection has ended; repeating it is harmless."""
        if viewer not in self._turns[viewer.turn]:
            return
        del self._turns[viewer.turn][viewer]
        room = viewer.room
        room.viewers -= 1
        room.empty_ns = now_ns
        account_id = room.audience.account_id
        self._of_account[account_id] -= 1
        if not self._of_account[account_id]:
            del self._of_account[account_id]

    def end(self, viewer: Viewer, code: str) -> None:
        """Tell a viewer why, and close its stream for good."""
        viewer.stream.send(end_event(code))
        viewer.stream.close()

    def close(self) -> None:
        """Close all streams; browsers reconnect to any process that is there then."""
        for viewers in self._turns:
            for viewer in tuple(viewers):
                viewer.stream.close()

    def _open(self, audience: Audience, now_ns: int) -> _Room:
        if len(self._rooms) >= AUDIENCES_MAX:
            self._close_emptiest()
        if not self._rooms:
            # There is no one left to send it to, and a snapshot has it all.
            self._board.take_news()
        self._made += 1
        channel = Channel(f"{self._epoch}.{self._made}")
        _, samples = self._board.samples(audience.call_id or "", 0)
        room = self._rooms[audience] = _Room(audience, channel, samples, now_ns)
        if audience.account_id is not None and audience.call_id is None:
            self._board.watch(audience.account_id)
        return room

    def _close_emptiest(self) -> None:
        empty = [room for room in self._rooms.values() if not room.viewers]
        # There are fewer viewers than rooms.
        self._shut(min(empty, key=lambda room: room.empty_ns))

    def _shut(self, room: _Room) -> None:
        del self._rooms[room.audience]
        if room.audience.account_id is not None and room.audience.call_id is None:
            self._board.unwatch(room.audience.account_id)

    # What is new.

    def update(self, now_ns: int, at: datetime) -> None:
        """Make a text of what is new for each audience that it concerns; ten times a second."""
        news = self._board.take_news()
        if not (news and self._rooms):
            return
        for audience, content in self._addressed(news).items():
            if (room := self._rooms.get(audience)) is not None:
                self._add(room, content, now_ns, at)

    def _addressed(self, news: News) -> Mapping[Audience, dict[str, Any]]:
        """Return what is new by audience, in the form of a delta."""
        found: dict[Audience, dict[str, Any]] = {}

        def put(account_id: str | None, key: str, value: Any) -> None:
            found.setdefault(Audience(account_id), {}).setdefault(key, []).append(value)

        for row in news.calls.values():
            put(None, "calls", row)
            put(row.account_id, "calls", for_its_account(row))
        for call_id, account_id in news.gone.items():
            put(account_id, "gone", call_id)
            # It may belong to somebody else by now.
            if call_id not in news.calls:
                put(None, "gone", call_id)
        if news.warnings:
            found.setdefault(Audience(None), {})["warnings"] = news.warnings
        for key, rows in (("nodes", news.nodes), ("alarms", news.alarms)):
            if rows is not None:
                found.setdefault(Audience(None), {})[key] = rows
        return found

    def refresh(self, now_ns: int, at: datetime) -> Iterator[None]:
        """Send each audience its totals, or its call's samples; once a second, a room at a time."""
        for room in tuple(self._rooms.values()):
            if not room.viewers:
                # Shut meanwhile, it may have been opened again: that is another room.
                is_open = self._rooms.get(room.audience) is room
                if is_open and now_ns - room.empty_ns >= KEPT_NS:
                    self._shut(room)
                continue
            if room.audience.call_id is not None:
                self._tell_call(room, now_ns, at)
            else:
                totals = self._board.totals(room.audience.account_id, now_ns, at)
                if totals != room.totals:
                    room.totals = totals
                    self._add(room, {"totals": totals}, now_ns, at)
            if now_ns - room.told_ns >= QUIET_NS:
                room.channel.add_comment()
                room.told_ns = now_ns
            yield

    def _tell_call(self, room: _Room, now_ns: int, at: datetime) -> None:
        row, call_id = self._visible(room.audience), room.audience.call_id or ""
        if row:
            samples, room.samples = self._board.samples(call_id, room.samples)
            self._add(room, {"calls": row, "samples": samples}, now_ns, at)
        elif room.shows_call:
            self._add(room, {"gone": [call_id]}, now_ns, at)
        room.shows_call = bool(row)

    def _add(self, room: _Room, content: Mapping[str, Any], now_ns: int, at: datetime) -> None:
        room.channel.add("delta", FeedDelta(at=at, **content))
        room.told_ns = now_ns

    def _visible(self, audience: Audience) -> list[Any]:
        if audience.call_id is None:
            rows = list(self._board.rows(audience.account_id))
        else:
            row = self._board.row(audience.call_id)
            rows = [row] if row and audience.account_id in {None, row.account_id} else []
        return rows if audience.account_id is None else [for_its_account(each) for each in rows]

    # Output to viewers.

    def viewers(self, turn: int | None = None) -> list[Viewer]:
        """Return the viewers of a turn; all without one."""
        turns = self._turns if turn is None else [self._turns[turn % TURNS]]
        return [viewer for viewers in turns for viewer in viewers]

    def serve(self, viewer: Viewer, now_ns: int, at: datetime) -> None:
        """Send a viewer what it has not received; drop one that has read nothing for long."""
        if not viewer.stream.is_behind:
            viewer.behind_ns = None
            self._serve(viewer, now_ns, at)
        elif viewer.behind_ns is None or viewer.stream.handed_on != viewer.handed_on:
            viewer.behind_ns, viewer.handed_on = now_ns, viewer.stream.handed_on
        elif now_ns - viewer.behind_ns >= UNREAD_NS:
            viewer.stream.abort()

    def _serve(self, viewer: Viewer, now_ns: int, at: datetime) -> None:
        channel = viewer.room.channel
        texts = None if viewer.place is None else channel.after(viewer.place)
        if texts is None:
            texts = [channel.snapshot or channel.keep_snapshot(self._all(viewer, now_ns, at))]
        if texts:
            viewer.stream.send(b"".join(texts))
        viewer.place = channel.next

    def _all(self, viewer: Viewer, now_ns: int, at: datetime) -> FeedSnapshot:
        room, board = viewer.room, self._board
        account_id, call_id = room.audience
        is_for_operators = account_id is None and call_id is None
        rows = self._visible(room.audience)
        room.shows_call = room.shows_call or bool(rows)
        # The last one may come again after this: a reader stores samples by their time.
        samples = board.samples(call_id, 0)[0] if call_id and rows else []
        totals = None if call_id else room.totals or board.totals(account_id, now_ns, at)
        return FeedSnapshot(
            at=at,
            audience=room.audience.kind,
            calls=rows,
            totals=totals,
            nodes=board.nodes() if is_for_operators else [],
            alarms=board.alarms if is_for_operators else [],
            warnings=board.told_warnings() if is_for_operators else [],
            samples=samples,
        )
