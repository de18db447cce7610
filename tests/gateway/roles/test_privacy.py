"""From the page where a person asks for their data to the file that they are given."""

import asyncio
import contextlib
import io
import json
import os
import re
import sqlite3
import zipfile
from datetime import timedelta

import aiohttp
import pytest
import sqlalchemy as sa

from accounts.notice import Notice
from accounts.stores import tables as people
from billing.clock import utc_now
from database.engine import TIMEOUT_S, empty_log
from database.errors import StoreUnavailableError
from gateway.privacy.retention import DUTY
from gateway.roles import privacy
from gateway.roles.privacy import PrivacyDuty
from gateway.roles.serve import Gateway
from gateway.stores.duties import duties
from gateway.stores.mail_outbox import mail_outbox, queue_notice
from tests.gateway.people.test_web import (
    ADA,
    FROM_US,
    PASSWORD,
    house,
    signed_up,
    valkey_server,
    valkey_url,
)

__all__ = ["house", "valkey_server", "valkey_url"]

DATA = "/account/data"


async def until(probe):
    """Wait until a probe finds something; return it."""
    async with asyncio.timeout(30):
        while True:
            if found := await probe():
                return found
            await asyncio.sleep(0.05)


@pytest.mark.thorough
async def test_what_was_deleted_leaves_the_files_soon(house):
    """Also where nothing else is written, as after the last mail to somebody who was erased."""
    engine, folder = house.node.stores.engine, house.node.settings.data_dir

    def is_found():
        files = [*folder.glob("caller.db*")]
        assert files
        return any(b"needle@example.org" in path.read_bytes() for path in files)

    async def write_and_delete():
        async with engine.begin() as connection:
            told = Notice("account_deleted", "needle@example.org", {"language": "en"})
            await queue_notice(connection, "nobody", told, utc_now())
        assert await empty_log(engine, TIMEOUT_S)
        async with engine.begin() as connection:
            gone = sa.delete(mail_outbox).where(mail_outbox.c.account_id == "nobody")
            await connection.execute(gone)
        assert is_found()

    async def is_gone():
        return not is_found()

    await write_and_delete()
    duty = PrivacyDuty(house.node.settings, house.node.stores)
    duty.start()
    await until(is_gone)
    # It has been done at the start; the next time would be minutes away.
    await write_and_delete()
    duty.empty_files()
    await until(is_gone)
    await duty.stop()


@pytest.mark.thorough
async def test_a_reader_only_delays_that(house, monkeypatch):
    tries = asyncio.Queue()

    async def is_emptied(_engine, _timeout_s):
        found = [StoreUnavailableError("locked"), False, True][tries.qsize()]
        tries.put_nowait(found)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(privacy, "empty_log", is_emptied)
    monkeypatch.setattr(privacy, "LOG_TRIED_EVERY_S", 0.0)
    duty = PrivacyDuty(house.node.settings, house.node.stores)
    duty.start()

    async def is_done():
        return tries.qsize() == 3

    await until(is_done)
    await duty.stop()


async def test_a_person_asks_for_their_data_and_gets_them(house):
    browser = await signed_up(house)
    assert "Your data" in (await browser.get("/account"))[2]
    status, _, page = await browser.get(DATA)
    assert status == 200
    assert ADA in page
    assert await browser.post(f"{DATA}/export") == (303, f"{DATA}?said=export_asked")
    duty = PrivacyDuty(house.node.settings, house.node.stores)
    duty.start()

    async def link():
        return re.search(rf'"({DATA}/export/\w+)"', (await browser.get(DATA))[2])

    path = (await until(link))[1]
    await duty.stop()
    assert ("export_ready", "") in await house.mails()
    async with browser.client.get(browser.origin + path, headers=FROM_US) as reply:
        assert reply.status == 200
        content = await reply.read()
    archive = zipfile.ZipFile(io.BytesIO(content))
    (holder,) = json.loads(archive.read("data/email.json"))["holders"]
    assert holder["email"] == ADA
    sessions = json.loads(archive.read("data/sessions.json"))["sessions"]
    assert [each["methods"] for each in sessions] == ["pwd"]
    everything = b"".join(archive.read(name) for name in archive.namelist())
    assert b"argon2" not in everything
    # Somebody who is not signed in, and somebody else who is.
    async with aiohttp.ClientSession() as stranger:
        options = {"allow_redirects": False, "headers": FROM_US}
        async with stranger.get(browser.origin + path, **options) as reply:
            assert reply.headers["location"].startswith("/sign-in")
    other = await house.browser()
    form = {"email": "eve@example.com", "password": PASSWORD, "terms": "true", "adult": "true"}
    await other.post("/sign-up", **form)
    await other.sign_in(email="eve@example.com")
    assert (await other.get(path))[1] == f"{DATA}?said=export_gone"


@pytest.mark.thorough
async def test_what_is_too_old_is_forgotten_beside_draining(house):
    await signed_up(house)
    engine, old = house.node.stores.engine, utc_now() - timedelta(days=400)

    async def done():
        async with engine.connect() as connection:
            when = sa.select(duties.c.done_at).where(duties.c.name == DUTY)
            return await connection.scalar(when)

    # The node's own drainer has done it when it started, and does it once a day.
    await until(done)
    async with engine.begin() as connection:
        await connection.execute(sa.update(people.devices).values(last_seen_at=old))
        await connection.execute(sa.update(duties).where(duties.c.name == DUTY).values(done_at=old))
    duty = PrivacyDuty(house.node.settings, house.node.stores)
    duty.start()

    async def done_again():
        return await done() > old

    await until(done_again)
    await duty.stop()
    async with engine.connect() as connection:
        assert (await connection.execute(sa.select(people.devices))).all() == []
        assert len((await connection.execute(sa.select(people.holders))).all()) == 1


@pytest.mark.thorough
async def test_who_came_back_with_an_older_copy_is_shut_out_before_the_ports_open(house):
    await signed_up(house)
    settings = house.node.settings
    async with house.node.stores.engine.connect() as connection:
        account_id = await connection.scalar(sa.select(people.holders.c.account_id))
    await house.node.stop()
    line = f"{(utc_now() + timedelta(days=1)).isoformat()} {account_id}\n"
    (settings.data_dir / "erased.log").write_text(line)
    node = Gateway(settings, dict(os.environ))
    await node.start()
    try:
        # Read without giving way to a periodic task.
        with contextlib.closing(sqlite3.connect(settings.data_dir / "caller.db")) as book:
            (row,) = book.execute("SELECT frozen, deleted_at IS NOT NULL FROM accounts").fetchall()
    finally:
        await node.stop()
    assert row == (1, 1)
