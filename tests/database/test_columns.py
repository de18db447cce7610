"""Times in the database: UTC, whatever zone they come in, and never without one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from database.columns import NAMING_CONVENTION, UtcDateTime
from database.engine import TIMEOUT_S, create_engine, writing
from tests.postgres import sqlite_threads_ended

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
moments = sa.Table(
    "moments", metadata, sa.Column("id", sa.Integer, unique=True), sa.Column("at", UtcDateTime)
)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
async def engine(database_url):
    """A database with one table: `moments`, which has none."""
    engine = create_engine(database_url)
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()
    await sqlite_threads_ended()


async def kept(engine, at):
    async with writing(engine, TIMEOUT_S) as connection:
        await connection.execute(sa.insert(moments).values(id=1, at=at))
        return await connection.scalar(sa.select(moments.c.at))


@pytest.mark.parametrize("at", [NOON, NOON.astimezone(timezone(timedelta(hours=9))), None])
async def test_a_time_comes_back_in_utc(engine, at):
    found = await kept(engine, at)
    assert found == at
    assert at is None or found.tzinfo is UTC


async def test_a_time_without_a_zone_is_a_bug(engine):
    with pytest.raises(sa.exc.StatementError, match="AssertionError"):
        await kept(engine, NOON.replace(tzinfo=None))


def test_constraints_are_named_by_what_they_bind():
    (unique,) = (each for each in moments.constraints if isinstance(each, sa.UniqueConstraint))
    assert unique.name == "uq_moments_id"
