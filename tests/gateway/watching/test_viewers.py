"""What nodes say, through a real store, to those who watch at another process."""

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import capture_logs

from billing.clock import utc_now
from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.fleet.roster import Roster
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.http.admin_routes import AdminRoutes
from gateway.http.app import create_app
from gateway.http.bearer import key_hash
from gateway.logs import formats
from gateway.logs.warnings_kept import WarningsKept
from gateway.nanoseconds import SECOND_NS
from gateway.scopes import PAGE
from gateway.sockets.engine import MediaEngine
from gateway.sockets.event_stream import EventStream
from gateway.sockets.one_port import create_server
from gateway.watching import viewers as watching_module
from gateway.watching.channel import Audience
from gateway.watching.live_feed import FleetFeedApi, OwnFeedApi
from gateway.watching.rows import decode, encode
from gateway.watching.speaker import SPEAKS_EVERY, Speaker
from gateway.watching.viewers import Watching
from gateway.watching.watch_channel import RedisWatchChannel
from tests.gateway.fleet.mailboxes import MemoryDirectory, facts_of
from tests.gateway.http.test_bearer import Account, Accounts, Epochs, authenticator
from tests.gateway.sockets.socket_peers import Peer
from tests.gateway.watching.played import Screen, batch_of, row_of

PATIENCE_S = 20
NUMBER = "+15005551000"
ALL = Audience(None)


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.005)


HSTS = {"Strict-Transport-Security": "max-age=1"}


class Heart:
    """A ticker that beats when the test says so."""

    def __init__(self):
        self.now_ns = 1_000 * SECOND_NS
        self.ticker = Ticker(lambda: self.now_ns)

    def beats(self, count=1):
        for _ in range(count):
            self.now_ns += SECOND_NS // BEATS_PER_SECOND
            self.ticker.beat(self.now_ns)


class Channel:
    """`RedisWatchChannel` whose store is as slow as the test says."""

    def __init__(self):
        self.said, self.is_away, self.fault = [], False, None
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def publish(self, message):
        await self.may_go_on.wait()
        if self.fault:
            raise self.fault
        self.said.append(decode(message))


class Node:
    """A process that speaks of calls."""

    def __init__(self, channel, name="n1"):
        self.heart, self.texts, self.taken = Heart(), [], 0
        self.channel = channel
        self.speaker = Speaker(name, channel, self.take)
        self.name = name

    def take(self):
        self.taken += 1
        texts, self.texts = self.texts, []
        return texts

    def has(self, *rows, **batch):
        self.texts.append(encode(batch_of(*rows, node=self.name, **batch)))

    async def speaks(self, beats=SPEAKS_EVERY):
        self.heart.beats(beats)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def logs():
    """Log as a deployed process does."""
    formats.configure("info", "json")
    return structlog.get_logger("gateway.test")


@pytest.fixture
async def node():
    node = Node(Channel())
    node.speaker.start(node.heart.ticker)
    yield node
    await node.speaker.stop()


# Who speaks.


async def test_a_node_speaks_five_times_a_second_if_there_is_anything_to_say_else_once(node):
    for _ in range(5):
        node.has(row_of())
        await node.speaks()
    assert [len(batch.calls) for batch in node.channel.said] == [1] * 5
    await node.speaks(BEATS_PER_SECOND)
    # So that who listens knows that there is nothing to hear.
    assert (node.taken, node.channel.said[5:]) == (10, [decode(encode(batch_of(node="n1")))])


async def test_a_slow_store_is_not_given_more_and_nothing_piles_up(node):
    node.has(row_of(state="ringing"))
    node.channel.may_go_on.clear()
    await node.speaks()
    for _ in range(20):
        await node.speaks()
    assert node.taken == 1
    node.channel.may_go_on.set()
    node.has(row_of(state="held"))
    await node.speaks(0)
    await node.speaks()
    assert [batch.calls[0].state for batch in node.channel.said] == ["ringing", "held"]


@pytest.mark.parametrize("fault", [StoreUnavailableError("away"), RuntimeError(NUMBER)])
async def test_what_cannot_be_said_is_dropped_and_speaking_goes_on(node, fault):
    with capture_logs() as lines:
        node.channel.fault = fault
        node.has(row_of())
        await node.speaks()
        node.channel.fault = None
        node.has(row_of(state="held"))
        await node.speaks()
    assert [batch.calls[0].state for batch in node.channel.said] == ["held"]
    expected = [] if isinstance(fault, StoreUnavailableError) else ["live calls not told"]
    assert [line["event"] for line in lines] == expected


