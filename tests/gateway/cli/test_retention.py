"""`caller retention run`: what would go is counted, what goes is told, one process at a time."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from billing.stores import tables
from gateway.cli import retention
from gateway.errors import EXIT_UNAVAILABLE
from gateway.privacy.retention import DUTY
from gateway.roles.storage import migrated_database
from gateway.settings_variables import from_mapping
from gateway.stores.duties import SqlDuties
from tests.gateway.personal_data.test_retention import add_holder, call


@pytest.fixture
def environ(tmp_path):
    return {"CALLER_DATA_DIR": str(tmp_path / "data")}


def caller(environ, *arguments):
    done = CliRunner().invoke(retention.app, ["run", *arguments], obj=environ)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def with_book(environ, work):
    async def run():
        async with migrated_database(from_mapping(environ)) as engine:
            return await work(engine)

    return asyncio.run(run())


def counts(output):
    """Return kind -> the number beside it."""
    cells = [[each.strip() for each in line.split("│")] for line in output.splitlines()]
    return {row[1]: row[2] for row in cells if len(row) == 4}


async def two_old_calls(engine):
    long_ago = datetime.now(UTC) - timedelta(days=400)
    async with engine.begin() as connection:
        await add_holder(connection, "alice", long_ago, proven=True)
        rows = [call("c1", long_ago), call("c2", long_ago)]
        await connection.execute(sa.insert(tables.calls), rows)


def test_a_dry_run_changes_nothing_and_a_run_says_what_went(environ):
    with_book(environ, two_old_calls)
    for _ in range(2):
        code, output = caller(environ, "--dry-run")
        assert (code, counts(output)["calls"], counts(output)["devices"]) == (0, "2", "0")
    code, output = caller(environ)
    assert (code, counts(output)["calls"]) == (0, "2")
    code, output = caller(environ)
    assert (code, counts(output)["calls"]) == (0, "0")


def test_a_run_beside_another_is_refused(environ):
    async def hold(engine):
        assert await SqlDuties(engine, "another").take(DUTY)

    with_book(environ, hold)
    code, output = caller(environ)
    assert code == EXIT_UNAVAILABLE
    said = " ".join(output.split())
    assert "Another process" in said
    assert "or was killed" in said
    told = re.search(r"Try again at (\d\d:\d\d:\d\d) UTC", said)[1]

    async def held_until(engine):
        return await SqlDuties(engine, "a third").held_until(DUTY)

    until = with_book(environ, held_until)
    assert told == f"{until + timedelta(seconds=1):%H:%M:%S}"
