"""Migrations: from nothing to the tables, on both databases, however many start at once."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import settings

from accounts.stores.tables import metadata as people
from billing.ports import PartitionMark
from billing.stores.tables import metadata
from database import migrations
from database.columns import UtcDateTime
from database.engine import create_engine
from database.migrations import migrate
from gateway.buttons.tables import metadata as buttons
from gateway.stores.duties import metadata as duties
from gateway.stores.fraud import metadata as fraud
from gateway.stores.mail_outbox import metadata as mails
from gateway.stores.sent_forms import metadata as forms
from gateway.supervision.store import metadata as supervision
from gateway.webhooks.tables import metadata as webhooks
from tests.billing.outbox_entries import closed, closing, opened

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[3]
DOMAINS = [metadata, people, mails, duties, fraud, buttons, supervision, webhooks, forms]
"""All that share the one database."""


def tables():
    """Return the tables of all domains by their names."""
    return {name: table for domain in DOMAINS for name, table in domain.tables.items()}


async def test_migrations_build_exactly_the_tables(engine):
    def differences(connection):
        context = MigrationContext.configure(
            connection,
            opts={"compare_server_default": True},
        )
        return compare_metadata(context, DOMAINS)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_indexes_and_constraints_are_the_tables_own(engine):
    def names(connection):
        inspector = sa.inspect(connection)
        found = set()
        for table in tables():
            found |= {index["name"] for index in inspector.get_indexes(table)}
            found |= {check["name"] for check in inspector.get_check_constraints(table)}
            found.add(inspector.get_pk_constraint(table)["name"])
            found |= {key["name"] for key in inspector.get_foreign_keys(table)}
            found |= {key["name"] for key in inspector.get_unique_constraints(table)}
        return found

    def expected():
        for table in tables().values():
            yield from (index.name for index in table.indexes)
            yield from (constraint.name for constraint in table.constraints)

    async with engine.connect() as connection:
        found = await connection.run_sync(names)
    assert {str(name) for name in expected()} <= found


async def test_migrating_again_changes_nothing(engine):
    async with engine.begin() as connection:
        await connection.execute(
            sa.insert(metadata.tables["partitions"]),
            {"partition": 1, "drained_count": 1, "drained_at": NOW},
        )
    await migrate(engine)
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(metadata.tables["partitions"].c.partition))
        assert rows.scalars().all() == [1]


async def migrate_together(url, count):
    """Start several migrations at once; return what went wrong in any of them."""
    engines = [create_engine(url) for _ in range(count)]
    outcomes = await asyncio.gather(*map(migrate, engines), return_exceptions=True)
    for engine in engines:
        await engine.dispose()
    return [outcome for outcome in outcomes if outcome is not None]


async def test_starters_that_come_together_take_turns(database_url):
    assert await migrate_together(database_url, 4) == []
    engine = create_engine(database_url)
    async with engine.connect() as connection:
        version = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        assert len(version.all()) == 1
    await engine.dispose()


@pytest.mark.thorough
async def test_starters_on_a_fresh_file_never_get_in_each_other_s_way(tmp_path):
    """SQLite refuses at once, instead of waiting, where two change a file's journal mode."""
    for number in range(settings.default.max_examples // 5):
        path = tmp_path / f"{number}.db"
        assert await migrate_together(f"sqlite:///{path}", 6) == []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.thorough
def test_processes_that_start_together_take_turns(tmp_path):
    program = (
        "import asyncio, sys\n"
        "from database.engine import create_engine\n"
        "from database.migrations import migrate\n"
        "sys.stdin.readline()\n"
        "asyncio.run(migrate(create_engine(sys.argv[1])))\n"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"sqlite:///{tmp_path}/book.db"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for starter in starters:
        starter.stdin.write(b"go\n")
        starter.stdin.flush()
    outcomes = [(*starter.communicate(timeout=30), starter.returncode) for starter in starters]
    assert [code for _, _, code in outcomes] == [0, 0, 0], outcomes


async def test_a_fresh_sqlite_file_is_written_to_the_disk_once(tmp_path):
    """All migrations are one transaction: a fresh file is ready in a blink."""
    commits = []
    note = commits.append
    sa.event.listen(sa.engine.Engine, "commit", note)
    engine = create_engine(f"sqlite:///{tmp_path}/book.db")
    try:
        await migrate(engine)
    finally:
        sa.event.remove(sa.engine.Engine, "commit", note)
        await engine.dispose()
    assert len(commits) == 1


def go_back(connection, revision):
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    command.downgrade(config, revision)


async def test_keys_of_before_scopes_may_do_what_they_could_and_new_ones_may_dial(engine):
    async with engine.begin() as connection:
        await connection.run_sync(go_back, "0003")
        account = {"id": "alice", "slot": 1, "currency": "USD", "frozen": False, "created_at": NOW}
        await connection.execute(
            sa.insert(metadata.tables["accounts"]).values(account | {"email": ""})
        )
        await connection.execute(_key("old"))
    await migrate(engine)
    keys = metadata.tables["api_keys"].c
    async with engine.begin() as connection:
        # As a process of the version before still writes them.
        await connection.execute(_key("new"))
        rows = await connection.execute(
            sa.select(keys.id, keys.scopes, keys.expires_at).order_by(keys.id.desc())
        )
        assert [tuple(row) for row in rows] == [
            ("old", "calls records payments account", None),
            ("new", "calls", None),
        ]


def _key(name):
    columns = ("id", "key_hash", "account_id", "label", "created_at")
    keys = sa.table("api_keys", *map(sa.column, columns))
    return sa.insert(keys).values(
        id=name,
        key_hash=name,
        account_id="alice",
        label="",
        created_at=sa.literal(NOW, UtcDateTime()),
    )


async def test_charged_calls_of_before_say_when_they_were_answered_at_the_latest(engine, store):
    """A node's death left its calls without."""
    calls = metadata.tables["calls"]
    lasted = {"settled": 7, "free": 0, "known": 7}
    for call_id, seconds in lasted.items():
        await store.apply_outbox(0, [opened(call_id, 1), closed(call_id, 1, seconds)])
    unanswered = sa.update(calls).where(calls.c.id != "known").values(answered_at=None)
    async with engine.begin() as connection:
        await connection.execute(unanswered)
        await connection.run_sync(go_back, "0006")
    await migrate(engine)
    async with engine.connect() as connection:
        rows = await connection.execute(sa.select(calls.c.id, calls.c.answered_at))
        found = {row.id: row.answered_at for row in rows}
    ended_at = closing(7).ended_at
    assert found == {
        "settled": ended_at - timedelta(seconds=7),
        "free": None,
        "known": closing(7).answered_at,
    }


async def test_the_way_back_leaves_nothing(engine):
    def downgrade(connection):
        go_back(connection, "base")
        inspector = sa.inspect(connection)
        return inspector.get_table_names(), inspector.get_view_names()

    async with engine.begin() as connection:
        assert await connection.run_sync(downgrade) == (["alembic_version"], [])


@pytest.mark.parametrize("table", ["credits", "transfers"])
async def test_the_database_itself_refuses_to_rewrite_the_past(engine, store, table):
    for statement in (f"UPDATE {table} SET micros = micros + 1", f"DELETE FROM {table}"):
        with pytest.raises(sa.exc.DBAPIError, match="immutable"):
            async with engine.begin() as connection:
                await connection.execute(sa.text(statement))


async def test_postgres_refuses_to_truncate_the_ledger(engine):
    if engine.dialect.name == "postgresql":
        with pytest.raises(sa.exc.DBAPIError, match="immutable"):
            async with engine.begin() as connection:
                await connection.execute(sa.text("TRUNCATE transfers"))


async def test_of_what_was_booked_before_there_were_marks_nothing_is_known(engine, store):
    await store.apply_outbox(0, [opened("c1", 1)])
    async with engine.begin() as connection:
        await connection.run_sync(go_back, "0008")
    await migrate(engine)
    assert await store.marks() == {0: PartitionMark()}
    entry = opened("c2", 1)
    await store.apply_outbox(0, [entry])
    assert await store.marks() == {0: PartitionMark(entry.entry_id)}
