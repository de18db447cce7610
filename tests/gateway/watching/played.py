"""Rows as nodes send them, and a screen that shows what it is sent; for tests of watching."""

from datetime import UTC, datetime, timedelta

import msgspec

from gateway.watching.rows import ENCODER, Batch, CallRow, Sound, Warned

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
SOUND = Sound(-30, -60, 40)


def row_of(call_id="c1", account_id="alice", **values):
    """Return the row of a call that is talked on, unless the test says otherwise."""
    usual = {
        "node": "n1",
        "key_id": "k1",
        "destination": "+15005551000",
        "country": "US",
        "origin": "https://shop.example",
        "state": "answered",
        "created_at": AT,
        "answered_at": AT,
        "currency": "USD",
        "per_minute_micros": 60_000,
    }
    return CallRow(id=call_id, account_id=account_id, **usual | values)


def ended_of(call_id="c1", account_id="alice", **values):
    """Return the row of a call that has ended after a minute."""
    usual = {"state": "ended", "ended_at": AT + timedelta(minutes=1), "ended_by": "caller"}
    return row_of(call_id, account_id, **usual | {"cause": 16, "seconds": 60} | values)


def batch_of(*rows, node="n1", sounds=(), warnings=()):
    """Return what a node says of its calls."""
    return Batch(node=node, calls=rows, sounds=dict(sounds), warnings=warnings)


def warned_of(event="carrier away", node="n1", at=AT):
    """Return a line of a node's log."""
    return Warned(at=at, node=node, level="warning", event=event)


def plain(value):
    """Return something as its JSON is read."""
    return msgspec.json.decode(ENCODER.encode(value))


def shown(*rows):
    """Return rows as a screen shows them: by id."""
    return {row.id: plain(row) for row in rows}


def events_in(text):
    """Read whole events of a stream: id, kind and data of each."""
    found = []
    for event in text.split(b"\n\n")[:-1]:
        fields = dict(line.split(b": ", 1) for line in event.split(b"\n") if line != b":")
        if fields:
            event_id = fields.get(b"id", b"").decode()
            found.append(
                (event_id, fields[b"event"].decode(), msgspec.json.decode(fields[b"data"]))
            )
    return found


class Screen:
    """`watching.feed.Stream`, and what the person in front of it sees.

    What is sent arrives at once, unless it stalls: then as many bytes as the test reads.
    """

    def __init__(self):
        self.on_close = lambda: None
        self.stalls = False
        self.handed_on = 0
        self.is_closed = self.is_aborted = False
        self.events = []
        self.texts = []
        """What was sent each time."""
        self.last_event_id = ""
        self.calls = {}
        self.nodes, self.warnings, self.samples, self.totals = [], [], {}, None
        self._sent = b""

    @property
    def is_behind(self):
        return self.stalls and bool(self._sent)

    def send(self, text):
        assert not self.is_closed
        self.texts.append(text)
        self._sent += text
        if not self.stalls:
            self.read()

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = self.is_aborted = True

    def read(self, count=None):
        """Show what has come; all of it, or as far as so many bytes go."""
        count = len(self._sent) if count is None else count
        self._arrived = getattr(self, "_arrived", b"") + self._sent[:count]
        self._sent = self._sent[count:]
        self.handed_on += 1
        whole = self._arrived.rfind(b"\n\n") + 2
        if whole > 1:
            for event in events_in(self._arrived[:whole]):
                self._show(*event)
            self._arrived = self._arrived[whole:]

    def comes_back(self):
        """Connect anew, as a browser does: what was on its way is lost."""
        self._sent = self._arrived = b""
        self.stalls = self.is_closed = self.is_aborted = False

    def _show(self, event_id, kind, data):
        self.events.append((kind, data))
        if kind == "end":
            assert not event_id
            return
        self.last_event_id = event_id
        if kind == "snapshot":
            self.calls, self.warnings, self.samples = {}, [], {}
        assert not {row["id"] for row in data.get("calls", ())} & set(data.get("gone", ()))
        self.calls |= {row["id"]: row for row in data.get("calls", ())}
        for call_id in data.get("gone", ()):
            self.calls.pop(call_id, None)
        self.warnings = [*self.warnings, *data.get("warnings", ())][-256:]
        self.samples |= {each["at"]: each for each in data.get("samples", ())}
        self.nodes = data.get("nodes", self.nodes)
        self.totals = data.get("totals", self.totals)
