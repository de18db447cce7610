"""A person with something everywhere leaves: nothing is found of them, and the books still agree.

Deaths are exceptions out of a store, before a step and after it.
"""

import asyncio
import dataclasses
import secrets
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.audit_log import Act, Actor
from accounts.data_request import Right
from accounts.erasure import GRACE, STEPS, ErasureState, ErasureStep, Unspent
from accounts.holder import Device, Holder
from accounts.link import Purpose
from accounts.notice import Notice
from accounts.session import Session
from accounts.stores import audit_log, consents, data_requests, devices, holders
from accounts.stores.links import expect, make_link
from accounts.stores.sessions import RedisSessions
from billing.clock import utc_now
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from database.engine import TIMEOUT_S, reading, writing
from database.errors import StoreUnavailableError
from gateway.charging.account_erasure import REST, AccountErasure
from gateway.charging.recovery import fill_gate
from gateway.people.departure_store import SqlDepartures
from gateway.people.store import SqlPeople
from gateway.personal_data.erasing import LEASED, SqlErasing
from gateway.personal_data.retention import SqlRetention
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.post import outbox_rules
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.aof import RedisAof
from gateway.stores.erasure_journal import ErasureJournal
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice
from tests.money.ledger_world import UNIT

EMAIL, DIALLED, DEVICE = "alice@example.com", "+15005551000", "Firefox"
LABEL, CUSTOMER, RECEIPT = "alice's laptop", "cus_alice", "https://receipts.example/alice"
NEEDLES = (EMAIL, DIALLED, DEVICE, LABEL, CUSTOMER, RECEIPT)
TOLD = Notice("deletion_asked", EMAIL, {"at": "2026-12-01T12:00:00+00:00"}, Purpose.CANCEL_DELETION)


class Died(Exception):
    """Stands for the death of the process."""


class Mortal:
    """Erasures whose process dies when it is told to."""

    def __init__(self, kept):
        self._kept = kept
        self.dies_at = None

    def __getattr__(self, name):
        async def call(*arguments):
            if self.dies_at == (name, *arguments[1:]):
                self.dies_at = None
                raise Died
            return await getattr(self._kept, name)(*arguments)

        return call