async def test_warnings_of_a_process_are_its_fixed_words(node, logs):
    logging.getLogger().addHandler(node.speaker._warnings)
    logs.warning("callback refused", call_id="c1", number=NUMBER)
    logs.error("part failed", account="alice")
    await node.speaks()
    (batch,) = node.channel.said
    assert [(each.level, each.event, each.call_id, each.node) for each in batch.warnings] == [
        ("warning", "callback refused", "c1", "n1"),
        ("error", "part failed", "", "n1"),
    ]
    assert batch.node == "n1"
    assert "alice" not in repr(batch)
    assert NUMBER not in repr(batch)


async def test_who_stops_speaking_keeps_no_warnings_and_no_task(node, logs):
    node.channel.may_go_on.clear()
    node.has(row_of())
    await node.speaks()
    assert node.speaker._speaking is not None
    await node.speaker.stop()
    assert node.speaker._speaking.cancelled()
    assert not any(isinstance(each, WarningsKept) for each in logging.getLogger().handlers)


# Who watches.


class House:
    """A process that answers people, and beats when the test says so."""

    def __init__(self, redis, key="ck_alice"):
        self.heart, self.directory = Heart(), MemoryDirectory()
        self.accounts, self.epochs, self.key = Accounts(), Epochs(), key
        self.accounts.by_hash[key_hash(key)] = Account("alice", scopes=PAGE)
        self.roster = Roster(self.directory, facts_of().origin, None, lambda nodes: nodes[0])
        auth = authenticator(self.accounts, lambda: self.heart.now_ns)
        stores = SimpleNamespace(redis=redis, key_epochs=self.epochs, engine=None)
        self.watching = Watching(
            stores,
            self.roster,
            self.heart.ticker,
            answer_fields=HSTS,
        )
        live, routing = self.watching.live, AdminRoutes(auth, ())
        self.routes = [*OwnFeedApi(auth, live).routes(), *FleetFeedApi(routing, live).routes()]
        self.board, self.feed = self.watching.board, self.watching._feed

    def joins(self, audience=ALL):
        screen = Screen()
        self.feed.join(audience, "", screen, self.heart.now_ns, utc_now())
        return screen

    async def listens(self, channel):
        """Return once what is said is heard."""
        probe = encode(batch_of(row_of("probe", "nobody")))

        async with asyncio.timeout(PATIENCE_S):
            while self.board.row("probe") is None:
                try:
                    await channel.publish(probe)
                except StoreUnavailableError:
                    pass
                await asyncio.sleep(0.02)


@pytest.fixture
async def start(monkeypatch):
    """Start processes that watch; they are stopped in the end."""
    monkeypatch.setattr(watching_module, "RETRY_S", 0.02)
    monkeypatch.setattr(watching_module, "STANDS_S", 0.02)
    async with AsyncExitStack() as stack:

        def start(redis):
            house = House(redis)
            house.watching.start()
            stack.push_async_callback(house.watching.stop)
            return house

        yield start


async def test_calls_of_two_nodes_are_seen_within_a_second_at_two_processes(redis, start):
    channel = RedisWatchChannel(redis)
    houses = [start(redis), start(redis)]
    nodes = [Node(channel, name) for name in ("n1", "n2")]
    for house in houses:
        await house.listens(channel)
    screens = [house.joins(Audience("alice")) for house in houses]
    operators = [house.joins() for house in houses]
    for node in nodes:
        node.speaker.start(node.heart.ticker)
        node.has(row_of(f"at {node.name}", node=node.name), row_of("lie", node="n9"))
        node.has(row_of(f"b {node.name}", "bob", node=node.name))
        await node.speaks()
    for house in houses:
        await until(lambda house=house: len(house.board) == 5)
        # Totals of all are summed a few calls at a beat, and told with the next second.
        house.heart.beats(2 * BEATS_PER_SECOND)
    for screen in screens:
        assert set(screen.calls) == {"at n1", "at n2"}
    for operator in operators:
        assert set(operator.calls) == {"at n1", "at n2", "b n1", "b n2", "probe"}
        assert operator.totals["calls"] == 5
    for node in nodes:
        await node.speaker.stop()


