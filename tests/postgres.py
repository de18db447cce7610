"""A PostgreSQL server of the test session's own, and databases on it.

Fixtures for all tests: `postgres_server`; `database_url`, one empty file or database for each test,
SQLite and PostgreSQL in turn; `engine`, the same with its tables, copied from one that was migrated
once (`sqlite_engine`, `postgres_engine`: one of the two).

Whoever connects by a server's `url` is the role that `deploy/postgres.sh` makes: it owns its
databases and may do nothing else. Tests that look behind it do so as `operator`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from database.engine import create_engine
from database.migrations import migrate
from tests.valkey import PASSWORD

START_TIMEOUT_S = 30
BOOK = "book"
"""The PostgreSQL database of each test that wants tables."""
SCRIPT = Path(__file__).parents[1] / "deploy" / "postgres.sh"
DEBIAN_BINARIES = Path("/usr/lib/postgresql")

FAST = {
    # A crash of the machine may cost the tests their data; one of the server may not.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "listen_addresses": "",
}

_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
"""

_WATCHED = """
CREATE SCHEMA watch;
CREATE TABLE watch.changes (what text);
CREATE FUNCTION watch.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS
    $$ BEGIN INSERT INTO watch.changes VALUES (tg_tag); END $$;
CREATE VIEW watch.books AS
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version';
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT * FROM watch.books LOOP
        EXECUTE format(
            'INSERT INTO watch.changes SELECT %L WHERE EXISTS (SELECT FROM public.%I)',
            'rows of the template', each.relname);
    END LOOP;
END $$;
CREATE EVENT TRIGGER changed ON ddl_command_end EXECUTE FUNCTION watch.note();
"""
"""Lets a database say whether without its rows it would be as it was."""

_EMPTIED = """
DO $$
DECLARE
    each record;
BEGIN
    IF EXISTS (SELECT FROM watch.changes) THEN
        RAISE EXCEPTION 'without its rows it would not be as it was';
    END IF;
    -- Nothing is immutable here, and no order of foreign keys is kept.
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT * FROM watch.books LOOP
        EXECUTE format('DELETE FROM public.%I', each.relname);
    END LOOP;
    FOR each IN SELECT * FROM pg_sequences WHERE last_value IS NOT NULL LOOP
        PERFORM setval(format('%I.%I', each.schemaname, each.sequencename),
            each.start_value, false);
    END LOOP;
END $$;
"""


