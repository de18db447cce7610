"""Every process has the list of erased accounts, whoever erased them, and one list is enough."""

import asyncio
import contextlib
import signal
import sqlite3
import sys

import pytest

from accounts.audit_log import Actor
from accounts.erasure import ErasureStep, Unspent
from billing.clock import utc_now
from gateway.personal_data.erasing import SqlErasing
from gateway.roles import storage
from gateway.roles.journal import JournalDuty, is_folder_known, of_journal, open_journal
from gateway.roles.serve import Gateway, Role
from gateway.settings_variables import from_mapping
from gateway.stores import erasure_journal

PATIENCE_S = 60
STORES_ELSEWHERE = {
    "CALLER_REDIS_URL": "redis://127.0.0.1:1/0",
    "CALLER_DATABASE_URL": "postgresql://caller@127.0.0.1:1/caller",
}


@pytest.mark.parametrize(
    ("given", "is_known"),
    [
        ({}, True),
        (STORES_ELSEWHERE, False),
        (STORES_ELSEWHERE | {"CALLER_DATA_DIR": "/var/lib/caller"}, True),
        (STORES_ELSEWHERE | {"CALLER_DATABASE_URL": ""}, True),
        (STORES_ELSEWHERE | {"CALLER_REDIS_URL": ""}, True),
    ],
)
def test_the_folder_is_known_where_it_is_named_or_has_a_store(given, is_known):
    assert is_folder_known(from_mapping(given)) is is_known


async def test_a_process_closes_who_came_back_and_copies_what_others_erased(environ, tmp_path):
    stores = await storage.open_stores(from_mapping(environ))
    journal = open_journal(from_mapping(environ), stores)
    assert [task._name for task in of_journal(journal)] == [
        "erased accounts that came back",
        "journal of erasures",
    ]
    await journal.note("ada", utc_now())
    assert (tmp_path / "erased.log").read_text().endswith(" ada\n")
    await stores.close()


@pytest.mark.parametrize(("is_child", "has_one"), [(True, False), (False, True)])
async def test_a_worker_has_a_list_where_it_is_nobodys_child(environ, tmp_path, is_child, has_one):
    read = from_mapping(environ)
    stores = await storage.open_stores(read)
    erasing = SqlErasing(stores.engine)
    await stores.accounts.create_account("ada", "USD")
    await erasing.begin_now("ada", Unspent.KEEP, Actor.OPERATOR)
    await erasing.lease("ada")
    await erasing.proceed("ada", ErasureStep.FILES)
    duty = JournalDuty(read, stores, is_child=is_child)
    duty.start()
    if has_one:
        await has_line(tmp_path, "ada")
    await duty.stop()
    await stores.close()
    assert (tmp_path / "erased.log").exists() is has_one


async def has_line(folder, account_id):
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(FileNotFoundError):
                if f" {account_id}\n" in (folder / "erased.log").read_text():
                    return
            await asyncio.sleep(0.02)


async def caller(environ, *arguments, folder):
    """Run a command as an operator does, in a folder; return its exit code and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *arguments,
        env=environ,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, " ".join(said.decode().split())


@contextlib.asynccontextmanager
async def serving(environ, folder, role):
    mine = environ | {"CALLER_DATA_DIR": str(folder)}
    node = Gateway(from_mapping(mine), mine, role)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@contextlib.asynccontextmanager
async def working(environ, folder):
    mine = environ | {"CALLER_DATA_DIR": str(folder)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "serve", "--role", "worker", env=mine
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.thorough
@pytest.mark.parametrize("kept", ["media", "web", "worker"])
async def test_who_was_erased_by_a_command_stays_so_with_an_older_copy_and_any_one_list(
    environ, tmp_path, monkeypatch, kept
):
    """Each process has a folder of its own, which the command is not told."""
    monkeypatch.setattr(erasure_journal, "COPY_INTERVAL_S", 0.05)
    book, copy, typed_in = tmp_path / "book.db", tmp_path / "copy.db", tmp_path / "typed"
    typed_in.mkdir()
    environ["CALLER_DATABASE_URL"] = f"sqlite:///{book}"
    environ["PYTHONPATH"] = ":".join(sys.path)
    for name in ("CALLER_DATA_DIR", "CALLER_STRIPE_API_KEY", "CALLER_STRIPE_WEBHOOK_SECRETS"):
        del environ[name]
    code, key = await caller(environ, "accounts", "create", "gone", folder=typed_in)
    assert code == 0, key
    with contextlib.closing(sqlite3.connect(book)) as opened:
        opened.execute("VACUUM INTO ?", (str(copy),))
    folders = {name: tmp_path / name for name in ("media", "web", "worker")}
    async with (
        serving(environ, folders["media"], Role.MEDIA),
        serving(environ, folders["web"], Role.WEB),
    ):
        delete = ("accounts", "delete", "gone", "--reason", "asked for", "--write-off", "--yes")
        code, said = await caller(environ, *delete, folder=typed_in)
        assert code == 0, said
        assert "Each node notes it in erased.log of its data folder within 30 seconds" in said
        assert list(typed_in.iterdir()) == []
        await has_line(folders["media"], "gone")
        await has_line(folders["web"], "gone")
        async with working(environ, folders["worker"]):
            await has_line(folders["worker"], "gone")
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"book.db{end}").unlink(missing_ok=True)
    copy.rename(book)
    folder = tmp_path / "new"
    folder.mkdir(mode=0o700)
    (folders[kept] / "erased.log").rename(folder / "erased.log")
    async with serving(environ, folder, Role.WEB):
        with contextlib.closing(sqlite3.connect(book)) as opened:
            closed = "SELECT deleted_at IS NOT NULL, revoked_at IS NOT NULL"
            joined = " FROM accounts JOIN api_keys ON account_id = accounts.id"
            assert opened.execute(closed + joined).fetchall() == [(1, 1)]
