"""The drainer as a process of its own: stopped, killed, unable to write, it is noticed."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time

import pytest
from structlog.testing import capture_logs

from accounts.notice import MailState, Notice
from gateway.charging import outbox_alarm
from gateway.charging.book_audit import DUTY, EVERY
from gateway.charging.outbox_alarm import DrainerAlarm
from gateway.roles import children, drain, storage
from gateway.roles.children import Child
from gateway.settings_variables import from_mapping
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.duties import SqlDuties
from gateway.stores.mail_outbox import SqlMailOutbox
from gateway.watching.audited_store import RedisAudited
from tests.gateway.post.conftest import closed_mailbox, mailbox
from tests.gateway.post.mailbox import SENDER

__all__ = ["closed_mailbox", "mailbox"]

PATIENCE_S = 90
SILENCE_S = 4.0


class Drainer:
    """A drainer under supervision, and what is seen of it from outside."""

    def __init__(self, environ, stores):
        self.stores = stores
        self.mark = RedisDrainMark(stores.redis)
        self.alarm = DrainerAlarm(self.mark, time.monotonic)
        self.child = Child(["drain"], environ, silence_s_max=SILENCE_S)

    @property
    def pid(self):
        return self.child._process.pid

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.alarm.look()
                if condition():
                    return
                await asyncio.sleep(0.05)

    async def drains_again(self, since_s):
        """Wait until the outbox was drained after a moment."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                age_s = await self.mark.age_s()
                if age_s is not None and time.monotonic() - age_s > since_s:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def drainer(tmp_path, valkey_url, mailbox, monkeypatch):
    monkeypatch.setattr(children, "_RESTART_DELAY_S", 0.05)
    monkeypatch.setattr(children, "_END_S_MAX", 0.5)
    given = {
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "CALLER_MAIL_FROM": SENDER,
    }
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | given
    stores = await storage.open_stores(from_mapping(given))
    opened = Drainer(environ, stores)
    assert await opened.mark.age_s() is None
    await opened.child.start()
    await opened.drains_again(0)
    yield opened
    await opened.child.stop()
    await stores.close()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_drainer_that_stands_still_or_dies_is_replaced(drainer, number):
    pid = drainer.pid
    os.kill(pid, number)
    # What it had sent when it was stopped may still be served.
    await drainer.until(lambda: drainer.pid != pid)
    await drainer.drains_again(time.monotonic())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await drainer.until(lambda: not drainer.alarm.is_raised)


async def test_a_drainer_that_cannot_write_is_noticed_and_not_replaced(
    drainer, tmp_path, monkeypatch
):
    """Another process holds the database; the drainer waits for it in good order."""
    monkeypatch.setattr(outbox_alarm, "DRAINED_AGE_S_MAX", 3.0)
    stores, pid = drainer.stores, drainer.pid
    async with stores.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO accounts (id, slot, currency, created_at)"
            " VALUES ('alice', 0, 'USD', '2026-11-24 12:00:00')"
        )
    with contextlib.closing(sqlite3.connect(tmp_path / "caller.db")) as book:
        book.execute("BEGIN EXCLUSIVE")
        # Something must wait: what is empty needs no database.
        partition = stores.gate.partition("alice")
        await stores.redis.xadd(f"{{cr:{partition}}}:led", {"k": "?"})
        with capture_logs() as logs:
            await drainer.until(lambda: drainer.alarm.is_raised)
        assert drainer.alarm.age_s > outbox_alarm.DRAINED_AGE_S_MAX
        assert "drainer overdue" in [line["event"] for line in logs]
        book.rollback()
    await drainer.until(lambda: not drainer.alarm.is_raised)
    assert drainer.pid == pid
    assert await stores.gate.outbox_length() == 0


async def test_the_book_is_audited_by_its_process_from_its_start_on(drainer):
    duties = SqlDuties(drainer.stores.engine, "another")
    async with asyncio.timeout(PATIENCE_S):
        while await duties.is_due(DUTY, EVERY):
            await asyncio.sleep(0.05)
    assert (await RedisAudited(drainer.stores.redis).read()).findings == {}


async def test_mails_leave_by_its_process_and_wait_while_there_is_none(drainer, mailbox):
    stores, outbox = drainer.stores, SqlMailOutbox(drainer.stores.engine)
    await stores.accounts.create_account("alice", "USD")
    await stores.accounts.set_email("alice", "alice@example.com")

    async def is_sent(count):
        async with asyncio.timeout(PATIENCE_S):
            while (await outbox.counts()).by_state[MailState.SENT] < count:
                await asyncio.sleep(0.05)

    await outbox.queue("alice", Notice("locked"))
    await is_sent(1)
    await drainer.child.stop()
    await outbox.queue("alice", Notice("out_of_credit"))
    await drainer.child.start()
    await is_sent(2)
    subjects = ["Your account at Caller is locked", "Your credit is used up"]
    assert [mail["Subject"] for mail in mailbox.mails] == subjects


async def test_two_drainers_at_once_do_no_harm(drainer):
    second = Child(["drain"], drainer.child._environ, silence_s_max=SILENCE_S)
    await second.start()
    pid = drainer.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # The other one's mark is everybody's.
        await drainer.drains_again(time.monotonic() + 2)
    finally:
        await second.stop()
    await drainer.drains_again(time.monotonic())
    assert drainer.pid != pid


async def test_a_drainer_that_fails_ends_and_tells_its_fault(tmp_path, valkey_url, monkeypatch):
    async def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("billing.drain.Drainer.run", fail)
    # It would hold for the tests that follow, too.
    monkeypatch.setattr(drain, "_yield_to_audio", lambda: None)
    given = {"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": valkey_url}
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(PATIENCE_S):
            await drain.work(from_mapping(given), is_child=False)