async def test_a_node_that_is_silent_loses_its_calls_and_has_them_back(redis, start):
    channel, house = RedisWatchChannel(redis), start(redis)
    await house.listens(channel)
    house.directory.kept["n1"] = facts_of("n1")
    await house.roster.look()
    operator = house.joins()
    house.heart.beats(6 * BEATS_PER_SECOND)
    assert operator.calls["probe"]["state"] == "lost"
    assert [(each["node"], each["is_lost"]) for each in operator.nodes] == [("n1", False)]
    house.directory.kept.clear()
    await house.roster.look()
    await channel.publish(encode(batch_of(row_of("probe", "nobody"))))
    await until(lambda: house.board.row("probe").state == "answered")
    house.heart.beats(BEATS_PER_SECOND)
    assert operator.calls["probe"]["state"] == "answered"
    assert [(each["node"], each["is_lost"]) for each in operator.nodes] == [("n1", True)]


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe", b"[" * 50_000, f'{{"node":"{NUMBER}"'.encode(), b"x" * (1 << 21)]
)
async def test_what_is_not_understood_is_passed_over_and_said_once_without_it(
    redis, start, garbage
):
    channel, house = RedisWatchChannel(redis), start(redis)
    await house.listens(channel)
    with capture_logs() as lines:
        for n in range(3):
            await channel.publish(garbage)
            await channel.publish(encode(batch_of(row_of(f"c{n}"))))
        await until(lambda: house.board.row("c2") is not None)
    assert len(house.board) == 4
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("report of a node not understood", "warning")
    ]
    assert NUMBER not in repr(lines)


async def test_a_bug_does_not_blind_a_process_for_good(redis, start, monkeypatch):
    channel, house = RedisWatchChannel(redis), start(redis)
    await house.listens(channel)
    apply, faults = house.board.apply, [ZeroDivisionError(NUMBER)]

    def fail(*args):
        if faults:
            raise faults.pop()
        apply(*args)

    monkeypatch.setattr(house.board, "apply", fail)
    with capture_logs() as lines:
        async with asyncio.timeout(PATIENCE_S):
            while house.board.row("c1") is None:
                await channel.publish(encode(batch_of(row_of("c1"))))
                await asyncio.sleep(0.02)
        await until(lambda: not house.watching._is_failing)
    events = [line["event"] for line in lines]
    assert events == ["live calls cannot be watched", "live calls can be watched again"]


async def test_a_right_that_is_missing_is_named_once_until_it_is_given(own_valkey, start):
    own_valkey.command("ACL", "SETUSER", "caller", "resetchannels")
    redis = connect(own_valkey.url)
    with capture_logs() as lines:
        house = start(redis)
        await until(lambda: lines)
        # It has been tried again and again.
        await asyncio.sleep(0.5)
        (line,) = lines
        assert (line["event"], line["log_level"]) == ("live calls cannot be watched", "warning")
        assert "the user of CALLER_REDIS_URL lacks channels there" in line["reason"]
        own_valkey.command("ACL", "SETUSER", "caller", "&caller/watch/*")
        await house.listens(RedisWatchChannel(redis))
        await until(lambda: len(lines) > 1)
    assert [line["event"] for line in lines[1:]] == ["live calls can be watched again"]
    await house.watching.stop()
    await disconnect(redis)


async def test_a_server_that_cuts_off_again_and_again_is_one_outage(redis, start, monkeypatch):
    """As it does with whoever reads too slowly, and as a proxy does whose server is away."""
    monkeypatch.setattr(watching_module, "STANDS_S", PATIENCE_S)
    breaks = []

    class Broken(RedisWatchChannel):
        @asynccontextmanager
        async def listen(self):
            async with super().listen() as messages:
                breaks.append(True)
                yield self._cut(messages)

        async def _cut(self, messages):
            yield await anext(messages)
            raise StoreUnavailableError("cut off")

    monkeypatch.setattr(watching_module, "RedisWatchChannel", Broken)
    with capture_logs() as lines:
        start(redis)
        while len(breaks) < 10:
            await RedisWatchChannel(redis).publish(encode(batch_of(node="n1")))
            await asyncio.sleep(0.01)
    assert [line["event"] for line in lines] == ["live calls cannot be watched"]


async def test_a_store_that_is_killed_is_said_once_and_all_is_whole_when_it_is_back(
    own_valkey, start
):
    redis = connect(own_valkey.url)
    channel, house = RedisWatchChannel(redis), start(redis)
    await house.listens(channel)
    screen = house.joins(Audience("nobody"))
    with capture_logs() as lines:
        own_valkey.kill()
        await until(lambda: house.watching._is_failing)
        await asyncio.sleep(0.2)
        house.heart.beats(BEATS_PER_SECOND)
        assert set(screen.calls) == {"probe"}, "viewers keep what they see"
        own_valkey.start()
        await until(lambda: not house.watching._is_failing)
        async with asyncio.timeout(PATIENCE_S):
            while house.board.row("c1") is None:
                await channel.publish(encode(batch_of(row_of("c1", "nobody"))))
                await asyncio.sleep(0.02)
    house.heart.beats(BEATS_PER_SECOND)
    assert "c1" in screen.calls
    events = [line["event"] for line in lines]
    assert events == ["live calls cannot be watched", "live calls can be watched again"]
    await house.watching.stop()
    await disconnect(redis)


