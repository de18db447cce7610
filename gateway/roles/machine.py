"""Runs a machine's processes behind one port: web, nodes and worker; restarts and drains them.

It imports neither audio nor pages, so that a fault there cannot bring it down.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.errors import EXIT_UNAVAILABLE, SettingsError
from gateway.logs import formats
from gateway.roles import earlier_run, listening, process
from gateway.roles.children import Child
from gateway.roles.process import EndedError, announce
from gateway.roles.stopping import STOPPING_S
from gateway.settings import PREFIX, Settings
from gateway.sockets.door import inbox_of
from gateway.stores import private_files
from gateway.stores.embedded import SOCKET_PATH_BYTES_MAX, EmbeddedValkey

NODES_MAX: Final = 32
"""More than a machine has cores for; each takes some 130 MB."""
_BACKLOG: Final = 4096
"""Connections the kernel queues while web restarts."""
_NODE_LENGTH_MAX: Final = 32
_PORT_MAX: Final = 65535
_WORKER_SILENCE_S_MAX: Final = 15.0


def node_ids(node: str, count: int) -> tuple[str, ...]:
    """Return the ids of a machine's nodes. Raises SettingsError if one is too long for an id."""
    names = tuple(f"{node}-{number}" for number in range(1, count + 1))
    if len(names[-1]) > _NODE_LENGTH_MAX:
        raise SettingsError(
            f"{PREFIX}NODE is too long: with the number of a node behind it, it may have"
            f" {_NODE_LENGTH_MAX} characters."
        )
    return names


def environ_of(
    environ: Mapping[str, str], settings: Settings, index: int, node: str
) -> dict[str, str]:
    """Return the environment of a node of a machine; the first has index 0.

    Raises SettingsError if there is no UDP port for it.
    """
    port = (settings.udp_port or settings.port) + index
    if port > _PORT_MAX:
        raise SettingsError(
            f"{PREFIX}UDP_PORT is too high: each node takes one, and there is none above"
            f" {_PORT_MAX}."
        )
    return {**environ, f"{PREFIX}NODE": node, f"{PREFIX}UDP_PORT": str(port)}


def refuse_unfit(settings: Settings, count: int) -> None:
    """Refuse settings that several processes cannot share. Raises SettingsError."""
    if sys.platform != "linux":
        raise SettingsError("--media needs Linux: connections are handed over by its means.")
    if settings.tls_certificate:
        raise SettingsError(
            f"{PREFIX}TLS_CERTIFICATE and --media exclude each other: a connection with TLS cannot"
            " be handed to another process. Put a proxy with TLS in front; deploy/ has files for"
            " three."
        )
    for index, node in enumerate(node_ids(settings.node, count)):
        environ_of({}, settings, index, node)


class Machine:
    """The processes of a machine: started once, drained and stopped once."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], count: int) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self.nodes = node_ids(settings.node, count)
        self._stack = contextlib.AsyncExitStack()
        self._media: list[Child] = []

    async def start(self) -> None:
        """Start everything, and return when all of it serves. If it raises, nothing is left.

        Raises EndedError if a process has itself printed why it does not serve, and any error of
        opening the port and the stores.
        """
        try:
            await self._start(self._stack)
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        settings = self._settings
        private_files.restrict_folder(settings.data_dir)
        stack.callback(os.close, earlier_run.hold_own(settings))
        shared = await earlier_run.hold_shared(settings)
        stack.callback(os.close, shared)
        listener = stack.enter_context(_listen(settings))
        if not settings.redis_url:
            valkey = EmbeddedValkey(settings.data_dir / private_files.VALKEY)
            stack.push_async_callback(valkey.stop)
            self._environ[f"{PREFIX}REDIS_URL"] = await valkey.start()
        folder = _inboxes(settings, listener.getsockname()[1], self.nodes)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        worker = Child(
            ["drain"], self._environ, silence_s_max=_WORKER_SILENCE_S_MAX, keeps=[shared]
        )
        web = Child(
            [
                "web",
                "--listener",
                str(listener.fileno()),
                "--folder",
                str(folder),
                "--nodes",
                ",".join(self.nodes),
            ],
            self._environ,
            keeps=[listener.fileno(), shared],
        )
        # Stopped last of the three: it books what the others leave in the outbox.
        stack.push_async_callback(worker.stop)
        stack.push_async_callback(web.stop)
        for index, node in enumerate(self.nodes):
            environ = environ_of(self._environ, settings, index, node)
            arguments = ["media", "--folder", str(folder)]
            child = Child(arguments, environ, name=node, keeps=[shared])
            self._media.append(child)
            stack.push_async_callback(child.stop)
        await worker.start()
        codes = await asyncio.gather(*(each.start_serving() for each in (web, *self._media)))
        for code in codes:
            if code is not None:
                raise EndedError(code if code > 0 else EXIT_UNAVAILABLE)

    async def stop(self, end_now: asyncio.Event) -> None:
        """Drain the nodes, until `end_now` is set, with the pages up; then stop everything."""
        patience_s = self._settings.drain_timeout_s + STOPPING_S
        await asyncio.gather(*(each.finish(end_now, patience_s) for each in self._media))
        await self._stack.aclose()


def _inboxes(settings: Settings, port: int, nodes: Sequence[str]) -> Path:
    """Return the folder for handing connections over, which only this user may enter."""
    # In the data folder, so that what a killed supervisor left is found and used again.
    folder = settings.data_dir.absolute() / f"inboxes-{port}"
    longest = max(len(os.fsencode(inbox_of(folder, node))) for node in nodes)
    if longest > SOCKET_PATH_BYTES_MAX:
        return Path(tempfile.mkdtemp(prefix="caller-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        address = f"TCP port {port} of {host}"
        text, code = listening.refusal(f"{PREFIX}HOST", f"{PREFIX}PORT", address, error)
        process.complain(text, "`caller check` says more.")
        raise EndedError(code) from None


async def work(settings: Settings, environ: Mapping[str, str], count: int) -> None:
    """Run the machine until a signal asks it to end. Raises EndedError after Ctrl-C."""
    stop, machine = process.stop_on_signal(), Machine(settings, environ, count)
    if not await stop.covers(machine.start()):
        announce(f"Caller serves {settings.origin} with the nodes {', '.join(machine.nodes)}.")
        await stop.wait()
        announce("Stopping: no new calls; running ones may finish.")
        await machine.stop(stop.end_now)
    stop.leave()


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a machine's supervisor to its end; return the exit code."""
    parser = argparse.ArgumentParser(prog="caller")
    parser.add_argument("role", choices=["supervise"])
    parser.add_argument("--media", type=int, required=True)
    count = parser.parse_args(arguments).media
    try:
        settings = process.read_settings(environ)
        formats.sign(role="supervisor")
        process.run(work(settings, environ, count), settings)
    except EndedError as ended:
        return ended.code
    return 0