class House:
    """All that is kept of alice, and what deletes it."""

    def __init__(self, world, operator, folder):
        self.world, self.engine, self.operator = world, world.engine, operator
        self.redis = world.gate._redis
        self.now = utc_now()
        self.accounts = SqlAccountStore(self.engine)
        self.sessions = RedisSessions(self.redis, secrets.token_bytes)
        self.kept = SqlErasing(self.engine, world.gate.restate, clock=self.clock)
        self.erasures = Mortal(self.kept)
        self.journal = ErasureJournal(folder / "erased.log", self.kept, self.accounts.mark_deleted)
        self.people = SqlPeople(
            self.engine,
            queue_notice,
            clock=self.clock,
            on_freeze=world.gate.freeze,
            taking_back=TAKING_BACK,
        )
        self.departures = SqlDepartures(self.people)
        self.mails = SqlMailOutbox(self.engine, clock=self.clock)
        self.forgotten = []
        self.work = AccountErasure(
            gate=world.gate,
            ledger=world.book,
            erasures=self.erasures,
            accounts=self.accounts,
            profiles=SqlPaymentStore(self.engine),
            drain=world.drainer.drain_once,
            settle=None,
            send_back=None,
            forget_customer=self.forget_customer,
            end_sessions=self.sessions.end_all,
            require_journal=self.journal.require,
            note=self.journal.note,
            rewrite_files=RedisAof(self.redis).rewrite,
            clock=self.clock,
        )

    def clock(self):
        return self.now

    async def forget_customer(self, customer_id):
        self.forgotten.append(customer_id)

    async def move_in(self):
        """Leave something of alice, and of bob, in every place."""
        for name in ("alice", "bob"):
            await self._move_in(name)
        call = await self.world.call("c-alice", "alice")
        await self.world.pass_seconds(3)
        await self.world.hang_up(call)
        # Its end and its booking have different dates.
        await self.world.pass_seconds(2)
        await self.world.drainer.drain_once()

    async def _move_in(self, name):
        at, email = self.now, f"{name}@example.com"
        browser, number = (DEVICE, DIALLED) if name == "alice" else ("Opera", "+15005552000")
        async with writing(self.engine, TIMEOUT_S) as connection:
            await holders.insert(connection, Holder(name, email, at, "hash", 1, "de", at), email)
            await consents.accept(connection, name, {"terms": "2026-11-27"}, at)
            await devices.note(connection, name, Device(f"d-{name}", browser, "Linux", at, at))
            await expect(connection, name, Purpose.NOT_ME, email, at)
            await make_link(connection, Purpose.NOT_ME, name, email, at, f"secret of {name}")
            await audit_log.record(connection, name, Act.SIGNED_UP, at)
            await queue_notice(connection, name, Notice("password_changed", email), at)
            payment = {
                "account_id": name,
                "kind": "checkout",
                "micros": UNIT,
                "currency": "USD",
                "state": "failed",
                "created_at": at,
                "updated_at": at,
            }
            row = {"id": f"p-{name}", "receipt_url": f"https://receipts.example/{name}"}
            await connection.execute(sa.insert(tables.payments).values({**payment, **row}))
            await connection.execute(
                sa.insert(tables.rejected_entries).values(
                    partition=0,
                    entry_id=f"1-{name}",
                    kind="O",
                    fields=f'{{"m":"{{\\"account_id\\":\\"{name}\\",\\"to\\":\\"{number}\\"}}"}}',
                    at=at,
                )
            )
        await self.accounts.set_email(name, email)
        await self.accounts.add_api_key(name, secrets.token_hex(32), f"{name}'s laptop")
        await SqlPaymentStore(self.engine).save_card(name, f"cus_{name}", "pm", email)
        session = Session(name, f"d-{name}", frozenset({"pwd"}), 1, at, at, at)
        await self.sessions.begin(session)

    async def leave(self, name="alice", unspent=Unspent.GIVE_UP):
        notice = dataclasses.replace(TOLD, recipient=f"{name}@example.com")
        assert await self.departures.ask_deletion(name, 1, unspent, self.now + GRACE, notice)

    async def found(self, *needles):
        """Return where any of these words is: a table's column, a key of Valkey, a file."""
        places = set()
        async with reading(self.engine, TIMEOUT_S) as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
            for name in names:
                rows = await connection.execute(sa.text(f'SELECT * FROM "{name}"'))
                for row in rows.mappings():
                    for column, value in row.items():
                        text = repr(bytes(value)) if isinstance(value, memoryview) else repr(value)
                        if any(needle in text for needle in needles):
                            places.add(f"{name}.{column}")
        for key, value in (await self.everything()).items():
            if any(needle in f"{key} {value}" for needle in needles):
                places.add(key)
        if self.journal.path.exists():
            assert not any(needle in self.journal.path.read_text() for needle in needles)
        return places

    async def everything(self):
        """Return key -> value, as text, of all of Valkey."""
        read = {
            b"string": self.redis.get,
            b"hash": self.redis.hgetall,
            b"set": self.redis.smembers,
            b"zset": lambda key: self.redis.zrange(key, 0, -1, withscores=True),
            b"stream": self.redis.xrange,
        }
        return {
            key.decode(): str(await read[await self.redis.type(key)](key))
            async for key in self.operator.scan_iter()
        }


@pytest.fixture
async def house(new_world, valkey_url, operator, tmp_path):
    world = new_world(valkey_url)
    await world.open_accounts(alice=5 * UNIT, bob=5 * UNIT)
    house = House(world, operator, tmp_path)
    await house.move_in()
    return house


async def finish(house, account_id="alice"):
    """Do what is left, once Valkey has written the files that it is writing."""
    async with asyncio.timeout(30):
        while (await house.redis.info("persistence"))["aof_rewrite_in_progress"]:
            await asyncio.sleep(0.02)
    await house.redis.delete("caller:aof-rewritten")
    return await house.work.perform(account_id)


async def send_last_mail(house):
    claimed = await house.mails.claim(9, domain="example.com", until=house.now + timedelta(hours=1))
    last = [mail for mail in claimed if mail.account_id == "alice"]
    assert [(mail.notice.name, mail.notice.recipient) for mail in last] == [
        ("account_deleted", EMAIL)
    ]
    # Who is forgotten is written to in their language.
    assert last[0].notice.values == {"language": "de", "given_up_micros": "4970000"}
    for mail in claimed:
        await house.mails.sent(mail)


