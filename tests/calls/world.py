"""A gateway and a simulated carrier as processes of their own, and a phone to call with.

The tests see only what users see: HTTP, the media socket, the carrier's control API, and the
stores' files.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
import websockets
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.stores import tables
from billing.stores.audit import audit
from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from billing.stores.sql import SqlCdrStore, SqlLedgerStore
from database.engine import create_engine
from gateway.charging.recovery import bring_credits
from gateway.http.bearer import key_hash, new_api_key
from gateway.roles import storage
from gateway.scopes import PAGE, Scope
from gateway.settings_variables import from_mapping
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.key_epochs import RedisKeyEpochs
from gateway.stores.opened import Stores
from tests.postgres import new_book
from tests.valkey import free_port

PATIENCE_S = 60.0
"""How long a test waits for the stores and programs it asks; a busy machine keeps them waiting."""
ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "0f" * 16
ECHO = "+15005551000"
SILENT_FRAME = b"\xff" * 160
START_TIMEOUT_S = 60.0
SHORT_WAITS = {
    "CALLER_CARRIER_TIMEOUT_MS": "1000",
    "CALLER_MEDIA_SILENCE_S": "4",
    "CALLER_RESUME_S": "1",
    "CALLER_RING_TIMEOUT_S": "5",
    "CALLER_START_TIMEOUT_S": "5",
    "CALLER_STREAM_TIMEOUT_S": "5",
}
"""So that tests of what is overdue need not wait long for it, and nothing else is overdue."""
_names = itertools.count()


class Process:
    """A `python -m gateway …` process with its output in a file."""

    def __init__(self, arguments: list[str], environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        # It goes when the test process does, however that ends.
        guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [*guard, sys.executable, "-m", "gateway", *arguments],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own, as a service manager or a shell gives it.
                process_group=0,
            )

    def wait_for(self, url: str, key: str = "") -> None:
        """Return when the URL answers with success, to whoever has the key if there is one."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.popen.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, headers=headers, timeout=1).is_success:
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def family(self) -> list[int]:
        """Return the ids of the process and of all that descend from it."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
        found = [self.popen.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def terminate(self, timeout_s: float = 40) -> int:
        """Ask the process to end; return its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(self.log.read_text()) from None


