"""An export has all data of one person and no one else's, even if a maker dies meanwhile."""

import csv
import io
import json
import zipfile
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.export import CLAIM, TRIES_MAX, Export, ExportState
from accounts.stores import tables as people
from billing.csv_lines import as_text
from database.errors import StoreUnavailableError
from gateway.data_map import KINDS
from gateway.people.export_store import SqlExports
from gateway.personal_data import rows as personal_rows
from gateway.personal_data.rows import TABLES, SqlPersonalRows
from gateway.privacy.export_maker import ExportMaker
from gateway.stores.mail_outbox import SqlMailOutbox
from tests.gateway.privacy.needles import AT, add_calls, add_person, row_of
from tests.thorough import first_of

SESSION = {"began_at": AT, "methods": "pwd otp"}
DIGEST = "a" * 64


class World:
    """Exports on a real database, a clock, and a maker whose sessions are in memory."""

    def __init__(self, engine):
        self.engine = engine
        self.now = AT + timedelta(days=1)
        self.store = SqlExports(engine, clock=lambda: self.now)
        self.rows = SqlPersonalRows(engine)
        self.maker = self.new_maker()

    def new_maker(self, **changes):
        parts = {
            "store": self.store,
            "rows": self.rows,
            "sessions": self.sessions,
            "in_thread": self.at_once,
            "clock": lambda: self.now,
            "service": "Example Calls",
            "origin": "https://calls.example.com",
        }
        return ExportMaker(**parts | changes)

    async def sessions(self, account_id):
        return [SESSION] if account_id == "alice" else []

    async def at_once(self, work):
        work()

    async def ask(self, name="e1"):
        asked = await self.store.ask(
            "alice", row_of("alice", "holders")["credentials_epoch"], name, DIGEST
        )
        assert isinstance(asked, Export)
        assert asked.id == name
        return asked

    async def export(self, name="e1"):
        found = await self.store.of_account("alice")
        return next(each for each in found if each.id == name)

    async def file(self, name="e1"):
        chunks, number = [], 0
        while (chunk := await self.store.chunk(name, number)) is not None:
            chunks.append(chunk)
            number += 1
        return b"".join(chunks)

    async def archive(self, name="e1"):
        archive = zipfile.ZipFile(io.BytesIO(await self.file(name)))
        assert archive.testzip() is None
        return archive

    async def mails(self):
        return [
            mail.notice
            for mail in await SqlMailOutbox(self.engine).of_account("alice")
            if mail.notice.name == "export_ready"
        ]


@pytest.fixture
async def world(engine):
    await add_person(engine, "alice")
    await add_person(engine, "mallory")
    return World(engine)


def text_of(value):
    """Return a value as JSON has it."""
    return json.loads(json.dumps(value, default=lambda at: at.isoformat().replace("+00:00", "Z")))


def as_cell(value):
    """Return a value as a reader of CSV gets it."""
    (read,) = csv.reader(io.StringIO(as_text([(value, "")]), newline=""))
    return read[0]


def records(archive, name):
    return list(csv.reader(io.StringIO(archive.read(name).decode("utf-8-sig"), newline="")))


async def test_every_kind_is_there_with_every_value_and_nothing_of_another(world):
    await world.ask()
    await world.maker.round()
    archive = await world.archive()
    for kind in KINDS:
        if not kind.is_exported or not kind.sql:
            continue
        data = json.loads(archive.read(f"data/{kind.name}.json"))
        assert set(data) == {columns.table for columns in kind.sql}
        for columns in kind.sql:
            expected = row_of("alice", columns.table)
            # The time of mails and events that this export itself has made is not known here.
            row = next(each for each in data[columns.table] if _is_of(each, expected))
            assert list(row) == list(columns.exported)
            for name in columns.exported:
                if name in expected:
                    assert row[name] == text_of(expected[name]), (kind.name, name)
            part = f".{columns.table}" if len(kind.sql) > 1 else ""
            head, *lines = records(archive, f"tables/{kind.name}{part}.csv")
            assert head == list(columns.exported)
            assert len(lines) == len(data[columns.table])
            shown = [as_cell(expected[name]) if name in expected else None for name in head]
            assert any(
                all(want is None or want == got for want, got in zip(shown, line, strict=True))
                for line in lines
            ), kind.name
    assert json.loads(archive.read("data/sessions.json")) == {"sessions": [text_of(SESSION)]}
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"mallory" not in everything
    for secret in (DIGEST, row_of("alice", "links")["digest"], "password_hash", "key_hash"):
        assert secret.encode() not in everything


def _is_of(row, expected):
    return all(
        row[name] == expected[name]
        for name in ("id", "notice", "act", "reference")
        if name in row and name in expected
    )


async def test_no_cell_is_a_formula(world):
    await world.ask()
    await world.maker.round()
    archive = await world.archive()
    for name in archive.namelist():
        if name.endswith(".csv"):
            for line in records(archive, name):
                assert not any(
                    value.startswith(("=", "+", "@", "＝", "＋", "＠", "－")) for value in line
                ), name


