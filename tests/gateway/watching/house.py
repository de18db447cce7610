"""A board, its feed, and the people in front of their screens; for tests of watching."""

from datetime import timedelta

from gateway.nanoseconds import SECOND_NS
from gateway.watching.board import Board
from gateway.watching.channel import Audience
from gateway.watching.feed import TURNS, Feed
from tests.gateway.watching.played import AT, Screen, batch_of, shown

ALL, ALICE, BOB = Audience(None), Audience("alice"), Audience("bob")


class House:
    """A board, its feed, and the people in front of their screens."""

    def __init__(self):
        self.board = Board()
        self.feed = Feed(self.board, "e1")
        self.now_ns = 1_000 * SECOND_NS
        self.at = AT
        self.viewers = {}

    def passes(self, seconds):
        self.now_ns += round(seconds * SECOND_NS)
        self.at += timedelta(seconds=seconds)
        self.board.sweep(self.now_ns)

    def hears(self, *rows, **batch):
        self.board.apply(batch_of(*rows, **batch), self.now_ns, self.at)

    def joins(self, audience, screen=None, last_event_id=None):
        """Let somebody look, or come back."""
        screen = screen or Screen()
        last = screen.last_event_id if last_event_id is None else last_event_id
        self.viewers[screen] = self.feed.join(audience, last, screen, self.now_ns, self.at)
        return screen

    def leaves(self, screen):
        self.feed.leave(self.viewers.pop(screen), self.now_ns)

    def tells(self):
        """Make texts of what is new, and serve everybody."""
        self.feed.update(self.now_ns, self.at)
        self.serves()

    def serves(self):
        open_ones = {screen for screen in self.viewers if not screen.is_closed}
        for turn in range(TURNS):
            for viewer in self.feed.viewers(turn):
                if viewer.stream in open_ones:
                    self.feed.serve(viewer, self.now_ns, self.at)

    def refreshes(self):
        for _ in range(self.board.__len__() // 200 + 2):
            self.board.sum_up_some(self.at)
        for _ in self.feed.refresh(self.now_ns, self.at):
            pass
        self.serves()

    def visible(self, audience):
        rows = self.board.rows(audience.account_id)
        return shown(*(row for row in rows if audience.call_id in {None, row.id}))
