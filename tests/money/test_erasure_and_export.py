"""An account is deleted while a file of all its data is made: nothing of either is left.

Both workers are those of a deployment, on one database.
"""

import asyncio
import json
import zipfile
from io import BytesIO

import pytest
import sqlalchemy as sa

from accounts.erasure import GRACE
from accounts.export import Export, ExportState
from accounts.stores import tables as people
from database.engine import TIMEOUT_S, reading
from gateway.people.export_store import SqlExports
from gateway.personal_data.rows import SqlPersonalRows
from gateway.privacy.export_maker import ExportMaker
from tests.money.test_erasure import DIALLED, EMAIL, NEEDLES, finish, house, send_last_mail

__all__ = ["house"]

MOMENTS = ("page", "add_chunk", "finish")
DIGEST = "a" * 64


class Meanwhile:
    """A store of exports, or their rows, before whose method something else happens, once."""

    def __init__(self, kept, name, happen):
        self._kept, self._name, self._happen = kept, name, happen

    def __getattr__(self, name):
        real = getattr(self._kept, name)

        async def call(*arguments, **named):
            happen, self._happen = self._happen, None
            if happen is not None:
                await happen()
            return await real(*arguments, **named)

        return call if name == self._name and self._happen is not None else real


class Office:
    """The maker of exports in the house of alice and bob."""

    def __init__(self, house, monkeypatch):
        # Several chunks, as of a person with many calls.
        monkeypatch.setattr("gateway.privacy.archive.CHUNK_BYTES", 500)
        self.house = house
        self.store = SqlExports(house.engine, clock=house.clock)

    def maker(self, moment="", happen=None):
        return ExportMaker(
            store=Meanwhile(self.store, moment, happen),
            rows=Meanwhile(SqlPersonalRows(self.house.engine), moment, happen),
            sessions=self.sessions,
            in_thread=asyncio.to_thread,
            clock=self.house.clock,
            service="Example Calls",
            origin="https://calls.example.com",
        )

    async def sessions(self, _account_id):
        return []

    async def ask(self, name):
        export = await self.store.ask(name, 1, f"e-{name}", DIGEST)
        assert isinstance(export, Export)
        assert export.id == f"e-{name}"

    async def left(self):
        """Return of which exports there are rows, and of which there are parts of a file."""
        exports, chunks = people.exports.c, people.export_chunks.c
        async with reading(self.house.engine, TIMEOUT_S) as connection:
            rows = await connection.execute(sa.select(exports.id).order_by(exports.id))
            parts = await connection.execute(sa.select(chunks.export_id).distinct())
            return [*rows.scalars()], [*parts.scalars()]

    async def assert_gone(self):
        """Nothing is left of alice, and bob is given his file."""
        assert await finish(self.house) is None
        assert await self.left() == (["e-bob"], ["e-bob"])
        # The mail that the file is ready went with her.
        await send_last_mail(self.house)
        assert await self.house.found(*NEEDLES) == set()
        (export,) = await self.store.of_account("bob")
        assert export.state is ExportState.READY
        content, number = b"", 0
        while (chunk := await self.store.chunk("e-bob", number)) is not None:
            content, number = content + chunk, number + 1
        with zipfile.ZipFile(BytesIO(content)) as archive:
            assert json.loads(archive.read("manifest.json"))["account"] == "bob"
            everything = b"".join(map(archive.read, archive.namelist()))
        assert not any(word.encode() in everything for word in (EMAIL, DIALLED))


@pytest.fixture
async def office(house, monkeypatch):
    made = Office(house, monkeypatch)
    await house.leave()
    house.now += GRACE
    for name in ("alice", "bob"):
        await made.ask(name)
    return made


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_file_whose_account_is_deleted_is_not_finished(office, moment):
    erased = []

    async def erase():
        erased.append((await office.house.work.perform("alice")).is_erased)
        await finish(office.house)

    await office.maker(moment, erase).round()
    assert erased == [True]
    await office.assert_gone()


async def test_whichever_of_both_is_faster_nothing_is_left(office):
    await asyncio.gather(office.maker().round(), office.house.work.perform("alice"))
    await finish(office.house)
    await office.assert_gone()