async def test_the_manifest_counts_and_the_readme_is_in_the_holders_language(world):
    await world.ask()
    await world.maker.round()
    archive = await world.archive()
    manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["account"], manifest["version"]) == ("alice", 1)
    assert set(manifest["entries"]) | {"manifest.json", "README.txt"} == set(archive.namelist())
    assert manifest["entries"]["data/calls.json"] == 1
    account = next(kind for kind in KINDS if kind.name == "account")
    assert manifest["entries"]["data/account.json"] == len(account.sql)
    readme = archive.read("README.txt").decode()
    assert "Ihre personenbezogenen Daten" in readme
    assert "https://calls.example.com/account/data" in readme
    assert all(f"data/{kind.name}.json" in readme for kind in KINDS if kind.is_exported)


async def test_it_is_told_of_once_and_can_be_fetched_for_a_week(world):
    await world.ask()
    await world.maker.round()
    export = await world.export()
    assert (export.state, export.progress) == (ExportState.READY, 100)
    assert export.size_bytes == len(await world.file())
    assert export.expires_at == world.now + timedelta(days=7)
    assert export.can_be_fetched(world.now)
    assert not export.can_be_fetched(export.expires_at)
    await world.maker.round()
    assert len(await world.mails()) == 1


@pytest.mark.parametrize(("kept_bytes_max", "reads"), first_of([(300, 14), (10**9, 8)]))
async def test_pages_and_chunks_join_without_a_seam(world, monkeypatch, kept_bytes_max, reads):
    await add_calls(world.engine, "alice", 25)
    monkeypatch.setattr("gateway.privacy.archive.CHUNK_BYTES", 100)
    monkeypatch.setattr("gateway.privacy.export_maker.KEPT_BYTES_MAX", kept_bytes_max)
    pages = []

    class Small:
        count = staticmethod(world.rows.count)

        async def page(self, kind, columns, account_id, *, after=None):
            page = await world.rows.page(kind, columns, account_id, after=after, limit=3)
            pages.append((kind.name, columns.table, len(page.rows)))
            return page

    await world.ask()
    await world.new_maker(rows=Small()).round()
    archive = await world.archive()
    calls = json.loads(archive.read("data/calls.json"))["calls"]
    ids = [row["id"] for row in calls]
    assert len(ids) == len(set(ids)) == 26
    assert [line[0] for line in records(archive, "tables/calls.csv")][1:] == list(map(as_cell, ids))
    # Eight full pages and one more; once again where they were too much to be kept.
    assert pages.count(("calls", "calls", 3)) == reads
    assert len(await world.file()) > 100 * 20


@pytest.mark.parametrize("dies_at", first_of([1, 0, 7]))
async def test_what_kills_its_maker_is_begun_anew_and_told_of_once(world, monkeypatch, dies_at):
    await add_calls(world.engine, "alice", 25)
    monkeypatch.setattr("gateway.privacy.archive.CHUNK_BYTES", 500)
    await world.ask()
    add = world.store.add_chunk

    async def die(export, number, content, progress):
        if number == dies_at:
            raise StoreUnavailableError("away")
        return await add(export, number, content, progress)

    monkeypatch.setattr(world.store, "add_chunk", die)
    with pytest.raises(StoreUnavailableError):
        await world.maker.round()
    monkeypatch.setattr(world.store, "add_chunk", add)
    await world.maker.round()
    assert (await world.export()).state is ExportState.MAKING, "its claim has not ended"
    world.now += CLAIM
    await world.maker.round()
    export = await world.export()
    assert (export.state, export.tries) == (ExportState.READY, 2)
    await world.archive()
    assert len(await world.mails()) == 1


async def test_a_maker_that_was_silent_writes_nothing_more(world):
    await world.ask()
    slow, _ = await world.store.claim()
    world.now += CLAIM
    await world.maker.round()
    whole = await world.file()
    assert not await world.store.add_chunk(slow, 99, b"x", 50)
    assert not await world.store.renew(slow, 50)
    assert not await world.store.finish(slow, (await world.mails())[0])
    assert not await world.store.fail(slow)
    assert await world.file() == whole
    assert len(await world.mails()) == 1


async def test_what_kills_every_maker_is_given_up(world):
    await world.ask()
    for _ in range(TRIES_MAX):
        assert await world.store.claim() is not None
        assert await world.store.claim() is None
        world.now += CLAIM
    assert await world.store.claim() is None
    assert (await world.export()).state is ExportState.FAILED
    assert await world.mails() == []
    await world.ask("e2")


async def test_what_is_too_large_is_given_up(world):
    await world.ask()
    await world.new_maker(size_bytes_max=100).round()
    assert (await world.export()).state is ExportState.FAILED
    assert await world.file() == b""


async def test_an_account_that_goes_meanwhile_ends_its_making(world, monkeypatch):
    monkeypatch.setattr("gateway.privacy.archive.CHUNK_BYTES", 100)
    await world.ask()
    add = world.store.add_chunk

    async def erased(export, number, content, progress):
        async with world.engine.begin() as connection:
            await connection.execute(
                sa.delete(people.export_chunks).where(people.export_chunks.c.export_id == "e1")
            )
            await connection.execute(sa.delete(people.exports).where(people.exports.c.id == "e1"))
        return await add(export, number, content, progress)

    monkeypatch.setattr(world.store, "add_chunk", erased)
    await world.maker.round()
    assert await world.file() == b""
    assert await world.mails() == []


def test_the_rows_that_are_read_are_those_of_the_map():
    assert {columns.table for kind in KINDS for columns in kind.sql} <= set(TABLES)
    assert personal_rows.PAGE_ROWS == 2_000
