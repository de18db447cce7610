"""What each kind of process carries in memory: the libraries that it uses, and no others."""

import os
import subprocess
import sys

import pytest

from gateway.cli.app import COMMANDS
from gateway.roles.child import ROLES
from tests.thorough import first_of

HEAVY = {
    "OpenSSL",
    "aiohttp",
    "aiosmtpd",
    "aiosqlite",
    "alembic",
    "asyncpg",
    "cryptography.hazmat",
    "jinja2",
    "limits",
    "numpy",
    "sqlalchemy.dialects.postgresql",
    "phonenumbers",
    "pydantic",
    "pylibsrtp",
    "redis",
    "smtplib",
    "sqlalchemy",
    "starlette",
    "stripe",
    "twilio",
    "typer",
    "uvicorn",
    "webrtcvad",
    "websockets",
}
"""Packages of a megabyte and more."""

USED = {
    "drain": {"redis", "smtplib", "sqlalchemy"},
    "simulate": {"aiohttp", "phonenumbers", "starlette", "uvicorn", "websockets"},
    "simulate-payments": {"aiohttp", "starlette", "uvicorn"},
    "simulate-mail": {"aiosmtpd", "starlette", "uvicorn"},
    "settings": {"typer"},
    "serve": HEAVY
    - {"aiosmtpd", "aiosqlite", "alembic", "asyncpg", "sqlalchemy.dialects.postgresql", "stripe"},
}
"""Command -> the heavy packages that it may import before it does anything; a role is a child."""

LIST = """
import sys
from importlib import import_module
from gateway.cli import process
import_module(sys.argv.pop(1))
print(*sys.modules)
"""


@pytest.mark.parametrize("command", first_of(USED))
def test_a_process_carries_what_it_uses(command):
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    listed = subprocess.run(
        [
            sys.executable,
            "-c",
            LIST,
            *((ROLES[command], "--child") if command in ROLES else (COMMANDS[command],)),
        ],
        env=environ,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert HEAVY & set(listed.stdout.decode().split()) <= USED[command]