async def test_all_viewers_are_served_twice_a_second(redis, start):
    house = start(redis)
    screens = [house.joins() for _ in range(60)]
    house.heart.beats(BEATS_PER_SECOND // 2)
    for n in range(1, 3):
        house.board.apply(batch_of(row_of(f"c{n}")), house.heart.now_ns, utc_now())
        house.heart.beats(5)
        house.heart.beats(BEATS_PER_SECOND // 2)
        assert {len(screen.calls) for screen in screens} == {n}


async def test_what_nobody_looks_at_is_seen_to_once_a_second(redis, start, monkeypatch):
    house, summed, served = start(redis), [], []
    sum_up_some, viewers = house.board.sum_up_some, house.feed.viewers

    def count_sums(at):
        summed.append(at)
        return sum_up_some(at)

    def count_turns(turn):
        served.append(turn)
        return viewers(turn)

    monkeypatch.setattr(house.board, "sum_up_some", count_sums)
    monkeypatch.setattr(house.feed, "viewers", count_turns)
    house.board.apply(batch_of(row_of("c1", tags=("silence",))), house.heart.now_ns, utc_now())
    house.heart.beats(BEATS_PER_SECOND)
    assert house.board.silent_calls == 1, "alarms look at it"
    assert len(summed) == 2
    # At the beats of the sums, and at the one that begins a second.
    assert len(served) == 3
    house.joins()
    house.heart.beats(BEATS_PER_SECOND)
    assert len(summed) == 4
    assert len(served) == 3 + BEATS_PER_SECOND


async def test_who_stops_watching_closes_all_streams_and_listens_no_more(redis, start):
    house = start(redis)
    await house.listens(RedisWatchChannel(redis))
    screens = [house.joins() for _ in range(3)]
    with capture_logs() as lines:
        await house.watching.stop()
    assert all(screen.is_closed for screen in screens)
    assert house.watching._listening.done()
    assert lines == []


async def test_the_rights_of_viewers_are_looked_at_each_second(redis, start):
    house = start(redis)
    (task,) = house.watching.tasks()
    looked = house.watching.live._look
    task.start()
    await until(lambda: house.watching.live._look > looked)
    await task.stop()


async def test_a_viewer_watches_over_a_real_connection(redis, start):
    channel, house = RedisWatchChannel(redis), start(redis)
    engine = MediaEngine(lambda _request: None)
    app = create_app(house.routes)
    server = create_server(app, engine=engine, host="127.0.0.1", port=0, grace_s=3)
    await server.start()
    try:
        peer = await Peer.connect(server.port)
        head = f"GET /v1/live-feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\n\r\n"
        peer.send(head.encode())
        status, fields = await peer.head()
        assert (status, fields["content-type"]) == (200, "text/event-stream; charset=utf-8")
        async with asyncio.timeout(PATIENCE_S):
            assert b'"calls":[]' in await peer.reader.readuntil(b"\n\n")
            await house.listens(channel)
            await channel.publish(encode(batch_of(row_of("c1"))))
            await until(lambda: house.board.row("c1") is not None)
            house.heart.beats(BEATS_PER_SECOND)
            assert b'"id":"c1"' in await peer.reader.readuntil(b"\n\n")
        house.accounts.by_hash.clear()
        house.epochs.epoch += "."
        house.heart.now_ns += 10 * SECOND_NS
        for _ in range(5):
            await house.watching.live.look_at_rights()
        assert (await peer.end()).endswith(b'event: end\ndata: {"code":"unauthorized"}\n\n')
        await until(lambda: len(house.feed) == 0)
    finally:
        await server.stop()


class Written(asyncio.Transport):
    """Holds what is written."""

    def __init__(self):
        super().__init__()
        self.data = b""

    def write(self, data):
        self.data += data

    def resume_reading(self):
        """Read on."""

    def set_write_buffer_limits(self, high=None, low=None):
        """Take any."""


async def test_a_feed_answers_with_the_fields_of_every_answer(redis):
    transport = Written()
    stream = House(redis).watching.live.new_stream()
    assert isinstance(stream, EventStream)
    stream.connection_made(transport)
    head, _, rest = transport.data.partition(b"\r\n\r\n")
    assert b"\r\nStrict-Transport-Security: max-age=1\r\n" in head
    assert rest == b""
