"""Runs the gateway with everything on: signatures, metering in Valkey, talk detection, records.

Runs as an operator would start it, with its embedded stores in a folder of their own. Its calls are
answered by the played carrier.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from statistics import median
from typing import ClassVar
from urllib.parse import urlsplit

from benchmarks import installed, loopback
from benchmarks.carrier import ACCOUNT_SID, AUTH_TOKEN, PlayedCarrier
from benchmarks.dial import Call, DialError, open_websocket, send_json, wait_for
from benchmarks.peers.peer import server_process
from benchmarks.process_cost import command_line, descendants

_GATEWAY = (sys.executable, "-m", "gateway")
DESTINATION = "+15005551000"
CREDIT = "100000"
"""In the account's currency: more than any run can spend."""
CALLS_MAX = 2_000
READY_S_MAX = 20.0
ASKED = 25


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that is ready, and an account with credit."""

    port: int
    pid: int
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
            # Read to its end, or the connection could not carry the next request.
            self.api.getresponse().read()
            took_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        return median(took_ms)

    def processes(self) -> Mapping[str, Sequence[int]]:
        """Return the gateway's own process, its Valkey, and the drainer that writes to SQL."""
        parts: dict[str, list[int]] = {"gateway": [self.pid], "valkey": [], "drainer": []}
        for pid in descendants(self.pid):
            if pid != self.pid:
                # The gateway starts these two and nothing else.
                parts["valkey" if "valkey" in command_line(pid) else "drainer"].append(pid)
        return parts


def _environment(port: int, carrier: PlayedCarrier, directory: str) -> dict[str, str]:
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


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S_MAX
    # A process that has ended will not become ready: its output goes with the error.
    while time.monotonic() < deadline and process.poll() is None:
        with closing(_connect(port)) as api, suppress(OSError, http.client.HTTPException):
            api.request("GET", "/readyz")
            if api.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise DialError("the gateway did not become ready")


def _create_account(environment: Mapping[str, str]) -> str:
    """Create an account with credit; return its API key."""
    command = [*_GATEWAY, "accounts", "create", "benchmark", "--credit", CREDIT]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise DialError(f"no account: {made.stderr}")
    return made.stdout.strip()


@contextmanager
def start_gateway(more: Mapping[str, str] | None = None) -> Iterator[RunningGateway]:
    """Start a gateway with fresh stores, an account and credit; stop it in the end.

    `more` are settings beside those of the comparison.
    """
    port = loopback.free_port()
    with (
        tempfile.TemporaryDirectory(prefix="caller-benchmark-") as directory,
        PlayedCarrier() as carrier,
    ):
        environment = _environment(port, carrier, directory) | dict(more or {})
        # Before the node starts, by the command line: the stores are not in use yet.
        api_key = _create_account(environment)
        command = [*_GATEWAY, "serve"]
        with server_process(command, environment=environment) as process:
            _wait_until_ready(process, port)
            # One connection for all requests, as a client that places many calls would keep.
            with closing(_connect(port)) as api:
                yield RunningGateway(port, process.pid, api_key, carrier, api)


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
