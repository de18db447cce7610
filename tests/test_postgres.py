"""A database that is lent again is as its template, whatever the test before did to it."""

import contextlib

import asyncpg
import pytest

COPY = "lent"
TABLE = """
CREATE TABLE words (id serial PRIMARY KEY, word text);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'rows are immutable'; END $$;
CREATE TRIGGER immutable BEFORE DELETE ON words FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def template(postgres_server):
    name = "template_of_words"
    postgres_server._execute("postgres", f"CREATE DATABASE {name} OWNER caller")
    yield name
    for each in (name, COPY):
        postgres_server.drop_database(each)


async def ask(server, *statements, database=COPY):
    """Return what the last statement says."""
    connection = await asyncpg.connect(server.operator_url(database))
    try:
        for each in statements[:-1]:
            await connection.execute(each)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


ADD = "INSERT INTO words (word) VALUES ('one') RETURNING id"
COUNT = "SELECT count(*) FROM words"
WHICH = "SELECT oid FROM pg_database WHERE datname = current_database()"


async def test_rows_go_and_the_files_stay(postgres_server, template):
    await ask(postgres_server, TABLE, "SELECT 1", database=template)
    seen = []
    for _ in range(3):
        postgres_server.lend_copy(template, COPY)
        assert await ask(postgres_server, COUNT) == 0
        assert await ask(postgres_server, ADD) == 1, "numbers begin anew"
        with pytest.raises(asyncpg.RaiseError):
            await ask(postgres_server, "DELETE FROM words")
        seen.append(await ask(postgres_server, WHICH))
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE words ADD COLUMN more text",
        "DROP TRIGGER immutable ON words",
        "ALTER TABLE words DISABLE TRIGGER immutable",
        "DROP TABLE words",
        "CREATE TABLE others (word text)",
        "CREATE INDEX by_word ON words (word)",
    ],
)
async def test_what_is_not_a_row_makes_it_a_new_copy(postgres_server, template, change):
    await ask(postgres_server, TABLE, "SELECT 1", database=template)
    postgres_server.lend_copy(template, COPY)
    before = await ask(postgres_server, change, WHICH)
    postgres_server.lend_copy(template, COPY)
    assert await ask(postgres_server, WHICH) != before
    assert await ask(postgres_server, ADD) == 1
    tables = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'"
    assert await ask(postgres_server, tables) == 2
    with pytest.raises(asyncpg.RaiseError):
        await ask(postgres_server, "DELETE FROM words")


async def test_rows_of_a_template_are_there_each_time(postgres_server, template):
    await ask(postgres_server, TABLE, ADD, database=template)
    for _ in range(2):
        postgres_server.lend_copy(template, COPY)
        assert await ask(postgres_server, COUNT) == 1
        await ask(postgres_server, ADD)


async def test_who_is_still_connected_is_put_out(postgres_server, template):
    await ask(postgres_server, TABLE, "SELECT 1", database=template)
    postgres_server.lend_copy(template, COPY)
    connection = await asyncpg.connect(postgres_server.operator_url(COPY))
    await connection.execute("BEGIN; INSERT INTO words (word) VALUES ('left open')")
    postgres_server.lend_copy(template, COPY)
    assert await ask(postgres_server, COUNT) == 0
    with contextlib.suppress(asyncpg.PostgresError, OSError):
        await connection.close(timeout=5)
