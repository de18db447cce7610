"""A machine of several processes behind one port, without a proxy: `caller serve --media`."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.errors import EXIT_FINDINGS, EXIT_INTERRUPTED
from tests.calls.world import Customer, Process, World, eventually

pytestmark = pytest.mark.thorough

NODES = ("n1-1", "n1-2")


class Machine(World):
    """A world whose gateway is a machine of two nodes."""

    def start_gateway(self) -> None:
        self.gateway = Process(["serve", "--media", "2"], self.environ, self.folder / "gateway.log")
        self.gateway.wait_for(self.base + "/healthz")

    def pids(self, role: str) -> list[int]:
        """Return the process ids of a role: "web", "drain", or a node."""
        assert self.gateway is not None
        return [pid for pid in self.gateway.family() if role in _roles(pid)]


def _roles(pid: int) -> tuple[str, ...]:
    """Return what a process is called: its command, and the node that it is."""
    with contextlib.suppress(OSError):
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "gateway" not in arguments or "--child" not in arguments:
            return ()
        role = arguments[arguments.index("gateway") + 1]
        environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
        node = next((e.partition("=")[2] for e in environ if e.startswith("CALLER_NODE=")), "")
        return (role, node) if role == "media" else (role,)
    return ()


@pytest.fixture
async def house(new_world: Any) -> AsyncIterator[tuple[Machine, Customer]]:
    """A machine whose both nodes are known to its pages, and a customer."""
    world = new_world(Machine)
    world.start_gateway()
    customer = await world.new_customer(100_000_000)
    await takes_calls(customer)
    yield world, customer
    await customer.http.aclose()


async def takes_calls(customer: Customer, nodes: Collection[str] = NODES) -> None:
    """Return once new calls are sent to all of these nodes."""
    seen: set[str] = set()

    async def admitted() -> bool:
        reply = await customer.http.post("/v1/call-tokens", json={"destination": "+15005551000"})
        if reply.status_code == 201:
            seen.add(reply.json()["media_url"].split("/")[4])
        return seen.issuperset(nodes)

    await eventually(admitted, 40)


async def on_node(customer: Customer, node: str) -> dict[str, Any]:
    """Return a media URL and token of a node, by asking until it is chosen."""
    while True:
        token = await customer.token()
        if f"/n/{node}/" in token["media_url"]:
            return token


@contextlib.asynccontextmanager
async def call_on(customer: Customer, node: str) -> AsyncIterator[Any]:
    token = await on_node(customer, node)
    async with customer.connect(token["media_url"]) as phone:
        await phone.send(type="start", version=1, token=token["token"])
        await phone.wait("accept")
        yield phone


async def test_calls_are_made_charged_and_recorded_on_both_nodes(house: Any) -> None:
    world, customer = house
    found = set()
    while found != set(NODES):
        record = await customer.ordinary_call()
        found.add(record["node"])
    code, ready = await world.readiness(await world.new_operator())
    assert (code, ready["status"], ready["nodes"]) == (200, "ok", "ok"), ready
    assert world.gateway.terminate() == 0, world.gateway.log.read_text()
    said = world.gateway.log.read_text()
    assert '"level": "error"' not in said
    written = [json.loads(line) for line in said.splitlines()]
    assert {line.get("node") or line["role"] for line in written} >= {*NODES, "supervisor"}


async def test_no_frame_is_lost_while_the_pages_stand_still_or_die(house: Any) -> None:
    world, customer = house
    async with call_on(customer, "n1-1") as phone:
        (web,) = world.pids("web")
        stopped = len(phone.frames)
        os.kill(web, signal.SIGSTOP)
        await asyncio.sleep(0.3)
        os.kill(web, signal.SIGCONT)
        # The echo's frames come at fifty a second, whatever web does.
        await phone.wait_frames(stopped + 25)
        os.kill(web, signal.SIGKILL)
        killed = len(phone.frames)
        # Asked for while nobody accepts: the kernel keeps it, and nothing is refused.
        async with httpx.AsyncClient(base_url=world.base, timeout=60) as client:
            assert (await client.get("/healthz")).status_code == 200
        await phone.wait_frames(killed + 25)
        assert (await phone.hang_up())["cause"] == 16
    assert world.pids("web") != [web]
    await takes_calls(customer)
    await customer.ordinary_call()
    assert world.gateway.terminate() == 0


async def test_a_node_that_is_killed_costs_its_own_calls_only_and_comes_back(house: Any) -> None:
    world, customer = house
    async with call_on(customer, "n1-1") as lost, call_on(customer, "n1-2") as other:
        lost_id, other_id = [
            await customer.carrier_call_id((await phone.wait("ready"))["call_id"])
            for phone in (lost, other)
        ]
        for carrier_call_id in (lost_id, other_id):
            await eventually(partial(world.is_streaming, carrier_call_id))
        (node,) = world.pids("n1-1")
        os.kill(node, signal.SIGKILL)
        await lost.wait_closed()
        await eventually(lambda: world.is_over(lost_id), 20)
        # Nobody who was on the phone heard an error: what follows the stream was answered.
        assert await world.carrier_complaints(lost_id) == [31903]
        assert await world.carrier_complaints(other_id) == []
        # At once: nobody is there, and the pages answer for it.
        async with httpx.AsyncClient(base_url=world.base) as client:
            reply = await client.post("/n/n1-1/twilio/status/abc")
            assert (reply.status_code, reply.json()["code"]) == (403, "bad_signature")
        heard = len(other.frames)
        await other.wait_frames(heard + 25)
        assert (await other.hang_up())["cause"] == 16
    await eventually(lambda: _is_another(world, node), 40)
    # By what the killed one has last said of itself, it would be chosen for another three seconds.
    await takes_calls(customer)
    await customer.ordinary_call()
    # What the killed one held is settled by its successor.
    await world.assert_books_balance()
    assert world.gateway.terminate() == 0


async def _has_confirmed(world: Machine, call_id: str) -> bool:
    async with world.stores() as stores:
        calls = await stores.gate.open_calls()
    return any(call.call_id == call_id and call.seconds for call in calls)


async def _is_another(world: Machine, node: int) -> bool:
    """Whether the node has a process again."""
    return world.pids("n1-1") not in ([], [node])


@pytest.fixture
def kept(house: Any) -> Iterator[http.client.HTTPConnection]:
    world, _ = house
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=30)
    yield connection
    connection.close()


def ask(kept: http.client.HTTPConnection, method: str, path: str) -> tuple[int, str]:
    kept.request(method, path)
    reply = kept.getresponse()
    reply.read()
    return reply.status, reply.headers.get("connection", "")


async def test_a_kept_connection_reaches_the_owner_of_each_request(house: Any, kept: Any) -> None:
    _, customer = house

    def mix() -> list[tuple[int, str]]:
        asked = [ask(kept, "GET", "/healthz"), ask(kept, "GET", "/sign-in")]
        # Handed over on the same connection, whose answer says that it was the last.
        asked.append(ask(kept, "POST", "/n/n1-1/twilio/status/abc"))
        # http.client connects anew by itself.
        asked.append(ask(kept, "GET", "/healthz"))
        asked.append(ask(kept, "POST", "/n/n1-2/twilio/status/abc"))
        asked.append(ask(kept, "GET", "/n/n1-3/media/browser"))
        asked.append(ask(kept, "POST", "/n/elsewhere/twilio/status/abc"))
        asked.append(ask(kept, "GET", "/n/n1-1/media/browser"))
        return asked

    answers = await asyncio.to_thread(mix)
    statuses = [status for status, _ in answers]
    # Unsigned, the callbacks are refused: by the node, and by web for one that is not there.
    assert statuses == [200, 200, 403, 200, 403, 426, 403, 426], answers
    assert answers[2][1] == "close"
    token = await on_node(customer, "n1-1")
    with pytest.raises(Exception, match="404"):
        async with customer.connect(token["media_url"].replace("n1-1", "n1-3")):
            pass
    await customer.ordinary_call()


async def test_a_head_that_comes_byte_by_byte_finds_its_node(house: Any) -> None:
    world, _ = house

    def drip(request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", world.port), timeout=30) as peer:
            for byte in request:
                peer.sendall(bytes([byte]))
                time.sleep(0.002)
            answer = b""
            while part := peer.recv(4096):
                answer += part
            return answer

    request = b"POST /n/n1-2/twilio/status/abc HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b"
    assert (await asyncio.to_thread(drip, request)).startswith(b"HTTP/1.1 403")
    request = b"GET /n/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await asyncio.to_thread(drip, request)).startswith(b"HTTP/1.1 404")


async def test_idle_connections_neither_stop_calls_nor_stay(house: Any) -> None:
    world, customer = house
    with contextlib.ExitStack() as crowd:
        for number in range(400):
            idle = socket.create_connection(("127.0.0.1", world.port), timeout=10)
            crowd.enter_context(idle)
            idle.sendall((b"", b"GET /n/n1-1/media/bro", b"POST /n/n1-2/twi", b"G")[number % 4])
        await customer.ordinary_call()
        # Each is ended by who holds it: within five seconds in web, or five more in a node.
        idle.settimeout(30)
        assert await asyncio.to_thread(idle.recv, 1) == b""
    await customer.ordinary_call()


async def test_nodes_drain_while_the_pages_stay(house: Any) -> None:
    world, customer = house
    async with call_on(customer, "n1-2") as phone:
        world.gateway.popen.send_signal(signal.SIGTERM)
        await eventually(lambda: _refused(customer), 20)
        call_id = (await phone.wait("ready"))["call_id"]
        shown = await customer.http.get(f"/v1/calls/{call_id}")
        assert shown.status_code == 200
        assert len(world.pids("n1-2")) == 1
        heard = len(phone.frames)
        await phone.wait_frames(heard + 25)
        assert (await phone.hang_up())["cause"] == 16
    assert world.gateway.terminate() == 0, world.gateway.log.read_text()
    assert world.gateway.family() == [world.gateway.popen.pid]


async def _refused(customer: Customer) -> bool:
    reply = await customer.http.post("/v1/call-tokens", json={"destination": "+15005551000"})
    return reply.status_code == 503


@pytest.fixture
async def patient_house(new_world: Any) -> AsyncIterator[tuple[Machine, Customer]]:
    """One whose calls have longer than a busy machine needs, before a drain ends them."""
    world = new_world(Machine, CALLER_DRAIN_TIMEOUT_S="300")
    world.start_gateway()
    customer = await world.new_customer(100_000_000)
    await takes_calls(customer)
    yield world, customer
    await customer.http.aclose()


def restart(world: Machine, node: str, name: str = "restart") -> Process:
    return Process(["nodes", "restart", node], world.environ, world.folder / f"{name}.log")


async def says(process: Process, text: str) -> bool:
    said = process.log.read_text()
    assert process.popen.poll() is None, said
    return text in said


async def has_ended(process: Process) -> bool:
    return process.popen.poll() is not None


async def new_calls_go_to(customer: Customer, node: str) -> None:
    """Return once no new call is sent to another node."""

    async def only() -> bool:
        urls = [(await customer.token())["media_url"] for _ in range(12)]
        return all(f"/n/{node}/" in url for url in urls)

    await eventually(only, 20)


async def test_a_node_is_restarted_and_no_call_is_cut(patient_house: Any) -> None:
    world, customer = patient_house
    async with call_on(customer, "n1-1") as first, call_on(customer, "n1-2") as second:
        family = {role: world.pids(role) for role in ("n1-1", "n1-2", "web", "drain")}
        asking, again = restart(world, "n1-1"), restart(world, "n1-1", "again")
        await eventually(lambda: says(asking, "1 call left"), 60)
        await eventually(lambda: says(again, "1 call left"), 60)
        await new_calls_go_to(customer, "n1-2")
        record = await customer.ordinary_call()
        assert record["node"] == "n1-2"
        for phone in (first, second):
            await phone.wait_frames(len(phone.frames) + 25)
        assert world.pids("n1-1") == family["n1-1"]
        assert asking.popen.poll() is None
        assert (await first.hang_up())["cause"] == 16
        await eventually(lambda: has_ended(asking), 90)
        await eventually(lambda: has_ended(again), 90)
        for told in (asking, again):
            assert told.popen.returncode == 0, told.log.read_text()
            assert told.log.read_text().endswith("Node n1-1 was restarted.\n")
        # Once, however often it was asked.
        (node,) = world.pids("n1-1")
        assert [node] != family["n1-1"]
        assert world.gateway.log.read_text().count("Process n1-1 ended to be started again.") == 1
        await second.wait_frames(len(second.frames) + 25)
        assert (await second.hang_up())["cause"] == 16
    await takes_calls(customer)
    for each in NODES:
        async with call_on(customer, each) as phone:
            await phone.wait_frames(5)
            assert (await phone.hang_up())["cause"] == 16
    assert {role: world.pids(role) for role in family} == family | {"n1-1": [node]}
    await world.assert_books_balance()
    assert world.gateway.terminate() == 0
    assert '"level": "error"' not in world.gateway.log.read_text()


async def test_a_node_that_is_killed_while_it_restarts_comes_back(patient_house: Any) -> None:
    world, customer = patient_house
    async with call_on(customer, "n1-1") as lost:
        (node,) = world.pids("n1-1")
        asking = restart(world, "n1-1")
        await eventually(lambda: says(asking, "1 call left"), 60)
        os.kill(node, signal.SIGKILL)
        await lost.wait_closed()
        await eventually(lambda: has_ended(asking), 90)
    assert asking.popen.returncode == 0, asking.log.read_text()
    assert await _is_another(world, node)
    await takes_calls(customer)
    await customer.ordinary_call()
    await world.assert_books_balance()
    assert world.gateway.terminate() == 0


async def test_a_machine_that_is_stopped_while_a_node_restarts_ends(patient_house: Any) -> None:
    world, customer = patient_house
    async with call_on(customer, "n1-1") as phone:
        (node,) = world.pids("n1-1")
        asking = restart(world, "n1-1")
        await eventually(lambda: says(asking, "1 call left"), 60)
        world.gateway.popen.send_signal(signal.SIGTERM)
        await eventually(lambda: _refused(customer), 20)
        late = restart(world, "n1-1", "late")
        await eventually(lambda: has_ended(late), 60)
        assert late.popen.returncode == EXIT_FINDINGS, late.log.read_text()
        assert "Node n1-1 is stopping for good." in late.log.read_text()
        await phone.wait_frames(len(phone.frames) + 25)
        assert world.pids("n1-1") == [node]
        assert (await phone.hang_up())["cause"] == 16
    assert world.gateway.popen.wait(60) == 0, world.gateway.log.read_text()
    assert '"level": "error"' not in world.gateway.log.read_text()
    assert world.gateway.family() == [world.gateway.popen.pid]
    asking.popen.send_signal(signal.SIGINT)
    assert asking.popen.wait(20) == EXIT_INTERRUPTED, asking.log.read_text()


async def test_a_second_signal_ends_running_calls_at_once(house: Any) -> None:
    world, customer = house
    async with call_on(customer, "n1-1") as phone:
        world.gateway.popen.send_signal(signal.SIGTERM)
        await eventually(lambda: _refused(customer), 20)
        world.gateway.popen.send_signal(signal.SIGTERM)
        assert (await phone.wait("disconnect"))["cause"] == 502
    assert world.gateway.popen.wait(40) == 0


@pytest.mark.parametrize("valkey", ["ends first", "ends as it comes"])
async def test_children_end_with_a_supervisor_that_is_killed(house: Any, valkey: str) -> None:
    world, customer = house
    async with call_on(customer, "n1-1") as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        carrier_call_id = await customer.carrier_call_id(call_id)
        # Only a confirmed second tells the store when the phone was answered.
        await eventually(lambda: _has_confirmed(world, call_id), 20)
        family = world.gateway.family()
        assert len(family) >= 5
        if valkey == "ends first":
            (server,) = [pid for pid in family if _program(pid) == "valkey-server"]
            # Who would start it again does not come to that.
            world.gateway.popen.send_signal(signal.SIGSTOP)
            os.kill(server, signal.SIGKILL)
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        told = await phone.wait("disconnect")
        assert told["ended_by"] == "gateway"

    async def gone() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in family[1:])

    await eventually(gone, 40)
    # The phone is hung up even where the bundled Valkey was gone first, and what the call costs is
    # then settled at the next start, however late that comes.
    assert await world.is_over(carrier_call_id)
    log = world.gateway.log.read_text()
    settled = log.count('"call settled"')
    # On a busy machine the node may be done before Valkey has ended.
    assert settled <= (valkey == "ends as it comes")
    assert settled or '"call not settled yet"' in log
    world.gateway = again = Process(
        ["serve", "--media", "2"], world.environ, world.folder / "again.log"
    )
    again.wait_for(world.base + "/healthz")
    record = await customer.record(call_id)
    assert record["ended_by"] == "gateway"
    if settled:
        assert (record["cause"], record["cost"]) == (told["cause"], told["cost"])
    elif valkey == "ends first":
        assert record["cause"] == 41
    else:
        # Valkey may have settled it and ended before it could say so.
        assert record["cause"] in {41, told["cause"]}
    assert record["answered_at"] < record["ended_at"]
    await world.assert_books_balance()
    assert again.terminate() == 0


def _program(pid: int) -> str:
    """Return the name of the program that a process runs."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def test_a_start_right_after_a_kill_waits_until_what_was_left_has_ended(house: Any) -> None:
    world, customer = house
    waits = "Waiting up to 30 s until the processes of an earlier run have ended their calls."
    async with call_on(customer, "n1-1") as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        left = world.gateway.family()[1:]
        # One of them takes longer to end than the next run to come so far.
        (slow,) = world.pids("n1-2")
        os.kill(slow, signal.SIGSTOP)
        world.gateway.popen.kill()
        world.gateway.popen.wait()
        world.gateway = again = Process(
            ["serve", "--media", "2"], world.environ, world.folder / "again.log"
        )
        assert (await phone.wait("disconnect"))["ended_by"] == "gateway"

    async def says(text: str) -> bool:
        said = again.log.read_text()
        assert again.popen.poll() is None, said
        return text in said

    await eventually(lambda: says(waits), 60)
    os.kill(slow, signal.SIGCONT)
    await eventually(lambda: says("Caller serves"), 90)
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    said = [json.loads(line)["event"] for line in again.log.read_text().splitlines()]
    assert (said[0], said.count(waits)) == (waits, 1)
    await takes_calls(customer)
    await customer.ordinary_call()
    assert (await customer.record(call_id))["ended_by"] == "gateway"
    await world.assert_books_balance()
    assert again.terminate() == 0
