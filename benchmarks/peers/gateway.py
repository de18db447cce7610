"""Runs the gateway with everything on: signatures, metering in Valkey, talk detection, records.

Runs as an operator would start it, with its embedded stores in a folder of their own. Its calls are
answered by the played carrier.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar
from urllib.parse import urlsplit

from benchmarks import installed, loopback
from benchmarks.carrier import ACCOUNT_SID, AUTH_TOKEN, PlayedCarrier
from benchmarks.dial import Call, DialError, open_websocket, send_json, wait_for
from benchmarks.peers.peer import server_process
from benchmarks.process_cost import command_line, descendants
from gateway.stores.embedded import bundled_server

CALLER = (sys.executable, "-m", "gateway")
DESTINATION = "+15005551000"
CREDIT = "100000"
"""In the account's currency: more than any run can spend."""
CALLS_MAX = 2_000
READY_S_MAX = 20.0
NODE_SEEN_S = 2.0
ASKED = 25


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that is ready, and an account with credit."""

    port: int
    """Where calls come."""
    pages_port: int
    """Where people and programs come: the same, unless the roles are apart."""
    pid: int
    """The process that holds the calls."""
    others: Mapping[str, int]
    """The processes beside it that it has not started, by what they are."""
    environment: Mapping[str, str]
    """Its settings, for commands beside it."""
    api_key: str
    carrier: PlayedCarrier
    api: http.client.HTTPConnection

    def dial(self, _index: int) -> Call:
        """Place a call as a page does, and answer it as the carrier does."""
        token, media_url = self._buy_token()
        with loopback.closed_on_error(loopback.connect(self.port)) as browser:
            open_websocket(browser, f"{loopback.HOST}:{self.port}", urlsplit(media_url).path)
            send_json(browser, {"type": "start", "version": 1, "token": token})
            # The carrier's end is found by the gateway's own name for the call.
            call_id = str(wait_for(browser, "ready")["call_id"])
            leg = self.carrier.take(call_id)
            # Both legs are the caller's once the call is accepted, and are closed here until then.
            with loopback.closed_on_error(leg.connection):
                wait_for(browser, "accept")
        return Call(browser, leg.connection, leg.stream_sid, leg.placed_ns)

    def _buy_token(self) -> tuple[str, str]:
        headers = {
            "Authorization": f"Bearer {self.api_key}",
            "Content-Type": "application/json",
        }
        order = json.dumps({"destination": DESTINATION, "codec": "pcmu"})
        try:
            self.api.request("POST", "/v1/call-tokens", order, headers)
            reply = self.api.getresponse()
            body = reply.read()
        except http.client.HTTPException as error:
            raise DialError("the gateway's API failed") from error
        if reply.status != 201:
            raise DialError(f"no call token: {reply.status} {body.decode(errors='replace')}")
        content = json.loads(body)
        return content["token"], content["media_url"]

    def ask_ms(self) -> float:
        """Return how long a request takes that reads both stores, the median of some."""
        took_ms = []
        self.api.close()  # it may have been idle for too long; the next request opens a new one
        for _ in range(ASKED):
            started_ns = time.monotonic_ns()
            headers = {"Authorization": f"Bearer {self.api_key}"}
            self.api.request("GET", "/v1/calls?limit=20", headers=headers)
            reply = self.api.getresponse()
            # Read to its end, or the connection could not carry the next request.
            reply.read()
            if reply.status != 200:
                raise DialError(f"no list of calls: {reply.status}")
            took_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        return median(took_ms)

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the gateway's own process, its Valkey, and the drainer that writes to SQL."""
        parts: dict[str, list[int]] = {"gateway": [self.pid], "valkey": [], "drainer": []}
        started = [pid for pid in descendants(self.pid) if pid != self.pid]
        for pid in (*started, *self.others.values()):
            # Beside these two there are the process of the pages, and the idle hasher of passwords.
            command = command_line(pid)
            if "password_child" not in command:
                parts["valkey" if "valkey" in command else "drainer"].append(pid)
        return parts