async def test_nothing_is_found_of_a_person_and_the_books_agree_through_every_death(house):
    world = house.world
    places = await house.found(*NEEDLES)
    for where in ("holders.email", "devices.browser", "calls.destination", "mail_outbox.recipient"):
        assert where in places
    before = await house.found("bob@example.com", "cus_bob", "bob's laptop")
    unread = sorted(await world.findings())
    assert len(unread) == 2
    await house.leave()
    # Nothing is done before its time.
    assert await house.work.perform() is None
    house.now += GRACE
    deaths = [("proceed", step) for step in STEPS[1:]]
    deaths.insert(deaths.index(("proceed", ErasureStep.SESSIONS)), ("erase_person",))
    for place in [*deaths, ("finish",)]:
        house.erasures.dies_at = place
        with pytest.raises(Died):
            await finish(house)
        assert sorted(await world.findings()) == unread
        # What a dead process held is over.
        house.now += LEASED
    assert (await finish(house)).next_step is None
    await send_last_mail(house)
    assert await house.found(*NEEDLES) == set()
    async with reading(house.engine, TIMEOUT_S) as connection:
        calls = tables.calls.c
        rows = await connection.execute(sa.select(calls.id, calls.destination))
        assert rows.all() == [("c-alice", "")]
        assert await holders.find(connection, "alice") is None
        proof = consents.proof_digest("alice", EMAIL)
        assert [each.version for each in await consents.find_proof(connection, proof)] == [
            "2026-11-27"
        ]
        (request,) = await data_requests.of_account(connection, "alice")
        assert (request.right, request.done_by) == (Right.DELETION, Actor.SERVICE)
        acts = [line.act for line in await audit_log.of_account(connection, "alice", limit=9)]
        assert acts == [Act.ERASED, Act.DELETION_ASKED, Act.SIGNED_UP]
    assert set(house.forgotten) == {CUSTOMER}
    # Somebody else is untouched.
    assert await house.found("bob@example.com", "cus_bob", "bob's laptop") == before
    assert len(await house.sessions.of_account("bob")) == 1
    assert await world.gate.balance("alice") == 0
    assert sorted(await world.findings()) == unread


@pytest.mark.parametrize("unspent", [Unspent.GIVE_UP, Unspent.REFUND])
async def test_only_what_was_there_at_the_ask_is_given_up(house, unspent):
    gate, sent = house.world.gate, []

    async def send_back(account_id, since):
        # Before anything is written off.
        sent.append((account_id, since, await gate.balance(account_id) > 0))

    house.work = dataclasses.replace(house.work, send_back=send_back)
    asked_at = house.now
    await house.leave(unspent=unspent)
    house.now += GRACE
    assert (await house.work.perform("alice")).is_erased
    assert sent == [("alice", asked_at if unspent is Unspent.GIVE_UP else None, True)]
    assert await gate.balance("alice") == 0


async def test_nothing_is_done_that_cannot_be_taken_back_before_it_can_be_noted(house, tmp_path):
    done = []

    async def send_back(account_id, _since):
        done.append(account_id)

    house.work = dataclasses.replace(house.work, send_back=send_back)
    path, house.journal.path = house.journal.path, tmp_path / "unmounted" / "erased.log"
    before, balance = await house.found(*NEEDLES), await house.world.gate.balance("alice")
    await house.leave(unspent=Unspent.REFUND)
    waiting = await house.found(*NEEDLES)
    house.now += GRACE
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="unmounted"):
            await house.work.perform()
        house.now += LEASED
    assert (done, house.forgotten) == ([], [])
    assert await house.world.gate.balance("alice") == balance > 0
    assert before <= await house.found(*NEEDLES) == waiting
    async with reading(house.engine, TIMEOUT_S) as connection:
        closed = sa.select(tables.accounts.c.deleted_at).where(tables.accounts.c.id == "alice")
        assert await connection.scalar(closed) is None
    house.journal.path = path
    assert (await finish(house)).is_erased
    assert (done, set(house.forgotten)) == (["alice"], {CUSTOMER})
    assert "alice" in path.read_text()


