"""Starting and stopping: what is wrong is told in words; a stop ends no call before its time."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calls.world import Customer, Phone, Process, World, eventually
from tests.valkey import ValkeyServer, free_port

pytestmark = pytest.mark.usefixtures("heeded_signals")


async def test_a_stop_lets_calls_finish_and_ends_them_at_the_deadline(
    new_world: Callable[..., World],
):
    world = new_world(
        CALLER_DRAIN_TIMEOUT_S="3", CALLER_START_TIMEOUT_S="30", CALLER_REFUNDS_DAY_MAX="5"
    )
    await asyncio.to_thread(world.start_gateway)
    customer, operator = await world.new_customer(), await world.new_operator()
    token = await customer.token()
    async with (
        customer.call() as leaver,
        customer.call() as stayer,
        customer.connect(token["media_url"]) as waiting,
    ):
        await leaver.wait("accept")
        await stayer.wait("accept")
        assert world.gateway is not None
        world.gateway.popen.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        await assert_draining(customer, operator, waiting, token)
        left = await leaver.hang_up()
        assert (left["cause"], left["ended_by"]) == (16, "caller")
        stayed = await stayer.wait("disconnect")
        assert (stayed["cause"], stayed["ended_by"]) == (502, "gateway")
        assert time.monotonic() - begun >= 2.9
        assert await stayer.wait_closed() == 1000
    # Not asked again: a second signal would end it at once.
    assert await asyncio.to_thread(world.gateway.popen.wait, 40) == 0
    assert "Traceback" not in world.gateway.log.read_text()
    await asyncio.to_thread(world.start_gateway)
    for ended in (left, stayed):
        record = await customer.record(ended["call_id"])
        assert (record["cause"], record["cost"]) == (ended["cause"], ended["cost"])
        state = await world.carrier_get(f"/calls/{record['carrier_call_id']}")
        assert state["status"] == "completed"

    # Who was cut off by us has it back, and reads why.
    async def refunds() -> list[dict]:
        lines = (await customer.http.get("/v1/ledger")).json()["lines"]
        return [line for line in lines if line["kind"] == "call-refund"]

    (refund,) = await eventually(refunds)
    assert (refund["call_id"], refund["amount"]) == (stayed["call_id"], stayed["cost"])
    assert "fault on our side" in refund["reason"]
    await customer.ordinary_call()
    await world.assert_books_balance()
    await customer.http.aclose()


async def assert_draining(
    customer: Customer, operator: dict[str, str], waiting: Phone, token: dict
) -> None:
    """A gateway that is stopping takes no new call, and says when to try again."""
    async with asyncio.timeout(5):
        while (await customer.http.get("/readyz")).status_code == 200:
            pass
    code, ready = await customer.world.readiness(operator)
    assert (code, ready["calls"]) == (503, "draining")
    reply = await customer.http.post("/v1/call-tokens", json={"destination": "+15005551000"})
    assert (reply.status_code, reply.json()["code"]) == (503, "gateway_draining")
    assert reply.headers["retry-after"]
    # Sockets are still taken while a call runs, for its caller may have lost one.
    async with customer.connect(token["media_url"]):
        pass
    await waiting.send(type="start", version=1, token=token["token"])
    assert await waiting.refused() == ("gateway_draining", 1012)


def to_group(world: World, number: int) -> None:
    os.killpg(gateway_of(world).popen.pid, number)


def to_each(world: World, number: int) -> None:
    """As systemd does: KillMode=control-group."""
    for pid in gateway_of(world).family():
        os.kill(pid, number)


def gateway_of(world: World) -> Process:
    assert world.gateway is not None
    return world.gateway


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="platform: looks into /proc")
@pytest.mark.parametrize(
    ("tell", "number", "code"),
    [
        (to_group, signal.SIGTERM, 0),
        (to_each, signal.SIGTERM, 0),
        (to_group, signal.SIGINT, 130),
        (to_each, signal.SIGHUP, 0),
    ],
)
async def test_a_signal_to_all_processes_takes_nothing_from_a_node_that_drains(
    new_world: Callable[..., World], tell: Callable[[World, int], None], number: int, code: int
):
    world = new_world(CALLER_DRAIN_TIMEOUT_S="10")
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    family = gateway_of(world).family()
    assert len(family) == 4, "the gateway, its Valkey, its drainer and its hasher of passwords"
    async with customer.call() as phone:
        await phone.wait("accept")
        tell(world, number)
        # Longer than a second: what is charged until the end needs the credit store.
        await phone.wait("cost", where=lambda event: event["seconds"] >= 4)
        assert all(alive(pid) for pid in family)
        ended = await phone.wait("disconnect")
        assert (ended["cause"], ended["ended_by"]) == (502, "gateway")
    assert await asyncio.to_thread(gateway_of(world).popen.wait, 40) == code
    assert not any(alive(pid) for pid in family)
    for line in gateway_of(world).log.read_text().splitlines():
        assert json.loads(line)["level"] in ("info", "warning"), line
    # What was booked before the end is there without another start.
    with contextlib.closing(sqlite3.connect(world.settings.data_dir / "caller.db")) as book:
        (row,) = book.execute("SELECT closed, spent_micros FROM calls").fetchall()
    assert row == (1, ended["cost"]["micros"])
    await customer.http.aclose()


async def test_a_second_signal_ends_the_calls_at_once_and_in_good_order(
    new_world: Callable[..., World],
):
    world = new_world(CALLER_DRAIN_TIMEOUT_S="600")
    await asyncio.to_thread(world.start_gateway)
    customer = await world.new_customer()
    async with customer.call() as phone:
        await phone.wait("accept")
        for _ in range(2):
            gateway_of(world).popen.send_signal(signal.SIGTERM)
            # Where both come at once the kernel delivers one.
            await phone.wait("draining")
        ended = await phone.wait("disconnect")
        assert (ended["cause"], ended["ended_by"]) == (502, "gateway")
    assert await asyncio.to_thread(gateway_of(world).popen.wait, 40) == 0
    events = [json.loads(line) for line in gateway_of(world).log.read_text().splitlines()]
    assert [line["event"] for line in events].count("call ended") == 1
    assert {line["level"] for line in events} <= {"info", "warning"}
    await customer.http.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="platform: looks into /proc")
async def test_a_node_that_is_killed_leaves_no_process(new_world: Callable[..., World]):
    world = new_world()
    await asyncio.to_thread(world.start_gateway)
    family = gateway_of(world).family()
    gateway_of(world).popen.kill()
    gateway_of(world).popen.wait()
    async with asyncio.timeout(30):
        while any(alive(pid) for pid in family):
            await asyncio.sleep(0.05)


async def start(world: World, **changes: str) -> tuple[int, str, float]:
    """Try to start a gateway; return its exit code, what it said and how long it took."""
    begun = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "serve",
        env={**world.environ, **changes},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(), time.monotonic() - begun


async def assert_refuses(world: World, code: int, *words: str, **changes: str) -> None:
    """The gateway ends with a code and a sentence that has these words, and no traceback."""
    found, text, elapsed_s = await start(world, **changes)
    assert found == code, text
    assert any(line["level"] == "error" for line in map(json.loads, text.splitlines()))
    assert "Traceback" not in text
    for word in words:
        assert word in text
    assert "hunter2" not in text
    assert elapsed_s < 40


async def test_wrong_settings_are_named(new_world: Callable[..., World], tmp_path: Path):
    world = new_world()
    deck = tmp_path / "deck.csv"
    deck.write_text("prefix,description\n1,two,three\n")
    await asyncio.gather(
        assert_refuses(world, 2, "CALLER_NONSENSE", "not a setting", CALLER_NONSENSE="1"),
        assert_refuses(
            world, 2, "CALLER_CALLS_MX", "Did you mean CALLER_CALLS_MAX", CALLER_CALLS_MX="1"
        ),
        assert_refuses(world, 2, "CALLER_CALLER_ID is missing", CALLER_CALLER_ID=""),
        assert_refuses(world, 2, "rate deck", CALLER_RATE_DECK=str(deck)),
    )


async def test_a_start_without_its_stores_fails_soon(
    new_world: Callable[..., World], tmp_path: Path
):
    world = new_world()
    fit, evicting = ValkeyServer(), ValkeyServer("--maxmemory-policy", "allkeys-lru")
    silent = socket.create_server(("127.0.0.1", 0))
    taken = socket.create_server(("127.0.0.1", 0))
    closed = f"127.0.0.1:{free_port()}"
    deaf = f"127.0.0.1:{silent.getsockname()[1]}"
    port = str(taken.getsockname()[1])
    no_file = f"sqlite:///{tmp_path / 'missing' / 'caller.db'}"
    no_server = f"postgresql://u:hunter2@{closed}/caller"
    redis, database = "CALLER_REDIS_URL", "CALLER_DATABASE_URL"
    try:
        fit.start()
        evicting.start()
        good = {redis: fit.url}
        await asyncio.gather(
            assert_refuses(world, 3, redis, **{redis: f"redis://{closed}"}),
            assert_refuses(world, 3, redis, **{redis: f"redis://{deaf}"}),
            assert_refuses(world, 3, "allkeys-lru", "noeviction", **{redis: evicting.url}),
            assert_refuses(world, 2, database, "folder", **good, **{database: no_file}),
            assert_refuses(world, 3, database, **good, **{database: no_server}),
            assert_refuses(world, 3, "CALLER_PORT", **good, CALLER_PORT=port),
        )
    finally:
        silent.close()
        taken.close()
        for server in (fit, evicting):
            server.close()
