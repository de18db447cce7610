"""Why a store does not let us in: of real servers, in sentences that show no part of a password."""

import asyncio
import os
import socket
import sqlite3
import ssl

import asyncpg
import pytest
from redis.exceptions import InvalidResponse, ResponseError

from billing.stores.redis_client import UnfitStoreError, connect, disconnect, preflight
from database import refusals, schema
from database.engine import create_engine, reading, writing
from database.errors import StoreFullError, StoreUnavailableError, UnfitBookError
from database.migrations import migrate
from tests.tcp_server import tcp_server
from tests.valkey import ValkeyServer, free_port


async def refused(url, wanted=UnfitBookError):
    """Return what is said of a database that does not let us in."""
    engine = create_engine(url)
    try:
        with pytest.raises(wanted) as caught:
            async with reading(engine, 5):
                pass
    finally:
        await engine.dispose()
    return str(caught.value), caught.value


@pytest.fixture
async def server(postgres_server):
    """Return a way to run SQL as the server's owner, and the URLs of other users."""
    name = postgres_server.lend_database()

    class Server:
        @staticmethod
        async def run(*statements):
            connection = await asyncpg.connect(postgres_server.operator_url(name))
            try:
                return [await connection.fetch(statement) for statement in statements][-1]
            finally:
                await connection.close()

        @staticmethod
        def of(user, database=name, password="x"):
            folder = postgres_server.directory
            return f"postgresql://{user}:{password}@/{database}?host={folder}"

    yield Server
    postgres_server.take_back_database(name)


async def test_each_refusal_of_postgresql_is_told_apart(server):
    ((hba,),) = await server.run("SHOW hba_file")
    with open(hba) as file:
        before = file.read()
    owner = os.stat(hba)
    try:
        with open(hba, "w") as file:
            file.write("local all pupil scram-sha-256\n" + before)
        await server.run(
            "DROP ROLE IF EXISTS pupil",
            "CREATE ROLE pupil LOGIN PASSWORD 'right'",
            "SELECT pg_reload_conf()",
        )
        await asyncio.sleep(0.5)
        wrong, _ = await refused(server.of("pupil", password="hunter2"))
        stranger, _ = await refused(server.of("nobody_here"))
        missing, _ = await refused(server.of("pupil", "not_there", "right"))
    finally:
        with open(hba, "w") as file:
            file.write(before)
        os.chown(hba, owner.st_uid, owner.st_gid)
        await server.run("SELECT pg_reload_conf()")
    assert "refuses the password" in wrong
    assert "ALTER ROLE … PASSWORD" in wrong
    assert "refuses the user" in stranger
    assert "has no database of that name" in missing
    for text in (wrong, stranger, missing):
        assert "hunter2" not in text
        assert "right" not in text.replace("rights", "")


async def test_a_role_that_may_not_log_in_is_told_so(server):
    await server.run("DROP ROLE IF EXISTS group_role", "CREATE ROLE group_role NOLOGIN")
    text, _ = await refused(server.of("group_role"))
    await server.run("DROP ROLE group_role")
    assert "ALTER ROLE … LOGIN" in text
    assert "pg_hba" not in text