def environment_of(port: int, carrier: PlayedCarrier, directory: str) -> dict[str, str]:
    """Return the settings of a gateway with the played carrier and a data folder."""
    # Settings of whoever runs the benchmark must not change what is measured.
    inherited = {k: v for k, v in installed.environment().items() if k[:7] != "CALLER_"}
    return inherited | {
        "CALLER_PORT": str(port),
        "CALLER_PUBLIC_ORIGIN": f"http://{loopback.HOST}:{port}",
        "CALLER_CARRIER_URL": carrier.url,
        "CALLER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "CALLER_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "CALLER_CALLER_ID": "+15005550006",
        "CALLER_DATA_DIR": directory,
        "CALLER_CALLS_MAX": str(CALLS_MAX),
        "CALLER_ACCOUNT_CALLS_MAX": str(CALLS_MAX),
        # Hundreds of calls of one account from one address are what the limits exist to stop.
        "CALLER_VELOCITY_LIMITS": "all=off",
        # The calls that are up need not end before the server may.
        "CALLER_DRAIN_TIMEOUT_S": "0",
        "CALLER_LOG_LEVEL": "warning",
    }


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(loopback.HOST, port, timeout=10)


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once a gateway says that it can serve. Raises DialError."""
    deadline = time.monotonic() + READY_S_MAX
    # A process that has ended will not become ready: its output goes with the error.
    while time.monotonic() < deadline and process.poll() is None:
        with closing(_connect(port)) as api, suppress(OSError, http.client.HTTPException):
            api.request("GET", "/readyz")
            if api.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise DialError("the gateway did not become ready")


def create_account(environment: Mapping[str, str], name: str, *options: str) -> str:
    """Create an account; return its API key, the last word that is printed."""
    command = [*CALLER, "accounts", "create", name, *options]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise DialError(f"no account: {made.stderr}")
    return made.stdout.split()[-1]


@contextmanager
def start_gateway(
    more: Mapping[str, str] | None = None, *, apart: bool = False
) -> Iterator[RunningGateway]:
    """Start a gateway with fresh stores, an account and credit; stop it in the end.

    `more` are settings beside those of the comparison. `apart` starts a process for each role, with
    a Valkey that they share.
    """
    port = loopback.free_port()
    pages_port = loopback.free_port() if apart else port
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="caller-benchmark-"))
        carrier = stack.enter_context(PlayedCarrier())
        environment = environment_of(port, carrier, directory) | dict(more or {})
        others: dict[str, int] = {}
        if apart:
            url, others["valkey"] = stack.enter_context(valkey(directory))
            environment["CALLER_REDIS_URL"] = url
            environment["CALLER_DATABASE_URL"] = f"sqlite:///{directory}/shared.db"
        # Before the node starts, by the command line: the stores are not in use yet.
        scopes = ("--scope", "calls", "--scope", "records")
        api_key = create_account(environment, "benchmark", "--credit", CREDIT, *scopes)
        for role, its_port in (("worker", 0), ("web", pages_port)) if apart else ():
            own = {"CALLER_PORT": str(its_port)}
            started = server_process(_serve(role), environment=environment | own)
            others[role] = stack.enter_context(started).pid
        command = _serve("media" if apart else "all")
        process = stack.enter_context(server_process(command, environment=environment))
        wait_until_ready(process, port)
        if apart:
            wait_until_ready(process, pages_port)
            # The process of the pages looks once a second which nodes there are.
            time.sleep(NODE_SEEN_S)
        # One connection for all requests, as a client that places many calls would keep.
        api = stack.enter_context(closing(_connect(pages_port)))
        pids = process.pid, others
        yield RunningGateway(port, pages_port, *pids, environment, api_key, carrier, api)


def _serve(role: str) -> list[str]:
    return [*CALLER, "serve", "--role", role]


@contextmanager
def valkey(directory: str) -> Iterator[tuple[str, int]]:
    """Run a Valkey as the gateway would for itself; yield its address and its process."""
    server = bundled_server() or shutil.which("valkey-server") or "redis-server"
    socket = Path(directory, "shared.sock")
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", directory]
    durable = ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
    with server_process([server, *options, *durable]) as process:
        deadline = time.monotonic() + READY_S_MAX
        while not socket.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        yield f"unix://{socket}", process.pid


class GatewayPeer:
    """The gateway."""

    name: ClassVar[str] = "gateway"
    what: ClassVar[str] = "Caller, everything on"
    warm_up_s: ClassVar[float] = 3.0

    def missing(self) -> str | None:
        """Nothing: it runs where the benchmark does."""
        return None

    @contextmanager
    def running(self) -> Iterator[RunningGateway]:
        """Start it."""
        with start_gateway() as gateway:
            yield gateway
