"""Mails wait in SQL: claimed by one sender at a time, never lost, forgotten in the end."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from accounts.link import Purpose
from accounts.notice import LAST_NOTICE, MailState, Notice
from database.engine import create_engine, writing
from database.errors import StoreUnavailableError
from gateway.stores import mail_outbox
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice
from tests.clock import Clock
from tests.postgres import sqlite_threads_ended

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTICE = Notice(
    "new_device",
    "alice@example.com",
    {"browser": "Firefox ü", "system": "", "at": START.isoformat()},
    Purpose.NOT_ME,
    "old@example.com",
    "device:1",
)
PLAIN = Notice("locked")


@pytest.fixture
def clock():
    return Clock(START)


@pytest.fixture
def outbox(engine, clock):
    return SqlMailOutbox(engine, clock=clock)


async def claim(outbox, clock, count=10, **more):
    return await outbox.claim(count, domain="x.example", until=clock.now + 5 * MINUTE, **more)


async def only(outbox):
    (mail,) = await outbox.newest(9)
    return mail


async def test_a_mail_comes_out_as_it_went_in(outbox, clock):
    await outbox.queue("alice", NOTICE)
    (mail,) = await claim(outbox, clock)
    assert mail.notice == NOTICE
    assert (mail.account_id, mail.state, mail.tries) == ("alice", MailState.SENDING, 1)
    assert (mail.created_at, mail.next_try_at) == (START, START + 5 * MINUTE)
    assert mail.message_id == f"<{mail.id}@x.example>"
    assert (mail.ended_at, mail.failure) == (None, "")


async def test_a_mail_is_queued_by_its_change_or_not_at_all(engine, outbox):
    async def change(outcome):
        async with writing(engine, 5) as connection:
            await queue_notice(connection, "alice", PLAIN, START)
            return 1 / outcome

    with pytest.raises(ZeroDivisionError):
        await change(0)
    assert await outbox.newest(9) == []
    await change(1)
    assert (await only(outbox)).notice == PLAIN


async def test_once_is_once_for_each_account(outbox, clock):
    for account in ("alice", "alice", "bob"):
        await outbox.queue(account, NOTICE)
    assert Counter(mail.account_id for mail in await outbox.newest(9)) == {"alice": 1, "bob": 1}
    for mail in await claim(outbox, clock):
        await outbox.sent(mail)
    await outbox.queue("alice", NOTICE)
    assert len(await outbox.newest(9)) == 2
    await outbox.queue("alice", PLAIN)
    await outbox.queue("alice", PLAIN)
    assert len(await outbox.of_account("alice")) == 3


async def test_too_much_is_refused_before_the_database_is_asked(outbox):
    with pytest.raises(ValueError, match="too long"):
        await outbox.queue("alice", Notice("locked", values={"browser": "x" * 4_000}))


@pytest.mark.parametrize("fields", [{"recipient": "x" * 321}, {"once": "x" * 201}])
async def test_the_database_itself_bounds_what_is_kept(outbox, fields):
    with pytest.raises(sa.exc.IntegrityError):
        await outbox.queue("alice", Notice("locked", **fields))


async def test_a_claim_is_bounded_and_takes_the_longest_due_first(outbox, clock):
    for number in range(5):
        await outbox.queue(f"a{number}", PLAIN)
        clock.now += MINUTE
    first = await claim(outbox, clock, 2)
    assert [mail.account_id for mail in first] == ["a0", "a1"]
    assert [mail.account_id for mail in await claim(outbox, clock)] == ["a2", "a3", "a4"]
    assert await claim(outbox, clock) == ()


async def test_a_claim_takes_first_what_it_is_told_to(outbox, clock):
    for number in range(3):
        await outbox.queue(f"a{number}", Notice("button_made"))
        clock.now += MINUTE
    for account, name in (("b1", "reset_password"), ("b2", "verify_email")):
        await outbox.queue(account, Notice(name))
        clock.now += MINUTE
    first = {"verify_email", "reset_password"}
    claimed = [await claim(outbox, clock, count, first=first) for count in (1, 3, 9)]
    assert [[mail.account_id for mail in mails] for mails in claimed] == [
        ["b1"],
        ["b2", "a0", "a1"],
        ["a2"],
    ]


async def test_senders_at_once_share_the_mails(engine, outbox, clock):
    for number in range(40):
        await outbox.queue(f"a{number}", PLAIN)
    senders = [SqlMailOutbox(engine, clock=clock) for _ in range(4)]
    claims = await asyncio.gather(*(claim(each, clock) for each in senders * 2))
    taken = [mail.id for mails in claims for mail in mails]
    assert len(taken) == len(set(taken)) == 40


async def test_who_dies_with_a_mail_leaves_it_to_others_under_its_name(outbox, clock):
    await outbox.queue("alice", PLAIN)
    (first,) = await claim(outbox, clock)
    clock.now += 5 * MINUTE - timedelta(seconds=1)
    assert await claim(outbox, clock) == ()
    clock.now += timedelta(seconds=1)
    (second,) = await outbox.claim(1, domain="other.example", until=clock.now + MINUTE)
    assert (second.id, second.message_id, second.tries) == (first.id, first.message_id, 2)


async def test_what_was_put_off_comes_at_its_time(outbox, clock):
    await outbox.queue("alice", PLAIN)
    (mail,) = await claim(outbox, clock)
    await outbox.put_off(mail, "450 SMTPDataError", clock.now + MINUTE)
    kept = await only(outbox)
    assert (kept.state, kept.failure, kept.ended_at) == (
        MailState.QUEUED,
        "450 SMTPDataError",
        None,
    )
    assert await claim(outbox, clock) == ()
    clock.now += MINUTE
    (again,) = await claim(outbox, clock)
    assert again.tries == 2
    await outbox.sent(again)
    done = await only(outbox)
    assert (done.state, done.ended_at, done.failure) == (MailState.SENT, clock.now, "")


async def test_what_was_given_back_was_not_tried(outbox, clock):
    await outbox.queue("alice", PLAIN)
    mails = await claim(outbox, clock)
    await outbox.give_back(mails, clock.now)
    kept = await only(outbox)
    assert (kept.state, kept.tries) == (MailState.QUEUED, 0)
    await outbox.give_back((), clock.now)


async def test_who_lost_a_claim_changes_nothing_but_a_success(outbox, clock):
    await outbox.queue("alice", PLAIN)
    (slow,) = await claim(outbox, clock)
    clock.now += 5 * MINUTE
    (fast,) = await claim(outbox, clock)
    await outbox.put_off(slow, "TimeoutError", clock.now)
    await outbox.abandon(slow, "550 SMTPDataError")
    await outbox.give_back([slow], clock.now)
    kept = await only(outbox)
    assert (kept.state, kept.tries, kept.failure) == (MailState.SENDING, 2, "")
    # The server has it: nothing is gained by sending it again.
    await outbox.sent(slow)
    sent = await only(outbox)
    assert sent.state is MailState.SENT
    clock.now += MINUTE
    await outbox.put_off(fast, "TimeoutError", clock.now)
    await outbox.sent(fast)
    assert await only(outbox) == sent
    assert await claim(outbox, clock) == ()


async def test_an_abandoned_mail_is_never_sent(outbox, clock):
    await outbox.queue("alice", PLAIN)
    (mail,) = await claim(outbox, clock)
    await outbox.abandon(mail, "550 SMTPDataError")
    kept = await only(outbox)
    assert (kept.state, kept.failure, kept.ended_at) == (
        MailState.ABANDONED,
        "550 SMTPDataError",
        clock.now,
    )
    clock.now += timedelta(days=9)
    assert await claim(outbox, clock) == ()


async def test_the_pace_of_an_account_can_be_told(outbox, clock):
    for account in ("alice", "alice", "bob", "alice", "bob", "carol"):
        await outbox.queue(account, PLAIN)
        clock.now += timedelta(seconds=1)
    for mail in await claim(outbox, clock, 3):
        await outbox.sent(mail)
    elsewhere = await claim(outbox, clock, 1)
    mine = await claim(outbox, clock)
    before = clock.now - MINUTE
    assert await outbox.others_lately(mine, before) == {("bob", "locked"): 1}
    await outbox.queue("alice", NOTICE)
    (late,) = await claim(outbox, clock)
    assert await outbox.others_lately([late], before) == {("alice", "locked"): 3}
    assert await outbox.others_lately([late], clock.now) == {("alice", "locked"): 1}
    await outbox.give_back(elsewhere, clock.now)
    assert await outbox.others_lately([late], clock.now) == {}
    assert await outbox.others_lately((), before) == {}


async def test_counts_tell_what_waits_and_what_no_server_took(outbox, clock):
    empty = await outbox.counts()
    assert set(empty.by_state.values()) == {0}
    assert (empty.oldest_waiting_at, empty.untaken) == (None, 0)
    for number in range(5):
        await outbox.queue(f"a{number}", PLAIN)
    refused, untaken, sent, _sending = await claim(outbox, clock, 4)
    await outbox.abandon(refused, "550 SMTPRecipientsRefused")
    await outbox.sent(sent)
    await outbox.put_off(untaken, "TimeoutError", clock.now)
    clock.now += MINUTE
    counts = await outbox.counts()
    assert counts.by_state == {"queued": 2, "sending": 1, "sent": 1, "abandoned": 1}
    assert (counts.oldest_waiting_at, counts.untaken) == (START, 0)
    for mail in await claim(outbox, clock):
        if mail.id == untaken.id:
            await outbox.abandon(mail, "TimeoutError")
    assert (await outbox.counts()).untaken == 1
    clock.now += timedelta(days=1)
    assert (await outbox.counts()).untaken == 0


async def test_what_nobody_sends_is_abandoned_in_the_end(outbox, clock):
    for number in range(3):
        await outbox.queue(f"a{number}", PLAIN)
        clock.now += MINUTE
    assert await outbox.expire(START + 2 * MINUTE) == 2
    counts = await outbox.counts()
    assert (counts.by_state["abandoned"], counts.by_state["queued"], counts.untaken) == (2, 1, 0)
    assert await outbox.expire(START + 2 * MINUTE) == 0


async def test_what_ended_long_ago_is_told_from_all_else(engine, outbox, clock):
    for _ in range(3):
        await outbox.queue("alice", PLAIN)
    sent, abandoned = await claim(outbox, clock, 2)
    clock.now += timedelta(days=2)
    await outbox.sent(sent)
    await outbox.abandon(abandoned, "TimeoutError")
    clock.now += timedelta(days=30)

    async def states_before(before):
        query = sa.select(mail_outbox.mail_outbox.c.state).where(mail_outbox.have_ended(before))
        async with engine.connect() as connection:
            return sorted(await connection.scalars(query))

    assert await states_before(clock.now - timedelta(days=30)) == []
    assert await states_before(clock.now - timedelta(days=29)) == ["abandoned", "sent"]


async def test_giving_up_is_done_in_bounded_steps(outbox, clock, monkeypatch):
    monkeypatch.setattr(mail_outbox, "EXPIRED_MAX", 2)
    for _ in range(3):
        await outbox.queue("alice", PLAIN)
    assert [await outbox.expire(clock.now + MINUTE) for _ in range(3)] == [2, 1, 0]


async def test_a_deleted_account_has_no_mails(outbox, clock):
    for account in ("alice", "bob", "alice"):
        await outbox.queue(account, PLAIN)
    (mail,) = await claim(outbox, clock, 1)
    await outbox.erase("alice")
    assert await outbox.of_account("alice") == []
    assert [each.account_id for each in await outbox.newest(9)] == ["bob"]
    # Whoever was sending it finds nothing to note.
    await outbox.sent(mail)
    await outbox.put_off(mail, "TimeoutError", clock.now)
    assert [each.account_id for each in await outbox.newest(9)] == ["bob"]


async def test_the_newest_come_first(outbox, clock):
    for number in range(4):
        await outbox.queue(f"a{number}", PLAIN)
        clock.now += MINUTE
    assert [mail.account_id for mail in await outbox.newest(2)] == ["a3", "a2"]


async def test_a_database_that_is_away_is_named_so(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/nowhere/book.db")
    with pytest.raises(StoreUnavailableError):
        await SqlMailOutbox(engine).newest(1)
    await engine.dispose()
    await sqlite_threads_ended()


@pytest.mark.parametrize("ends", ["sent", "abandoned", "expired"])
async def test_who_forgets_the_last_mail_to_a_person_says_so(engine, clock, ends):
    """Once it is committed: the files are emptied of it then."""
    told = []
    outbox = SqlMailOutbox(engine, clock=clock, on_forgotten=lambda: told.append(1))

    async def end(notice):
        await outbox.queue("alice", notice)
        if ends == "expired":
            assert await outbox.expire(clock.now + MINUTE) == 1
            return
        (mail,) = await claim(outbox, clock)
        await (outbox.sent(mail) if ends == "sent" else outbox.abandon(mail, "550"))

    await end(PLAIN)
    assert told == []
    await end(Notice(LAST_NOTICE, "alice@example.com"))
    assert told == [1]
    assert [mail.notice.name for mail in await outbox.newest(9)] == [PLAIN.name]
