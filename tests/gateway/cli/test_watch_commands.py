"""`caller top` and `caller calls tail`, of nodes that are played here and a store that is real."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from gateway.cli import top
from gateway.errors import EXIT_INTERRUPTED
from gateway.roles import following
from gateway.roles.following import open_following
from gateway.roles.storage import open_redis_alone
from gateway.settings_variables import from_mapping
from gateway.stores.node_facts import RedisNodeDirectory
from gateway.watching.alarm_store import RedisAlarms
from gateway.watching.alarms import Alarm
from gateway.watching.history import Minute
from gateway.watching.minute_store import RedisMinutes
from gateway.watching.rows import encode
from gateway.watching.watch_channel import RedisWatchChannel
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.watching.played import batch_of, ended_of, row_of

PATIENCE_S = 30


class Played:
    """What nodes say, and a command beside them."""

    def __init__(self, tmp_path, url, redis, server):
        self.environ = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": url}
        self.redis, self.server = redis, server
        self.channel = RedisWatchChannel(redis)

    async def says(self, *rows, **batch):
        await self.channel.publish(encode(batch_of(*rows, **batch)))

    @contextlib.asynccontextmanager
    async def command(self, *arguments):
        kept = {name: value for name, value in os.environ.items() if name[:7] != "CALLER_"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            env={**kept, **self.environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
def played(tmp_path, valkey_url, valkey_server, redis, monkeypatch):
    monkeypatch.setattr("gateway.stores.node_facts.LAPSES_MS", 60_000)
    return Played(tmp_path, valkey_url, redis, valkey_server)


async def until_heard(server):
    """Return once somebody listens."""
    async with asyncio.timeout(PATIENCE_S):
        while not server.command("PUBSUB", "NUMSUB", "caller/watch/1").endswith(b":1\r\n"):
            await asyncio.sleep(0.05)


@pytest.mark.thorough
async def test_each_change_of_a_call_is_one_line(played):
    async with played.command("calls", "tail", "--account", "alice", "--json") as process:
        await until_heard(played.server)
        await played.says(row_of("c1", "alice", state="ringing"))
        # What changes between two looks is one change: the next comes once this is seen.
        lines = [json.loads(await process.stdout.readline())]
        await played.says(row_of("c1", "alice", state="ringing", mos=3.0))
        await played.says(row_of("c2", "bob", state="ringing"))
        await played.says(ended_of("c1", "alice"))
        lines.append(json.loads(await process.stdout.readline()))
        assert [line["id"] for line in lines] == ["c1", "c1"]
        assert [line["state"] for line in lines] == ["ringing", "ended"]
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        assert (await process.wait(), rest) == (EXIT_INTERRUPTED, b"")


async def test_the_table_is_shown_once_where_there_is_no_terminal(played):
    await RedisNodeDirectory(played.redis).write(facts_of("n1", calls=1))
    standing = Alarm(
        rule="node_lost", subject="n9", title="Node n9 is gone.", value=1, unit="", since_s=0
    )
    await RedisAlarms(played.redis, "process").write([standing])
    noted = minute(datetime.now(UTC).replace(second=0, microsecond=0), begun=3)
    assert await RedisMinutes(played.redis).add(noted)
    async with played.command("top", "--once") as process:
        await until_heard(played.server)
        await played.says(row_of("c1", "alice", state="answered"), ended_of("c2", "alice"))
        said = (await process.stdout.read()).decode()
        assert await process.wait() == 0
    assert re.search(r"1 calls", said)
    figures = f"at {noted.at:%H:%M}: 3 begun a minute ASR 50 % PDD 125 ms"
    assert figures in " ".join(said.split()), "it has not listened for long"
    assert "raised: Node n9 is gone." in " ".join(said.split())
    assert any({"c1", "answered"} <= set(line.split()) for line in said.splitlines())
    assert "c2" not in said.split()


async def test_what_is_known_stays_while_the_store_is_away_and_goes_on_when_it_is_back(
    played, own_valkey, monkeypatch
):
    monkeypatch.setattr(following, "RETRY_NS", 0)
    settings = from_mapping({**played.environ, "CALLER_REDIS_URL": own_valkey.url})
    async with open_following(settings) as followed, open_redis_alone(settings) as redis:
        channel, nodes = RedisWatchChannel(redis), RedisNodeDirectory(redis)
        await nodes.write(facts_of("n1"))
        await channel.publish(b"garbage")
        await channel.publish(encode(batch_of(row_of("c1", "alice"))))
        news = await _until(followed, lambda news: "c1" in news.calls)
        assert news.calls["c1"].account_id == "alice"
        assert "Valkey" not in drawn(followed, 3)
        own_valkey.kill()
        await _until(followed, lambda _news: followed.away_since is not None)
        since = followed.away_since
        shown = " ".join(drawn(followed, 3).split())
        assert f"Valkey has not answered since {since:%H:%M:%S} UTC" in shown
        assert {"c1", "n1"} <= set(shown.split())
        # However long nobody could speak of it, and with a store that has forgotten its node.
        monkeypatch.setattr("gateway.watching.board.LOST_NS", 0)
        await followed.look()
        assert followed.away_since == since
        own_valkey.start()
        await _until(followed, lambda _news: followed.away_since is None)
        await channel.publish(encode(batch_of(row_of("c2", "alice"))))
        news = await _until(followed, lambda news: "c2" in news.calls)
        assert "lost" not in drawn(followed, 3)


@pytest.mark.thorough
async def test_a_tail_says_once_that_the_store_is_away_and_once_that_it_is_back(played, own_valkey):
    played.environ["CALLER_REDIS_URL"] = own_valkey.url
    settings = from_mapping(played.environ)
    async with (
        open_redis_alone(settings) as redis,
        played.command("calls", "tail") as process,
        asyncio.timeout(PATIENCE_S),
    ):
        await until_heard(own_valkey)
        # A store that is away before the first look ends the command: one row shows that it looked.
        channel = RedisWatchChannel(redis)
        await channel.publish(encode(batch_of(row_of("c0", "alice"))))
        assert b"c0" in await process.stdout.readline()
        own_valkey.pause()
        said = await process.stdout.readline()
        assert re.match(rb"Valkey has not answered since \d\d:\d\d:\d\d UTC", said)
        await asyncio.sleep(3)
        own_valkey.resume()
        assert await process.stdout.readline() == b"Valkey answers again.\n"
        await channel.publish(encode(batch_of(row_of("c1", "alice"))))
        assert b"c1" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (await process.stdout.read(), await process.wait()) == (b"", EXIT_INTERRUPTED)


async def _until(followed, is_so):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            news = await followed.look()
            if is_so(news):
                return news
            await asyncio.sleep(0.05)


def drawn(played_board, calls_max, at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC), width=120):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(top.screen(played_board, at, calls_max))
    console.file.close()
    return console.export_text()


def played_board(redis):
    alarms, minutes = RedisAlarms(redis, "nobody"), RedisMinutes(redis)
    return following.LiveCallFollowing(RedisWatchChannel(redis), None, alarms, minutes)


async def test_as_many_calls_are_shown_as_there_is_room_for_and_names_are_no_markup(redis):
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    followed = played_board(redis)
    rows = [row_of(f"c{n}", "[red]x[/red]", state="answered") for n in range(5)]
    followed.board.apply(batch_of(*rows), 1, at)
    text = drawn(followed, 3, at + timedelta(seconds=1))
    assert "2 more calls." in text
    assert "[red]x[/red]" in text
    assert "No call is live." in drawn(played_board(redis), 3)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (80, {"answered", "+15005551000", "0:01", "silence"}),
        (60, {"answered", "+15005551000"}),
        (40, {"answered"}),
        (24, set()),
    ],
)
async def test_what_ends_a_call_can_be_typed_however_narrow_the_terminal_is(redis, width, words):
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    followed, account = played_board(redis), f"acc-with-a-name-{'x' * 60}"
    call_id, node = "7ixox3k2m5q8r1t4v7w0zb", f"node-{'n' * 12}"
    wide = row_of(call_id, account, node=node, created_at=at, answered_at=at, tags=("silence",))
    followed.board.apply(batch_of(wide, node=node), 1, at)
    followed.board.see_nodes([facts_of(node, calls=1)], 1)
    lines = drawn(followed, 3, at + timedelta(seconds=1), width).splitlines()
    (said,) = [line.split() for line in lines if call_id in line]
    assert words <= set(said)
    assert any(each.startswith("acc-") and each.endswith("…") for each in said) == (width >= 80)
    assert any(node in line.split() for line in lines)


def minute(at, **values):
    figures = {"calls": 1, "begun": 6, "spend_micros_per_minute": {}, "acd_s": None, "mos": None}
    known = {"asr_percent": 50, "pdd_ms": 125, "rtt_p95_ms": None, "talk_percent": None}
    return Minute(at=at, **figures | known | values)


async def test_what_was_before_it_listened_is_what_a_process_that_serves_wrote_down(
    redis, monkeypatch
):
    at = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
    followed = played_board(redis)
    followed.board.apply(batch_of(row_of("c1", created_at=at)), time.monotonic_ns(), at)
    ended = ended_of("c2", created_at=at, answered_at=at, ended_at=at, pdd_ms=1000)
    followed.board.apply(batch_of(ended), time.monotonic_ns(), at)

    def said():
        return (
            " ".join(drawn(followed, 3, at).split()).partition(" MOS - ")[2].partition(" node")[0]
        )

    assert said() == "- begun a minute ASR - PDD -"
    followed.minute = minute(at - timedelta(minutes=1))
    assert said() == "at 11:59: 6 begun a minute ASR 50 % PDD 125 ms"
    for seconds, then in (
        (59.9, "at 11:59: 6 begun a minute ASR 50 % PDD 125 ms"),
        (60, "2 begun a minute at 11:59: ASR 50 % PDD 125 ms"),
        (899.9, "2 begun a minute at 11:59: ASR 50 % PDD 125 ms"),
        (900, "2 begun a minute ASR 100 % PDD 1125 ms"),
    ):
        monkeypatch.setattr(followed, "listened_s", lambda seconds=seconds: seconds)
        assert said() == then
    monkeypatch.setattr(followed, "listened_s", lambda: 0)
    followed.minute = minute(at - timedelta(minutes=3))
    assert said() == "- begun a minute ASR - PDD -"


async def test_it_is_known_how_long_nothing_was_missed(played, own_valkey, monkeypatch):
    monkeypatch.setattr(following, "RETRY_NS", 0)
    settings = from_mapping({**played.environ, "CALLER_REDIS_URL": own_valkey.url})
    async with open_following(settings) as followed:
        since_ns = followed.listens_since_ns
        assert 0 < followed.listened_s() < PATIENCE_S
        own_valkey.kill()
        await _until(followed, lambda _news: followed.away_since is not None)
        own_valkey.start()
        await _until(followed, lambda _news: followed.away_since is None)
        assert followed.listens_since_ns > since_ns