class World:
    """One gateway, one carrier."""

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        carrier_port: int | None = None,
        **changes: str,
    ) -> None:
        """Make a world whose gateway listens here; with a port, its carrier is another world's."""
        self.folder = folder
        self.port, self.carrier_port = free_port(), carrier_port or free_port()
        self.base = f"http://{host}:{self.port}"
        self.control = f"http://127.0.0.1:{self.carrier_port}/simulator/v1"
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CALLER_")},
            "CALLER_HOST": host,
            "CALLER_PORT": str(self.port),
            "CALLER_DATA_DIR": str(folder / "data"),
            "CALLER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "CALLER_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "CALLER_CALLER_ID": "+15005550006",
            "CALLER_CARRIER_URL": f"http://127.0.0.1:{self.carrier_port}",
            "CALLER_LOG_FORMAT": "json",
            # Charges stay as they were made, so that tests can tell them to the micro.
            "CALLER_REFUNDS_DAY_MAX": "0",
            # All tests call from one address, and some place hundreds of calls.
            "CALLER_VELOCITY_LIMITS": "all=off",
            **SHORT_WAITS,
            **changes,
        }
        self.settings = from_mapping(self.environ)
        self.operator_url = ""
        """Of whoever may do anything on Valkey; empty: the gateway may."""
        self.carrier: Process | None = None
        self.gateway: Process | None = None
        self.account_ids: list[str] = []
        self._engines: list[AsyncEngine] = []
        """Not in use, and without connections. They keep the statements that they have compiled."""

    def start(self) -> World:
        """Start both processes and return when both answer."""
        self.start_carrier()
        self.start_gateway()
        return self

    def start_carrier(self, ring_s: str = "0.3", *more: str) -> None:
        arguments = ["simulate", "--port", str(self.carrier_port), "--ring-s", ring_s, *more]
        self.carrier = Process(arguments, self.environ, self.folder / "carrier.log")
        self.carrier.wait_for(self.control + "/state")

    def lay_tables(self) -> World:
        """Put a book with all its tables where the gateway would make it; unless it has one."""
        place = make_url(storage.database_url(self.settings))
        file = Path(place.database or "")
        if place.get_backend_name() == "sqlite" and not file.exists():
            self.settings.data_dir.mkdir(mode=0o700, exist_ok=True)
            file.write_bytes(new_book())
        return self

    def start_gateway(self) -> None:
        self.gateway = Process(["serve"], self.environ, self.folder / "gateway.log")
        self.gateway.wait_for(self.base + "/healthz")

    def stop(self) -> None:
        """End both processes; the gateway must end by itself."""
        if self.gateway is not None:
            assert self.gateway.terminate() == 0, self.gateway.log.read_text()
        if self.carrier is not None:
            self.carrier.terminate()

    @contextlib.asynccontextmanager
    async def stores(self) -> AsyncIterator[Stores]:
        """Open the stores of the running gateway beside it; it has made them ready."""
        settings = self.settings
        valkey = None if settings.redis_url else EmbeddedValkey(settings.data_dir / "valkey")
        redis = connect(await valkey.start() if valkey else settings.redis_url.reveal())
        # Each has an engine to itself: to dispose of one leaves the connections open that another
        # uses.
        spare = self._engines
        engine = spare.pop() if spare else self._new_engine()
        epochs = RedisKeyEpochs(redis)
        stores = Stores(
            redis=redis,
            engine=engine,
            gate=RedisSpendGate(redis, timeout_s=PATIENCE_S),
            ledger=SqlLedgerStore(engine, timeout_s=PATIENCE_S),
            records=SqlCdrStore(engine, timeout_s=PATIENCE_S),
            accounts=SqlAccountStore(engine, on_change=epochs.invalidate, timeout_s=PATIENCE_S),
            key_epochs=epochs,
            valkey=valkey,
        )
        try:
            yield stores
        finally:
            await stores.close()
            self._engines.append(engine)

    @contextlib.asynccontextmanager
    async def valkey(self) -> AsyncIterator[Any]:
        """Open Valkey alone, to look behind the gateway."""
        if self.operator_url:
            redis = connect(self.operator_url)
            try:
                yield redis
            finally:
                await disconnect(redis)
            return
        async with self.stores() as stores:
            yield stores.redis

    def _new_engine(self) -> AsyncEngine:
        # On a busy machine those that write at once may leave two seconds no room for another.
        lock_wait_ms = int(PATIENCE_S * 1000)
        return create_engine(storage.database_url(self.settings), lock_wait_ms=lock_wait_ms)

    async def new_customer(self, credit_micros: int = 10_000_000) -> Customer:
        """Return an account with a key and credit."""
        account_id = f"acct-{next(_names)}-{secrets.token_hex(4)}"
        key = new_api_key()
        async with self.stores() as stores:
            await stores.accounts.create_account(account_id, "USD")
            await stores.accounts.add_api_key(account_id, key_hash(key), "test", scopes=PAGE)
            await self.grant(stores, account_id, credit_micros)
        self.account_ids.append(account_id)
        headers = {"authorization": f"Bearer {key}"}
        http = httpx.AsyncClient(base_url=self.base, headers=headers, timeout=PATIENCE_S)
        return Customer(self, account_id, key, http)

    async def new_operator(self) -> dict[str, str]:
        """Return the headers of a request with a new key of an operator."""
        key = new_api_key()
        async with self.stores() as stores:
            with contextlib.suppress(LookupError, ValueError):
                await stores.accounts.create_account("operators", "USD")
            digest = key_hash(key)
            await stores.accounts.add_api_key("operators", digest, "x", scopes={Scope.ADMIN})
        return {"authorization": f"Bearer {key}"}

    async def readiness(self, operator: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Return the status of the gateway's readiness, and its details as an operator sees them.

        `operator` is what `new_operator` has returned.
        """
        async with httpx.AsyncClient(headers=operator) as client:
            reply = await client.get(f"{self.base}/readyz?verbose", timeout=PATIENCE_S)
        return reply.status_code, reply.json()

    async def figures(self) -> dict[str, float]:
        """Return what the gateway's process shows of itself to operators, by sample and labels."""
        async with httpx.AsyncClient(headers=await self.new_operator()) as client:
            reply = await client.get(f"{self.base}/metrics", timeout=2)
        reply.raise_for_status()
        lines = [line.rpartition(" ") for line in reply.text.splitlines() if line[:1] != "#"]
        return {sample: float(value) for sample, _, value in lines}

    @staticmethod
    async def grant(stores: Stores, account_id: str, micros: int) -> None:
        """Book a credit and bring it to the spend gate."""
        if micros:
            reference = f"grant:{secrets.token_hex(8)}"
            await stores.ledger.add_credit(account_id, micros, reference=reference, kind="grant")
            await bring_credits(stores.gate, stores.ledger, account_id)

    async def assert_books_balance(self) -> None:
        """Once all is settled and drained, gate, book and ledger must say the same.

        Accounts are looked at once, by the test that made them.
        """
        account_ids, self.account_ids = self.account_ids, []
        async with self.stores() as stores:
            await eventually(lambda: _is_settled(stores, account_ids), 40)
            found = await audit(stores.engine)
            assert found == [], found
            for account_id in account_ids:
                booked = await stores.ledger.balance(account_id)
                assert await stores.gate.balance(account_id) == booked, account_id

    async def carrier_get(self, path: str) -> Any:
        """Read the carrier's control API."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            reply = await client.get(self.control + path)
            assert reply.is_success, reply.text
            is_json = reply.headers["content-type"].startswith("application/json")
            return reply.json() if is_json else reply.content

    async def is_over(self, carrier_call_id: str) -> bool:
        """Whether the carrier's leg has ended; the caller may be told before it has."""
        state = await self.carrier_get(f"/calls/{carrier_call_id}")
        return bool(state["status"] == "completed")

    async def is_streaming(self, carrier_call_id: str) -> bool:
        """Whether the carrier's stream is open; a caller may be told of the answer before."""
        streams = (await self.carrier_get(f"/calls/{carrier_call_id}"))["streams"]
        return bool(streams) and streams[-1]["state"] == "streaming"

    async def carrier_complaints(self, carrier_call_id: str) -> list[int]:
        """Return the codes that the carrier's debugger has of one call, oldest first.

        The carrier is shared: other tests have left theirs.
        """
        entries = (await self.carrier_get("/debugger"))["entries"]
        return [entry["code"] for entry in entries if entry["call_sid"] == carrier_call_id]

    async def carrier_act(self, carrier_call_id: str, **action: Any) -> None:
        """Let the phone of a live call do something."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            reply = await client.post(
                f"{self.control}/calls/{carrier_call_id}/actions", json=action
            )
            assert reply.is_success, reply.text

    async def carrier_faults(self, plan: Mapping[str, Any]) -> None:
        """Make the carrier misbehave; an empty plan ends that."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            reply = await client.put(self.control + "/faults", json=dict(plan))
            assert reply.is_success, reply.text


@dataclass
class Customer:
    """An account holder with an API key."""

    world: World
    account_id: str
    key: str
    http: httpx.AsyncClient

    async def token(self, destination: str = ECHO, **body: Any) -> dict[str, Any]:
        """Ask for a call token; it must be granted."""
        reply = await self.http.post("/v1/call-tokens", json={"destination": destination, **body})
        assert reply.status_code == 201, reply.text
        return reply.json()

    @contextlib.asynccontextmanager
    async def call(self, destination: str = ECHO, **body: Any) -> AsyncIterator[Phone]:
        """Place a call and hold its socket."""
        token = await self.token(destination, **body)
        async with self.connect(token["media_url"]) as phone:
            await phone.send(type="start", version=1, token=token["token"])
            yield phone

    @contextlib.asynccontextmanager
    async def connect(self, url: str, origin: str | None = None) -> AsyncIterator[Phone]:
        """Open a media socket without starting a call."""
        async with websockets.connect(
            url, compression=None, origin=origin, ping_interval=None
        ) as ws:
            phone = Phone(ws)
            reading = asyncio.create_task(phone.read())
            try:
                yield phone
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def balance(self) -> int:
        """Return the available micros as the API tells them."""
        reply = await self.http.get("/v1/account")
        assert reply.is_success, reply.text
        return reply.json()["balance"]["micros"]

    async def ordinary_call(self) -> dict[str, Any]:
        """Make a call that goes as it should; return its record."""
        async with self.call() as phone:
            call_id = (await phone.wait("ready"))["call_id"]
            await phone.wait("accept")
            await phone.wait_frames(5)
            ended = await phone.hang_up()
            assert await phone.wait_closed() == 1000
        assert (ended["cause"], ended["ended_by"]) == (16, "caller")
        record = await self.record(call_id)
        assert record["cost"] == ended["cost"]
        return record

    async def carrier_call_id(self, call_id: str) -> str:
        """Return the carrier's id of a live call, once it has one."""

        async def named() -> str | None:
            return (await self.http.get(f"/v1/calls/{call_id}")).json().get("carrier_call_id")

        return str(await eventually(named))

    async def record(self, call_id: str, timeout_s: float = 40) -> dict[str, Any]:
        """Return the call once the book has its end."""

        async def ended() -> dict[str, Any] | None:
            reply = await self.http.get(f"/v1/calls/{call_id}")
            is_ended = reply.is_success and reply.json()["state"] == "ended"
            return reply.json() if is_ended else None

        shown: dict[str, Any] = await eventually(ended, timeout_s)

        async def is_booked() -> bool:
            record = await stores.records.get(self.account_id, call_id)
            return record is not None and record.closed is not None

        # A call that ended within its first second is shown before that.
        async with self.world.stores() as stores:
            await eventually(is_booked, timeout_s)
        return shown


@dataclass
class Phone:
    """The caller's end of a media socket."""

    ws: websockets.ClientConnection
    events: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    close_code: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        """Collect everything until the socket closes."""
        try:
            async for message in self.ws:
                if isinstance(message, str):
                    self.events.append(json.loads(message))
                else:
                    self.frames.append(message)
                self._news.set()
        except websockets.ConnectionClosed:
            pass
        self.close_code = self.ws.close_code
        self._news.set()

    async def send(self, **message: Any) -> None:
        await self.ws.send(json.dumps(message))

    async def hang_up(self) -> dict[str, Any]:
        """Hang up an answered call; return the last word on it."""
        await self.send(type="hangup")
        return await self.wait("disconnect")

    async def refused(self) -> tuple[str, int]:
        """Return the error that ends the socket and its close code."""
        error = await self.wait("error")
        assert error["message"]
        assert error["action"]
        return error["code"], await self.wait_closed()

    async def wait(
        self, kind: str, timeout_s: float = 15, *, where: Callable[[dict], bool] = lambda _: True
    ) -> dict[str, Any]:
        """Return the first event of a kind, waiting for it."""
        return await self._until(
            lambda: next((e for e in self.events if e["type"] == kind and where(e)), None),
            timeout_s,
            kind,
        )

    async def wait_frames(self, count: int, timeout_s: float = 15) -> list[bytes]:
        """Return the frames so far, once there are `count` of them."""
        return await self._until(
            lambda: self.frames if len(self.frames) >= count else None, timeout_s, "frames"
        )

    async def wait_closed(self, timeout_s: float = 15) -> int:
        """Return the close code."""
        return await self._until(lambda: self.close_code, timeout_s, "close")

    async def _until(self, probe: Callable[[], Any], timeout_s: float, what: str) -> Any:
        deadline = time.monotonic() + timeout_s
        while (found := probe()) is None:
            assert self.close_code is None, f"closed before {what}: {self.events}"
            self._news.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                raise AssertionError(f"no {what}: {self.events}") from None
        return found

    async def speak(self, frames: list[bytes]) -> None:
        """Send frames as a microphone does: one each 20 ms of an absolute clock."""
        start = time.monotonic()
        for index, frame in enumerate(frames):
            await asyncio.sleep(max(0.0, start + index * 0.02 - time.monotonic()))
            await self.ws.send(frame)

    def kinds(self) -> list[str]:
        """Return the types of all events so far."""
        return [event["type"] for event in self.events]


async def _is_settled(stores: Stores, account_ids: list[str]) -> bool:
    """Whether no call of these accounts is open, neither in the book nor on its way there."""
    for partition in {stores.gate.partition(account_id) for account_id in account_ids}:
        if await stores.gate.read_outbox(partition, 1):
            return False
    calls = tables.calls.c
    is_open = sa.select(calls.id).where(calls.account_id.in_(account_ids), ~calls.closed)
    async with stores.engine.connect() as connection:
        return (await connection.execute(is_open.limit(1))).first() is None


async def eventually(probe: Callable[[], Any], timeout_s: float = 10) -> Any:
    """Return the first true outcome of an async probe."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = await probe()
        if found:
            return found
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)
