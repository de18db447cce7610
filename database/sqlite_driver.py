"""Runs each statement of SQLite in one switch to its connection's thread.

aiosqlite switches for the cursor, for the statement, for its rows and for the cursor's end. Each
switch wakes two threads, and costs more than most statements.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import Any, TypeVar

import aiosqlite
from aiosqlite.core import _connection_worker_thread

ITERATION_CHUNK = 64
"""What aiosqlite asks for. Cursors of ours have all their rows, and are never iterated over."""

_Result = TypeVar("_Result")
Prepare = Callable[[sqlite3.Connection], None]


def connect(prepare: Prepare) -> Callable[..., Connection]:
    """Return what makes connections, with the parameters of `sqlite3.connect`.

    A connection is opened, and then prepared, when it is awaited.
    """

    def make(*where: Any, **options: Any) -> Connection:
        return Connection(lambda: sqlite3.connect(*where, **options), prepare)

    return make


def _work(asked: Any) -> None:
    """Do on a connection's thread what is asked of it, until it is closed or its loop is."""
    while True:
        # What statements raise goes to their callers. This error means that no caller is left: they
        # have given up, and the loop was closed before the disk had answered.
        with contextlib.suppress(RuntimeError):
            _connection_worker_thread(asked)
            return
        # What was asked behind it is done all the same: it is to be closed.
        if asked.empty():
            return


class Connection(aiosqlite.Connection):
    """A connection whose cursors have read all their rows when their statement has run."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], prepare: Prepare) -> None:
        super().__init__(connector, ITERATION_CHUNK)
        self._prepare = prepare
        # A process that ends waits for no statement.
        self._thread = Thread(target=_work, args=(self._tx,), daemon=True)

    async def _connect(self) -> Connection:
        await super()._connect()
        try:
            await self._on_thread(lambda: self._prepare(self._conn))
        except Exception:
            await self.close()
            raise
        except BaseException:
            # A caller that has given up does not wait for the thread.
            self.stop()
            raise
        return self

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Return a cursor, for which nothing is asked yet."""
        return Cursor(self)

    async def run(
        self, work: Callable[[sqlite3.Cursor], object]
    ) -> tuple[Any, int, int | None, list[Any]]:
        """Run a statement on its thread; return its description, row count, row id and rows."""

        def run_and_read() -> tuple[Any, int, int | None, list[Any]]:
            cursor = self._conn.cursor()
            try:
                work(cursor)
                rows = cursor.fetchall() if cursor.description else []
                return cursor.description, cursor.rowcount, cursor.lastrowid, rows
            finally:
                cursor.close()

        return await self._on_thread(run_and_read)

    async def _on_thread(self, work: Callable[[], _Result]) -> _Result:
        result: _Result = await self._execute(work)  # type: ignore[no-untyped-call]
        return result


class Cursor:
    """One statement and its rows, as PEP 249 names them; each `async` that waits says so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1
        self._rows: list[Any] = []

    async def __aenter__(self) -> Cursor:
        """Begin without a wait, for there is nothing to open."""
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement and read its rows."""
        await self._run(lambda cursor: cursor.execute(sql, parameters))

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each set of parameters."""
        await self._run(lambda cursor: cursor.executemany(sql, parameters))

    async def fetchall(self) -> list[Any]:
        """Return the rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Forget the rows; SQLite's own cursor is closed already."""
        self._rows = []

    async def _run(self, work: Callable[[sqlite3.Cursor], object]) -> None:
        outcome = await self._connection.run(work)
        self.description, self.rowcount, self.lastrowid, self._rows = outcome