async def test_calls_end_at_once_and_the_number_of_one_that_was_live_goes_too(house):
    call = await house.world.call("c-live", "alice")
    await house.world.pass_seconds(2)
    await house.leave()
    await house.world.pass_seconds(1)
    assert not call.is_live
    assert (await house.world.call("c-late", "alice")).refusal == "account_frozen"
    house.now += GRACE
    assert (await house.work.perform("alice")).is_erased
    async with reading(house.engine, TIMEOUT_S) as connection:
        query = sa.select(tables.calls.c.destination).where(tables.calls.c.account_id == "alice")
        assert set(await connection.scalars(query)) == {""}
    assert not any(DIALLED in each for each in (await house.everything()).values())


async def call_of_alice(house):
    async with reading(house.engine, TIMEOUT_S) as connection:
        query = sa.select(tables.calls).where(tables.calls.c.account_id == "alice")
        return (await connection.execute(query)).one()


async def test_a_call_of_today_is_forgotten_by_gate_and_book_alike(house):
    """Also when its process dies in between, and where the account had set itself limits."""
    world = house.world
    before = await call_of_alice(house)
    async with writing(house.engine, TIMEOUT_S) as connection:
        for table, of in ((tables.accounts, "id"), (tables.api_keys, "account_id")):
            capped = sa.update(table).where(table.c[of] == "alice")
            caps = {"day_cap_micros": UNIT, "caps_counted_from": before.created_at + LEASED}
            await connection.execute(capped.values(caps))
    unread = sorted(await world.findings())
    assert before.ended_at < before.booked_at

    async def die_once_told(account_id, calls):
        await world.gate.restate(account_id, calls)
        raise Died

    dying = SqlErasing(house.engine, die_once_told, clock=house.clock)
    with pytest.raises(Died):
        await dying.blank_records("alice")
    assert await call_of_alice(house) == before
    assert sorted(await world.findings()) == unread
    # A repeat changes nothing.
    for _ in range(2):
        assert await house.kept.blank_records("alice")
        left = await call_of_alice(house)
        assert sorted(await world.findings()) == unread
        house.now += timedelta(hours=1)
    assert left.forgotten_at == house.now - timedelta(hours=2)
    assert (left.seconds, left.spent_micros) == (before.seconds, before.spent_micros)
    assert (left.ended_at, left.ringing_at, left.carrier_seconds) == (before.booked_at, None, None)
    assert left.created_at == left.ended_at - timedelta(seconds=left.seconds)
    async with reading(house.engine, TIMEOUT_S) as connection:
        for table in (tables.accounts, tables.api_keys):
            rows = await connection.execute(sa.select(table.c.day_cap_micros))
            assert set(rows.scalars()) == {None}
    # No list has it, retention passes by, and what settles calls still knows its charge.
    assert list(await world.records.page("alice", limit=9)) == []
    year = timedelta(days=400)
    assert await SqlRetention(house.engine, clock=lambda: house.now + year).due("calls") == 0
    record = await world.records.get_with_forgotten("alice", "c-alice")
    assert record.cost_micros == before.spent_micros


async def test_a_gate_that_lost_all_learns_of_a_forgotten_call_what_is_left(house):
    world = house.world
    unread = sorted(await world.findings())
    assert await house.kept.blank_records("alice")
    await house.operator.flushall()
    await fill_gate(world.gate, world.book, world.partitions, world.drainer.drain_once)
    assert sorted(await world.findings()) == unread
    assert not any(DIALLED in each for each in (await house.everything()).values())


async def test_whoever_cancels_keeps_the_account_and_what_froze_it_besides(house):
    await house.world.book.freeze("alice", True)
    await house.leave()
    assert await house.departures.cancel_deletion("alice", 1) is True
    assert await house.departures.cancel_deletion("alice", 1) is False
    assert (await house.accounts.account("alice")).frozen
    await house.world.gate.freeze("alice", await house.world.book.freeze("alice", False))
    assert not (await house.accounts.account("alice")).frozen
    house.now += GRACE
    assert await house.work.perform() is None
    assert EMAIL in {(await house.people.holder("alice")).email}
    # Another time it is meant.
    await house.leave()
    assert (await house.departures.deletion("alice")).state is ErasureState.WAITING


async def test_of_a_worker_and_a_person_at_the_same_moment_one_comes_first(house):
    await house.leave()
    house.now += GRACE
    is_kept, progress = await asyncio.gather(
        house.departures.cancel_deletion("alice", 1), house.work.perform("alice")
    )
    assert (is_kept is True) == (progress is None)
    assert (await house.people.holder("alice") is not None) == (progress is None)


