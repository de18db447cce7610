"""What each kind of process carries in memory: the libraries that it uses, and no others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway.cli.app import COMMANDS
from gateway.openapi import GROUPS
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
    "email_validator",
    "jinja2",
    "limits",
    "numpy",
    "phonenumbers",
    "pydantic",
    "pylibsrtp",
    "redis",
    "requests",
    "smtplib",
    "sqlalchemy",
    "sqlalchemy.dialects.postgresql",
    "starlette",
    "stripe",
    "twilio",
    "typer",
    "ua_parser",
    "uvicorn",
    "webrtcvad",
    "websockets",
}
"""Packages of a megabyte, or of ten milliseconds of a start, and more."""

STORES = {"redis", "sqlalchemy"}
CHECKS = STORES | {"aiohttp", "cryptography.hazmat", "phonenumbers", "smtplib", "uvicorn"}
SERVER = CHECKS | {"limits", "starlette", "websockets"}
USED = {
    "drain": STORES | {"smtplib"},
    "media": SERVER,
    "web": SERVER,
    "simulate": {"aiohttp", "phonenumbers", "starlette", "uvicorn", "websockets"},
    "simulate-payments": {"aiohttp", "starlette", "uvicorn"},
    "simulate-mail": {"aiosmtpd", "starlette", "uvicorn"},
    "settings": {"typer"},
    "serve": SERVER | {"typer"},
    "check": CHECKS | {"typer"},
    "setup": CHECKS | {"typer"},
    "rates": STORES | {"phonenumbers", "typer"},
    "ledger": STORES | {"typer"},
}
"""Command -> the heavy packages that it imports before it does anything; a role is a child."""

BEGUN = """
import sys
from importlib import import_module
from gateway.cli import process
import_module(sys.argv.pop(1))
"""
HELPED = """
import sys
from gateway.cli import process
sys.argv = ["caller", "--help"]
try:
    process.main()
except SystemExit as ended:
    assert not ended.code
"""
ROOMS = {path.parent.name for path in Path(gateway.__path__[0]).glob("*/__init__.py")}


def loaded(script, *arguments):
    """Return the names of all modules of a fresh interpreter that has run a script."""
    listed = subprocess.run(
        [sys.executable, "-c", f"{script}\nprint('loaded:', *sys.modules)", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return set(listed.stdout.decode().rpartition("loaded:")[2].split())


@pytest.mark.parametrize("command", first_of(USED))
def test_a_process_carries_what_it_uses(command):
    begun = (ROLES[command], "--child") if command in ROLES else (COMMANDS[command].module,)
    assert HEAVY & loaded(BEGUN, *begun) == USED[command]


def test_a_process_of_calls_has_no_page_and_no_operation_of_the_api():
    found = loaded(BEGUN, ROLES["media"], "--child")
    handlers = {api.__module__ for apis in GROUPS.values() for api in apis}
    assert len(handlers) > 15
    assert not handlers & found
    assert not {"gateway.roles.http", "gateway.roles.site", "gateway.http.pages"} & found
    # Each page is opened through a door, and rendered by jinja2.
    pages = {name for name in found if name.startswith("gateway.http.site.") or "_pages" in name}
    assert not pages
    assert "jinja2" not in found


def test_the_help_of_all_imports_no_command():
    found = loaded(HELPED)
    assert {each for each in found if each.startswith("gateway.cli.")} == {
        "gateway.cli.app",
        "gateway.cli.command",
        "gateway.cli.process",
    }
    assert HEAVY & found == {"typer"}
    assert {room for room in ROOMS if f"gateway.{room}" in found} == {
        "cli",
        "limits",
        "logs",
        "roles",
        "stores",
    }