async def test_a_role_without_the_right_to_connect_is_told_so(server):
    ((name,),) = await server.run("SELECT current_database()")
    await server.run(
        "DROP ROLE IF EXISTS outsider",
        "CREATE ROLE outsider LOGIN",
        f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
    )
    text, _ = await refused(server.of("outsider"))
    await server.run(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC", "DROP ROLE outsider")
    assert "GRANT it CONNECT" in text
    assert "CREATE" not in text


async def passing_of(url):
    _, error = await refused(url, StoreUnavailableError)
    assert not isinstance(error, UnfitBookError)
    return refusals.passing(error)


async def test_a_role_that_is_out_of_connections_is_told_so(server):
    await server.run("DROP ROLE IF EXISTS narrow", "CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    assert "no more connections" in await passing_of(server.of("narrow"))
    await server.run("DROP ROLE narrow")


@pytest.mark.parametrize(
    ("answer", "query", "words"),
    [
        (b"N", "?ssl=require", "takes no TLS"),
        (b"N", "?sslmode=require", "takes no TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "?ssl=disable", "whether PostgreSQL is what listens"),
        (b"-ERR unknown command\r\n", "", "or is no PostgreSQL"),
        (b"", "", "whether PostgreSQL is what listens"),
    ],
)
async def test_a_port_that_answers_otherwise_is_told_apart(answer, query, words):
    async def reply(reader, writer):
        await reader.read(8)
        writer.write(answer)

    async with tcp_server(reply) as port:
        assert words in await passing_of(f"postgresql://u:p@127.0.0.1:{port}/db{query}")


async def fill(engine):
    async with writing(engine, 5) as connection:
        # What SQLite says of a full disk, it says of a bound on its pages.
        await connection.exec_driver_sql("PRAGMA max_page_count = 1")
        for n in range(1000):
            await connection.exec_driver_sql(f"CREATE TABLE t{n} (a)")


async def test_a_full_disk_of_sqlite_is_named(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'book.db'}")
    try:
        await migrate(engine)
        with pytest.raises(StoreFullError, match="its disk is full"):
            await fill(engine)
    finally:
        await engine.dispose()


def test_a_full_disk_of_the_credit_store_is_named():
    said = "MISCONF Errors writing to the AOF file: No space left on device"
    error = refusals.unavailable("the leases cannot be reached", ResponseError(said))
    assert isinstance(error, StoreFullError)
    assert "its disk is full" in str(error)


async def test_a_user_that_may_not_make_tables_is_told_so(server):
    await server.run("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    engine = create_engine(server.of("reader"))
    try:
        found = await schema.look(engine)
        assert (found.age, found.may_change) == (schema.Age.NEW, False)
        with pytest.raises(UnfitBookError, match="GRANT it USAGE and CREATE"):
            await migrate(engine)
    finally:
        await engine.dispose()
        await server.run("DROP ROLE reader")


async def test_a_dead_server_is_no_refusal():
    _, error = await refused(f"postgresql://u:p@127.0.0.1:{free_port()}/db", StoreUnavailableError)
    assert not isinstance(error, UnfitBookError)
    assert refusals.passing(error) == (
        "Nothing listens at its address: start the server, or correct host and port."
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no database at all, but long enough to be read as one" * 9, "is no SQLite database")],
)
async def test_a_file_that_is_no_database(tmp_path, content, words):
    file = tmp_path / "book.db"
    file.write_bytes(content)
    text, _ = await refused(f"sqlite:///{file}")
    assert words in text


async def test_the_age_of_tables(tmp_path):
    file = tmp_path / "book.db"
    engine = create_engine(f"sqlite:///{file}")
    try:
        assert (await schema.look(engine)).age is schema.Age.NEW
        await migrate(engine)
        assert (await schema.look(engine)).age is schema.Age.CURRENT
        with sqlite3.connect(file) as book:
            book.execute("UPDATE alembic_version SET version_num = '0001'")
        assert (await schema.look(engine)).age is schema.Age.OLDER
        with sqlite3.connect(file) as book:
            book.execute("UPDATE alembic_version SET version_num = '9999'")
        for attempt in (schema.look, migrate):
            with pytest.raises(UnfitBookError, match="another release of Caller") as caught:
                await attempt(engine)
            assert "9999" in str(caught.value)
    finally:
        await engine.dispose()


async def asked(url):
    client = connect(url)
    try:
        with pytest.raises(StoreUnavailableError) as caught:
            await preflight(client)
    finally:
        await disconnect(client)
    assert "hunter2" not in str(caught.value)
    return caught.value


async def test_each_refusal_of_the_credit_store_is_told_apart():
    server = ValkeyServer(with_port=True)
    try:
        server.start()
        owner = connect(server.operator_url)
        await owner.config_set("requirepass", "secret")
        await disconnect(owner)
        base = f"127.0.0.1:{server.port}"
        wrong = await asked(f"redis://:hunter2@{base}/0")
        none = await asked(f"redis://{base}/0")
        index = await asked(f"redis://:secret@{base}/999")
        client = connect(f"redis://:secret@{base}/0")
        await client.execute_command("ACL", "SETUSER", "guest", "on", ">guest", "+ping")
        await disconnect(client)
        rights = await asked(f"redis://guest:guest@{base}/0")
    finally:
        server.close()
    for error in (wrong, none, index, rights):
        assert isinstance(error, UnfitStoreError)
    assert "refuses the user or the password" in str(wrong)
    assert "Write there what the server's access list has" in str(wrong)
    assert "wants a password" in str(none)
    assert "redis://user:password@host:6379/0" in str(none)
    assert "no database of the number" in str(index)
    assert "write /0 at its end" in str(index)
    assert str(rights).startswith("The user of CALLER_REDIS_URL lacks +info there; `caller check`")
    gone = await asked(f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert not isinstance(gone, UnfitStoreError)
    assert "Nothing listens" in str(gone)


def test_a_name_that_dns_does_not_know():
    error = StoreUnavailableError("away")
    error.__cause__ = socket.gaierror(-2, "Name or service not known")
    assert refusals.passing(error) == (
        "Its name is not known to DNS: correct it, or this machine's resolver."
    )
    assert refusals.lasting(error) == ""


def test_every_way_in_which_a_server_is_away_says_what_to_do():
    kinds = [
        ConnectionRefusedError,
        FileNotFoundError,
        PermissionError,
        TimeoutError,
        socket.gaierror,
        ssl.SSLCertVerificationError,
        InvalidResponse,
        OSError,
    ]
    for kind in kinds:
        said = refusals.passing(kind())
        what, _, step = said.rstrip(".").partition(": ")
        assert what, kind
        assert step.split()[0] in {"start", "see", "correct", "let", "give"}, said
