"""Statements of SQLite, each in one switch to the connection's thread."""

import asyncio
import sqlite3
import threading

import pytest

from database import sqlite_driver


@pytest.fixture
async def connection(tmp_path):
    connection = await sqlite_driver.connect(lambda _: None)(tmp_path / "book.db")
    yield connection
    await connection.close()


async def run(connection, sql, parameters=()):
    cursor = connection.cursor()
    await cursor.execute(sql, parameters)
    return cursor


async def test_a_connection_is_prepared_before_it_is_used(tmp_path):
    def prepare(connection):
        connection.execute("PRAGMA user_version = 7")

    connection = await sqlite_driver.connect(prepare)(tmp_path / "book.db")
    cursor = await run(connection, "PRAGMA user_version")
    assert await cursor.fetchall() == [(7,)]
    await connection.close()


async def test_a_connection_that_cannot_be_prepared_is_closed(tmp_path):
    opened = []

    def prepare(connection):
        opened.append(connection)
        raise sqlite3.DatabaseError("not a database")

    connection = sqlite_driver.connect(prepare)(tmp_path / "book.db", check_same_thread=False)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await connection
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


async def test_who_gives_up_a_connection_that_is_prepared_waits_no_longer(tmp_path):
    begun, may_end = threading.Event(), threading.Event()

    def prepare(_):
        begun.set()
        may_end.wait()

    async def open_it():
        await sqlite_driver.connect(prepare)(tmp_path / "book.db")

    opening = asyncio.create_task(open_it())
    await asyncio.to_thread(begun.wait)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    (thread,) = (one for one in threading.enumerate() if "(_work)" in one.name)
    may_end.set()
    await asyncio.to_thread(thread.join)


def test_a_thread_whose_loop_was_closed_meanwhile_ends_without_a_word(tmp_path, monkeypatch):
    begun, may_end, faults, opened = threading.Event(), threading.Event(), [], []
    monkeypatch.setattr(threading, "excepthook", faults.append)

    def prepare(connection):
        opened.append(connection)
        begun.set()
        may_end.wait()

    async def give_up():
        async def open_it():
            path = tmp_path / "book.db"
            await sqlite_driver.connect(prepare)(path, check_same_thread=False)

        opening = asyncio.create_task(open_it())
        await asyncio.to_thread(begun.wait)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    asyncio.run(give_up())
    (thread,) = (one for one in threading.enumerate() if "(_work)" in one.name)
    may_end.set()
    thread.join()
    assert faults == []
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


async def test_a_statement_leaves_its_rows_and_what_is_known_of_them(connection):
    await run(connection, "CREATE TABLE words (word TEXT)")
    added = await run(connection, "INSERT INTO words VALUES (?)", ("one",))
    assert (added.rowcount, added.lastrowid, added.description) == (1, 1, None)
    several = connection.cursor()
    await several.executemany("INSERT INTO words VALUES (?)", [("two",), ("three",)])
    assert several.rowcount == 2
    found = await run(connection, "SELECT word FROM words WHERE word <> ?", ("two",))
    assert [column[0] for column in found.description] == ["word"]
    assert await found.fetchall() == [("one",), ("three",)]
    assert await found.fetchall() == []


async def test_a_cursor_is_used_again(connection):
    cursor = connection.cursor()
    for number in (1, 2):
        await cursor.execute("SELECT ?", (number,))
        assert await cursor.fetchall() == [(number,)]
    await cursor.execute("SELECT 3")
    await cursor.close()
    assert await cursor.fetchall() == []


async def test_a_statement_that_fails_says_why_and_leaves_the_connection(connection):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await run(connection, "SELECT word FROM words")
    assert await (await run(connection, "SELECT 1")).fetchall() == [(1,)]


async def test_a_statement_and_its_rows_are_one_switch(connection, monkeypatch):
    switches = []
    switched = connection._execute

    async def counting(work):
        switches.append(work)
        return await switched(work)

    monkeypatch.setattr(connection, "_execute", counting)
    cursor = await connection.cursor().__aenter__()
    await cursor.execute("SELECT 1")
    await cursor.fetchall()
    await cursor.close()
    assert len(switches) == 1