async def test_two_workers_do_one_deletion_once(house):
    await house.leave()
    house.now += GRACE
    done = await asyncio.gather(*(house.work.perform() for _ in range(3)))
    assert sum(each is not None for each in done) == 1
    await send_last_mail(house)


async def test_files_are_written_anew_once_for_all_who_wait(house):
    """However many there are: a rewriting is rare, and a later one would find nothing more."""
    accounts = [f"a{number}" for number in range(5)]
    await house.world.open_accounts(**dict.fromkeys(accounts, 0))
    rewritten = []

    async def not_yet():
        return False

    async def rewrite():
        rewritten.append(await house.kept.waiting_for_files())
        # One begins anew meanwhile: what it has to do once more is not called done.
        await house.kept.begin_now("a4", Unspent.GIVE_UP, Actor.OPERATOR)
        return True

    house.work = dataclasses.replace(house.work, rewrite_files=not_yet)
    for account_id in accounts:
        await house.kept.begin_now(account_id, Unspent.GIVE_UP, Actor.OPERATOR)
        progress = await house.work.perform(account_id)
        assert (progress.next_step, progress.is_erased) == (ErasureStep.FILES, True)
    house.now += REST
    house.work = dataclasses.replace(house.work, rewrite_files=rewrite)
    await house.work.perform("a0")
    assert rewritten == [accounts]
    states = {each: (await house.kept.find(each)).state for each in accounts}
    assert states == dict.fromkeys(accounts[:4], ErasureState.DONE) | {"a4": ErasureState.WAITING}


async def test_an_older_copy_of_the_database_does_not_bring_a_person_back(house):
    """The file tells who was erased since; an account that is made later is another one."""
    await house.leave()
    house.now += GRACE
    await house.work.perform("alice")
    async with writing(house.engine, TIMEOUT_S) as connection:
        # As the copy has it.
        await connection.execute(sa.text("DELETE FROM erasures"))
        await connection.execute(sa.text("UPDATE accounts SET deleted_at = NULL"))
        at = house.now
        await holders.insert(connection, Holder("alice", EMAIL, at, "hash", 1, "de", at), EMAIL)
    other = ErasureJournal(house.journal.path, house.kept, house.accounts.mark_deleted)
    await other.apply()
    async with reading(house.engine, TIMEOUT_S) as connection:
        again, first = await data_requests.of_account(connection, "alice")
    assert (again.right, again.done_at) == (Right.DELETION, None)
    assert (first.right, first.done_by) == (Right.DELETION, Actor.SERVICE)
    await house.redis.delete("caller:aof-rewritten")
    assert (await house.work.perform()).account_id == "alice"
    assert await house.people.holder("alice") is None
    await other.apply()
    assert await house.work.perform() is None


async def test_who_is_gone_is_not_erased_again_once_the_deletion_is_forgotten(house):
    """After the years for which books are kept its row goes, and the line in the file stays."""
    await house.leave()
    house.now += GRACE
    await house.work.perform("alice")
    async with writing(house.engine, TIMEOUT_S) as connection:
        await connection.execute(sa.text("DELETE FROM erasures"))
    await house.journal.apply()
    assert await house.kept.find("alice") is None


@pytest.mark.parametrize("is_rewritten", [True, False])
async def test_a_process_that_erased_nothing_writes_down_what_others_did(
    house, tmp_path, is_rewritten
):
    """Also while old files wait to be written anew, and nothing more is left of the person."""

    async def rewrite():
        return is_rewritten

    house.work = dataclasses.replace(house.work, rewrite_files=rewrite)
    await house.leave()
    house.now += GRACE
    other = ErasureJournal(tmp_path / "other.log", house.kept, house.accounts.mark_deleted)
    await other.copy()
    assert not other.path.exists()
    await house.work.perform("alice")
    for _ in range(2):
        await other.copy()
    (line,) = other.path.read_text().splitlines()
    assert line.endswith(" alice")


async def test_a_last_mail_that_nobody_takes_is_forgotten_too(house):
    await house.leave()
    house.now += GRACE
    await house.work.perform("alice")
    house.now += outbox_rules.LIFETIME + timedelta(hours=1)
    await house.mails.expire(house.now - outbox_rules.LIFETIME)
    assert await house.mails.of_account("alice") == []
