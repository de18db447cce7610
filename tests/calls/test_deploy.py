"""The stores as `deploy/` sets them up: their users can do what the gateway does, and no more."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from billing.stores.redis_client import connect, disconnect, preflight
from gateway.stores import rights
from tests.calls.deployed_stores import (
    DEPLOY,
    as_operator,
    deployed_postgres,
    deployed_valkey,
    executed,
)
from tests.valkey import PASSWORD


@pytest.fixture
def valkey(tmp_path):
    with deployed_valkey(tmp_path / "valkey", {"VALKEY_PASSWORD": PASSWORD}) as valkey:
        yield valkey


@pytest.fixture
def postgres(postgres_server):
    told = {"DATABASE_PASSWORD": PASSWORD}
    with deployed_postgres(postgres_server._binaries, told) as server:
        yield server


async def asked(url, *words):
    client = Redis.from_url(url)
    try:
        return await client.execute_command(*words)
    finally:
        await client.aclose()


async def test_the_gateways_user_of_valkey_may_use_it_but_not_administer_it(valkey):
    client = connect(valkey.url())
    try:
        report = await preflight(client)
        assert await rights.missing(client) == []
    finally:
        await disconnect(client)
    assert (report.persistence, report.warnings) == ("everysec", ())
    assert int((await asked(valkey.url(), "INFO", "memory"))["maxmemory"]) == 1024**3
    for words in [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        ("ACL", "SETUSER", "caller", "+@all"),
        ("SHUTDOWN",),
    ]:
        with pytest.raises(NoPermissionError):
            await asked(valkey.url(), *words)


async def test_without_the_password_valkey_only_says_that_it_lives(valkey):
    nobody = f"redis://127.0.0.1:{valkey.port}/0"
    assert await asked(nobody, "PING")
    for words in (("GET", "a"), ("SET", "a", "b"), ("INFO",), ("ACL", "WHOAMI"), ("SCAN", "0")):
        with pytest.raises(NoPermissionError):
            await asked(nobody, *words)
    with pytest.raises((AuthenticationError, RedisError)):
        await asked(valkey.url(password="another"), "PING")


@pytest.mark.parametrize("password", ["", "with space", "a@b", "line\nuser eve on nopass ~* +@all"])
def test_a_password_that_could_be_read_as_something_else_is_refused(tmp_path, password):
    done = subprocess.run(
        ["sh", DEPLOY / "valkey.sh"],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "VALKEY_PASSWORD": password},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"openssl rand" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_valkey_is_told_its_password_by_is_for_its_owner_only(valkey):
    (config,) = (p for p in valkey.folder.iterdir() if p.is_file() and p.name.startswith("tmp."))
    assert PASSWORD in config.read_text()
    assert config.stat().st_mode & 0o077 == 0
    command = Path(f"/proc/{valkey.process.pid}/cmdline")
    assert not command.exists() or PASSWORD not in command.read_text()


def test_the_gateways_role_in_postgres_owns_its_database_and_nothing_else(postgres):
    operator = as_operator(postgres)
    (role,) = asyncio.run(executed(operator, "SELECT * FROM pg_authid WHERE rolname = 'caller'"))
    assert role["rolcanlogin"]
    assert role["rolpassword"].startswith("SCRAM-SHA-256$")
    rights = ("rolsuper", "rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls")
    assert not any(role[name] for name in rights)
    (owned,) = asyncio.run(
        executed(operator, "SELECT datname FROM pg_database WHERE datdba = 'caller'::regrole")
    )
    assert owned["datname"] == "caller"


async def test_a_call_is_made_and_booked_with_these_rights(new_world, valkey, postgres):
    world = new_world(CALLER_REDIS_URL=valkey.url(), CALLER_DATABASE_URL=postgres.url("caller"))
    world.start_gateway()
    customer = await world.new_customer()
    await customer.ordinary_call()
    await customer.http.aclose()
    await world.assert_books_balance()


COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
VERSION = r"\d+\.\d+(\.\d+)?(-[a-z]+)*"


def test_images_are_named_by_digest(tmp_path):
    for name in ("env.example", "pin_images.sh"):
        (tmp_path / name).write_bytes((DEPLOY / name).read_bytes())
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\nprintf "sha256:%064d\\n" "${DIGEST-7}"\n')
    docker.chmod(0o755)
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    def pin(**changes):
        command = ["sh", str(tmp_path / "pin_images.sh")]
        return subprocess.run(
            command, env=environ | changes, capture_output=True, text=True, check=False
        )

    assert pin().returncode == 0
    written = (tmp_path / ".env").read_text()
    (tmp_path / ".env").write_text(written + "VALKEY_PASSWORD=kept\n")
    assert pin(DIGEST="8").returncode == 0
    lines = (tmp_path / ".env").read_text().splitlines()
    assert "VALKEY_PASSWORD=kept" in lines
    pinned = dict(line.split("=", 1) for line in lines if "_IMAGE=" in line)
    assert len(pinned) == sum("_IMAGE=" in line for line in lines) == 4
    digest = "0" * 63 + "8"
    for image in pinned.values():
        assert re.fullmatch(rf"[a-z/]+:{VERSION}@sha256:{digest}", image)
    used = {
        name for file in COMPOSE for name in re.findall(r"\$\{(\w+_IMAGE):\?", file.read_text())
    }
    assert used == set(pinned)
    docker.write_text("#!/bin/sh\necho no such image >&2; exit 1\n")
    failed = pin()
    assert (failed.returncode, "is docker there" in failed.stderr) == (1, True)
    assert (tmp_path / ".env").read_text().splitlines() == lines


def test_no_image_is_named_by_its_version_alone():
    for file in COMPOSE:
        for line in file.read_text().splitlines():
            if line.strip().startswith("image:"):
                image = line.partition("image:")[2].strip()
                assert image == "caller" or re.fullmatch(r"\$\{\w+_IMAGE:\?[^}]+\}", image)
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


ENVIRONMENT = (DEPLOY / "env.example").read_text()


def test_every_password_is_asked_for_and_none_has_a_default():
    text = "".join(path.read_text() for path in COMPOSE)
    asked_for = set(re.findall(r"\$\{(\w+PASSWORD)", text))
    assert asked_for == set(re.findall(r"^(\w+PASSWORD)=$", ENVIRONMENT, re.MULTILINE))
    assert len(re.findall(r"\$\{\w+PASSWORD", text)) == len(
        re.findall(r"\$\{\w+PASSWORD:\?set it in \.env\}", text)
    )