class PostgresServer:
    """A private cluster on a Unix socket, in a directory of its own."""

    def __init__(self, binaries: Path, told: Mapping[str, str] | None = None) -> None:
        """Take the server's programs, and what the script is told that makes the role."""
        self._binaries = binaries
        self._told = told or {"DATABASE_PASSWORD": PASSWORD}
        # Not pytest's directory: that is closed to the user the server runs as, and its path is
        # longer than a socket's may be.
        self.directory = Path(tempfile.mkdtemp(prefix="caller-pg-"))
        self._data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _unprivileged_user()
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._names = (f"test{number}" for number in itertools.count())
        self._clean: list[str] = []
        self._copies: dict[str, str] = {}
        self._has_role = False

    def initialise(self) -> None:
        """Create the cluster."""
        subprocess.run(
            [
                self._binaries / "initdb",
                "-D",
                self._data,
                "-U",
                "operator",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._identity(),
        )

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        # The server goes when the test process does, however that ends.
        guard = ["setpriv", "--pdeathsig", "QUIT"] if shutil.which("setpriv") else []
        settings = FAST | {"unix_socket_directories": str(self.directory)}
        options = itertools.chain.from_iterable(("-c", f"{k}={v}") for k, v in settings.items())
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, self._binaries / "postgres", "-D", self._data, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._identity(),
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.01)
        if not self._has_role:
            self._make_role()

    def _make_role(self) -> None:
        """Make the gateway's role and database as they are made where it is deployed."""
        told = {"PGHOST": str(self.directory), "POSTGRES_USER": "operator"}
        path = f"{self._binaries}:{os.environ['PATH']}"
        subprocess.run(
            ["sh", SCRIPT],
            env={**os.environ, **told, **self._told, "PATH": path},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self._has_role = True

    def kill(self) -> None:
        """End the server as a crash would; its data survives."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Stop every process of the server where it stands: connections stay, nothing answers."""
        # The first of them starts the others: none comes once it stands, though one may still go.
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the server and remove its files."""
        if self._process is not None:
            self.resume()
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the URL by which the gateway reaches a database."""
        return f"postgresql://caller@/{database}?host={self.directory}"

    def operator_url(self, database: str) -> str:
        """Return the URL by which a superuser reaches it."""
        return f"postgresql://operator@/{database}?host={self.directory}"

    def lend_database(self) -> str:
        """Return the name of an empty database that nobody else uses."""
        if self._clean:
            return self._clean.pop()
        name = next(self._names)
        self._execute("postgres", f"CREATE DATABASE {name} OWNER caller")
        return name

    def copy_database(self, template: str, name: str) -> None:
        """Make a copy of a database to which nobody is connected."""
        copied = f"OWNER caller TEMPLATE {template} STRATEGY FILE_COPY"
        self._execute("postgres", f"CREATE DATABASE {name} {copied}")

    def drop_database(self, name: str) -> None:
        """Remove a database, ending whoever is still connected."""
        self._copies = {c: t for c, t in self._copies.items() if name not in (c, t)}
        self._execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def lend_copy(self, template: str, name: str) -> None:
        """Make a database a copy of another: anew, unless it is enough to remove an old one's rows.

        Which is five times faster.
        """
        if self._copies.get(name) == template and self._empty(name):
            return
        self._execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.copy_database(template, name)
        self._execute(name, _WATCHED)
        self._copies[name] = template

    def _empty(self, name: str) -> bool:
        """Remove all rows; return False where that would not make it a copy again."""
        try:
            self._execute(name, _END_OTHERS + _EMPTIED)
        except asyncpg.RaiseError:
            return False
        return True

    def take_back_database(self, name: str) -> None:
        """Empty a database, ending whoever is still connected; ten times faster than a new one."""
        self._execute(
            name,
            # As a new database has it.
            _END_OTHERS
            + "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner",
        )
        self._clean.append(name)

    def _execute(self, database: str, statements: str) -> None:
        async def execute() -> None:
            connection = await asyncpg.connect(self.operator_url(database))
            try:
                await connection.execute(statements)
            finally:
                await connection.close()

        # In a thread, as the caller's may be running an event loop already.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, execute()).result()

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.directory}
        return {
            "cwd": self.directory,
            "user": self._user.pw_uid,
            "group": self._user.pw_gid,
            "extra_groups": [],
        }

    def _is_ready(self) -> bool:
        # The file's last line is how `pg_ctl -w` knows as well.
        try:
            return (self._data / "postmaster.pid").read_text().rstrip().endswith("ready")
        except FileNotFoundError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in map(int, children.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@contextlib.asynccontextmanager
async def past_the_rules(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that may change any row of a book, as its operator's own tools can.

    PostgreSQL lets only a superuser past triggers and foreign keys. SQLite's triggers are gone in
    the meantime, and its foreign keys are checked by nobody.
    """
    if engine.dialect.name == "postgresql":
        operator = create_engine(engine.url.set(username="operator"))
        try:
            async with operator.begin() as connection:
                await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
                yield connection
        finally:
            await operator.dispose()
        return
    async with engine.connect() as connection:
        # Before the transaction: within one it has no effect.
        raw: Any = await connection.get_raw_connection()
        await raw.driver_connection.execute("PRAGMA foreign_keys = OFF")
        try:
            async with connection.begin():
                triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
                rows = (await connection.exec_driver_sql(triggers)).all()
                for row in rows:
                    await connection.exec_driver_sql(f"DROP TRIGGER {row.name}")
                yield connection
                for row in rows:
                    await connection.exec_driver_sql(row.sql)
        finally:
            await raw.driver_connection.execute("PRAGMA foreign_keys = ON")


async def sqlite_threads_ended() -> None:
    """Wait for the threads of SQLite connections that could not be opened.

    aiosqlite stops them without waiting, and they report to the event loop, gone or not.
    """
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _find_binaries() -> Path | None:
    if found := shutil.which("postgres"):
        # Packages link single programs; their neighbours are where the link leads.
        return Path(found).resolve().parent
    versions = DEBIAN_BINARIES.glob("*/bin/postgres")
    newest = max(versions, key=lambda path: float(path.parts[-3]), default=None)
    return newest and newest.parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running server, shared by the session."""
    binaries = _find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine: `make test-all` installs one")
    server = PostgresServer(binaries)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    name = postgres_server.lend_database()
    yield postgres_server.url(name)
    postgres_server.take_back_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/book.db"
    return str(request.getfixturevalue("postgres_url"))


def run_now(work: Callable[[AsyncEngine], Awaitable[object]], url: str) -> None:
    """Do something with a database, whatever event loop the caller runs in."""

    async def run() -> None:
        engine = create_engine(url)
        try:
            await work(engine)
        finally:
            await engine.dispose()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run()).result()


@cache
def new_book() -> bytes:
    """Return the file of an SQLite database with all tables and no rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "book.db")
        run_now(migrate, f"sqlite:///{file}")
        return file.read_bytes()


@pytest.fixture(scope="module")
def migrated_books() -> Iterator[None]:
    """Let whoever starts in this process on no SQLite database find one that has its tables.

    What is in the file is what a migration would make there, in a hundredth of the time.
    """
    from gateway.roles import storage

    async def migrate_copy(engine: AsyncEngine, **options: Any) -> None:
        file = Path(engine.url.database or "")
        if engine.dialect.name == "sqlite" and not (file.exists() and file.stat().st_size):
            file.write_bytes(new_book())
        await migrate(engine, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "migrate", migrate_copy)
        yield


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That file, to be copied."""
    template = tmp_path_factory.mktemp("template") / "book.db"
    template.write_bytes(new_book())
    return template


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a database with all tables and no rows, to be copied."""
    name = postgres_server.lend_database()
    run_now(migrate, postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def engines() -> dict[str, AsyncEngine]:
    """An engine for each database of tables, by its URL, for all tests of a worker.

    An engine keeps the statements that it has compiled, which costs more than to run them.
    """
    return {}


@pytest.fixture(scope="session")
def sqlite_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the SQLite database of each test lies."""
    return tmp_path_factory.mktemp("book") / "book.db"


@pytest.fixture
async def sqlite_engine(
    engines: dict[str, AsyncEngine], sqlite_template: Path, sqlite_book: Path
) -> AsyncIterator[AsyncEngine]:
    """An SQLite database that has its tables."""
    for file in sqlite_book.parent.iterdir():
        file.unlink()
    shutil.copyfile(sqlite_template, sqlite_book)
    async with _lent(engines, f"sqlite:///{sqlite_book}") as engine:
        yield engine


@pytest.fixture
async def postgres_engine(
    engines: dict[str, AsyncEngine], postgres_server: PostgresServer, postgres_template: str
) -> AsyncIterator[AsyncEngine]:
    """A PostgreSQL database that has its tables."""
    postgres_server.lend_copy(postgres_template, BOOK)
    async with _lent(engines, postgres_server.url(BOOK)) as engine:
        yield engine


@contextlib.asynccontextmanager
async def _lent(engines: dict[str, AsyncEngine], url: str) -> AsyncIterator[AsyncEngine]:
    engine = engines.setdefault(url, create_engine(url))
    yield engine
    await engine.dispose()


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known of tests whose cases do not need each kind of database."""
    config.addinivalue_line("markers", "by_turns: its cases take SQLite and PostgreSQL by turns")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out each second case of tests that are marked `by_turns`.

    What their parameters change does not meet the kind of database: each parameter's values still
    meet all of the others', and both databases if there is another parameter.
    """
    left_out = [item for item in items if item.get_closest_marker("by_turns") and _is_odd(item)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _is_odd(item: pytest.Item) -> bool:
    """Return whether a case with parameters is of the other colour on the board of all cases."""
    params: dict[str, Any] = item.callspec.params  # type: ignore[attr-defined]
    marks = list(item.iter_markers("parametrize"))
    steps = sum(list(mark.args[1]).index(params[mark.args[0]]) for mark in marks)
    return bool(marks) and (steps + (params["engine"] == "postgres")) % 2 > 0


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> AsyncEngine:
    """A database of either kind that has its tables."""
    engine: AsyncEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine
