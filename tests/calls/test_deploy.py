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
from gateway.roles import preflight as start
from gateway.settings_variables import from_mapping
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


async def advice(url, folder):
    settings = from_mapping({"CALLER_DATA_DIR": str(folder), "CALLER_REDIS_URL": url})
    (found,) = await start.credit_store(settings, is_starting=False)
    assert (found.is_fatal, found.is_away) == (True, True)
    return found.text


async def test_nobody_is_advised_to_open_valkey_to_everybody(valkey, tmp_path):
    """Without a name, and by any password, who comes is `default`, who needs none."""
    at = f"127.0.0.1:{valkey.port}/0"
    unnamed = await advice(f"redis://{at}", tmp_path)
    assert unnamed.startswith("CALLER_REDIS_URL names no user and no password")
    assert "write redis://caller:password@host:6379/0" in unnamed
    default = await advice(f"redis://default:any@{at}", tmp_path)
    assert default.startswith("CALLER_REDIS_URL leads to the user `default`")
    for text in (unnamed, default):
        assert "add +" not in text
        assert "ACL SETUSER" not in text
        assert "Give `default` no rights" in text


async def test_another_database_number_is_told_with_both_ways_out(valkey, tmp_path):
    text = await advice(valkey.url().replace("/0", "/1"), tmp_path)
    assert "/0 at the end of CALLER_REDIS_URL" in text
    assert "add +select to its line" in text
    assert "`caller check`" not in text


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


def test_the_password_of_valkey_lies_in_no_file(valkey):
    command = Path(f"/proc/{valkey.process.pid}/cmdline")
    assert not command.exists() or PASSWORD not in command.read_text()
    # Dead, it leaves what it has written as it is.
    valkey.process.kill()
    valkey.process.wait()
    files = [path for path in valkey.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def listening(arguments, environ, folder):
    """Return the line that says on what the script lets Valkey listen, and its arguments."""
    server = folder / "valkey-server"
    server.write_text('#!/bin/sh\necho "$@"\nexec cat\n')
    server.chmod(0o755)
    told = {"PATH": f"{folder}:{os.environ['PATH']}", "VALKEY_PASSWORD": PASSWORD}
    command = ["sh", DEPLOY / "valkey.sh", *arguments]
    shown = subprocess.run(
        command, env=told | environ, capture_output=True, text=True, check=True
    ).stdout
    called, *lines = shown.splitlines()
    (bound,) = [line for line in lines if line.startswith("bind ")]
    return called, bound


def test_by_hand_valkey_listens_on_this_machine_only(tmp_path):
    assert listening([], {}, tmp_path) == ("-", "bind 127.0.0.1 -::1")
    everywhere = {"VALKEY_BIND": "* -::*"}
    assert listening(["--port", "7"], everywhere, tmp_path) == ("--port 7 -", "bind * -::*")
    for file in ("compose.stores.yaml", "compose.roles.yaml"):
        assert 'VALKEY_BIND: "* -::*"' in (DEPLOY / file).read_text(), file


def run_again(postgres, password):
    """Run the script as an operator does; return what it says where it fails."""
    told = {"PGHOST": str(postgres.directory), "POSTGRES_USER": "operator"}
    path = f"{postgres._binaries}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", DEPLOY / "postgres.sh"],
        env={**os.environ, **told, "PATH": path, "DATABASE_PASSWORD": password},
        capture_output=True,
        text=True,
        check=False,
    )
    assert password not in done.stdout + done.stderr
    return done.stderr if done.returncode else ""


def test_what_makes_the_database_may_run_again_and_sets_the_password(postgres):
    operator = as_operator(postgres)

    def rows(statement):
        return asyncio.run(executed(operator, statement))

    kept = "SELECT oid, datdba, datacl FROM pg_database WHERE datname = 'caller'"
    secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'caller'"
    before, old = rows(kept), rows(secret)
    rows("ALTER ROLE caller CREATEDB")
    assert run_again(postgres, "another-password") == ""
    assert rows(kept) == before
    assert rows(secret) != old
    assert rows("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'caller'")[0][0] is False


def test_a_database_of_somebody_else_is_left_alone(postgres):
    operator = as_operator(postgres)
    asyncio.run(executed(operator, "ALTER DATABASE caller OWNER TO operator"))
    secret = "SELECT rolpassword FROM pg_authid WHERE rolname = 'caller'"
    before = asyncio.run(executed(operator, secret))
    said = run_again(postgres, "another-password")
    assert "belongs to another role" in said
    assert "ALTER DATABASE caller OWNER TO caller" in said
    assert asyncio.run(executed(operator, secret)) == before


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
