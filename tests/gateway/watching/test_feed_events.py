"""Events of the feed as they stand in the stream."""

import msgspec
import pytest

from gateway.watching.channel import Channel, end_event
from gateway.watching.feed_events import EVENTS, FeedDelta, FeedEnd
from tests.gateway.watching.played import AT, events_in


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, {}), ({"gone": ["c1"]}, {"gone": ["c1"]}), ({"nodes": []}, {"nodes": []})],
)
def test_a_delta_has_only_what_is_new(more, told):
    text = msgspec.json.encode(FeedDelta(at=AT, **more))
    assert msgspec.json.decode(text) == {"at": "2026-11-28T12:00:00Z"} | told


def test_each_event_is_of_a_shape_that_is_declared():
    channel = Channel("e1")
    channel.add("delta", FeedDelta(at=AT, gone=["c1"]))
    texts = [*channel.after(0), end_event("unauthorized")]
    read = [msgspec.convert(data, EVENTS[kind]) for _, kind, data in events_in(b"".join(texts))]
    assert read == [FeedDelta(at=AT, gone=["c1"]), FeedEnd(code="unauthorized")]
