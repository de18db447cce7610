"""Valkey and PostgreSQL as the scripts of `deploy/` set them up, without containers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from tests.postgres import PostgresServer
from tests.valkey import PASSWORD, find_binary, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
START_TIMEOUT_S = 20
TOLD = {"VALKEY_PASSWORD": PASSWORD, "DATABASE_PASSWORD": PASSWORD}
OPERATOR = ["--user", "operator", "on", "nopass", "~*", "&*", "+@all"]
"""Makes a user of Valkey beside those of the script, by whom tests look behind the gateway."""


class Valkey:
    """A server that `valkey.sh` starts, and may start again on what it has kept."""

    def __init__(self, folder: Path, told: Mapping[str, str]) -> None:
        """Take a new folder for all that it writes, and what the script is told."""
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "valkey-server").symlink_to(find_binary())
        self.folder, self.port = folder, free_port()
        self.environ = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "TMPDIR": str(folder),
            "VALKEY_DATA": str(folder),
            **told,
        }

    def url(self, user: str = "caller", password: str = PASSWORD) -> str:
        return f"redis://{user}:{password}@127.0.0.1:{self.port}/0"

    @property
    def operator_url(self) -> str:
        return self.url("operator", "any")

    def start(self) -> None:
        listening = ("--port", str(self.port), "--bind", "127.0.0.1")
        self.process = subprocess.Popen(
            ["sh", DEPLOY / "valkey.sh", *listening, *OPERATOR],
            env=self.environ,
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the server does not listen")


@contextlib.contextmanager
def deployed_valkey(folder: Path, told: Mapping[str, str]) -> Iterator[Valkey]:
    """Run a server by `valkey.sh`."""
    valkey = Valkey(folder, told)
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.process.kill()
        valkey.process.wait()


@contextlib.contextmanager
def deployed_postgres(binaries: Path, told: Mapping[str, str]) -> Iterator[PostgresServer]:
    """Run a server that nobody else uses and on which `postgres.sh` has run, told so."""
    server = PostgresServer(binaries, told)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.close()


def as_operator(server: PostgresServer) -> str:
    """Return the URL by which a superuser connects."""
    return server.operator_url("postgres")


async def executed(url: str, statement: str) -> Any:
    """Run a statement; return its rows."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(statement)
    finally:
        await connection.close()
