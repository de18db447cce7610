"""How far back a link reaches: to the session whose act its mail tells of, and what came before it.

What came before could be disputed when the link was made, and so goes with it.
"""

import asyncio
import os
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts import second_factor
from accounts.erasure import Unspent
from accounts.holder import Device
from accounts.link import DISPUTABLE, LIFETIMES, Purpose, digest
from accounts.notice import Notice
from accounts.passkey import Passkey
from accounts.ports import NewHolder, NewSecondFactor
from accounts.session import Session
from accounts.stores import links
from accounts.stores import tables as kept
from accounts.stores.secret_box import SecretBox
from billing.payments import PaymentProfile
from billing.stores import tables
from database.engine import TIMEOUT_S, writing
from gateway.call.supervision import Rule
from gateway.http.sessions import SignedIn
from gateway.people.countries import country_opened
from gateway.people.country_store import SqlHolderCountries
from gateway.people.departure_store import SqlDepartures
from gateway.people.enrolment import second_factor_changed
from gateway.people.export_store import SqlExports
from gateway.people.key_store import SqlHolderKeys
from gateway.people.keys import KeyForm, Keys
from gateway.people.passkey_store import SqlPasskeys
from gateway.people.password import password_changed
from gateway.people.second_factor_store import SqlSecondFactors
from gateway.people.sign_in import new_device
from gateway.people.store import SqlPeople
from gateway.personal_data import taking_back
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.post.notices import MailReader, MailSender
from gateway.post.sender import MailWriter
from gateway.scopes import LEAST
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mail_outbox import SqlMailOutbox, queue_notice
from gateway.stores.people_transactions import tell_nobody
from gateway.supervision.own_rule import RuleChosen, RuleForm, Supervision
from gateway.supervision.store import SqlHolderSupervision
from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
from gateway.webhooks.ports import EndpointForm
from tests.gateway.calls.test_live import Velocity
from tests.gateway.people.memory import BEGINNING

HOME, THIEFS, NEW_HOME = "ada@example.com", "eve@example.org", "ada@example.net"
CODES = [second_factor.code_digest(each) for each in second_factor.make_codes(bytes(range(150)))]
LOCKED = Notice("locked", HOME, link=Purpose.RESET_PASSWORD)
SERVICE = MailSender("Caller", "https://caller.example")
SEEN = {"browser": "", "system": "", "at": BEGINNING.isoformat()}
DAY, LATE = timedelta(days=1), timedelta(seconds=95)
LONG = DISPUTABLE + DAY
"""After it nobody can dispute any more what was told of before."""


@dataclass
class House:
    """An account on real stores, whose mails leave as they do."""

    engine: AsyncEngine
    now: datetime = BEGINNING
    made: dict = field(default_factory=dict)
    """Name of a mail and purpose -> digests of the links in it, in the order they left."""

    def __post_init__(self):
        def clock():
            return self.now

        self.people = SqlPeople(self.engine, queue_notice, clock=clock, taking_back=TAKING_BACK)
        self.factors = SqlSecondFactors(self.people, SecretBox(["k" * 32], os.urandom))
        self.passkeys = SqlPasskeys(self.people)
        self.departures = SqlDepartures(self.people)
        self.accounts = SqlAccountStore(self.engine, clock=clock)
        holders = SqlHolderKeys(self.engine, self.accounts.keys_changed, clock=clock)
        self.keys = Keys(holders, Velocity(), clock)
        self.hooks = SqlWebhookEndpoints(self.engine, clock=clock)
        self.outbox = SqlMailOutbox(self.engine, clock=clock)

    async def move_in(self):
        new = NewHolder("ada", "USD", HOME, HOME, "hash", "en", {})
        assert await self.people.sign_up(
            new, Notice("verify_email", HOME, link=Purpose.PROVE_ADDRESS)
        )
        proof = (await self.mails())["verify_email", Purpose.PROVE_ADDRESS][-1]
        assert await self.people.prove_address(proof, "hash")
        await self.sign_in("owner's")

    async def sign_in(self, device):
        """Sign in with the password; the owner is told where the device is new."""
        seen = Device(device, "", "", self.now, self.now)
        await self.people.note_device("ada", seen, new_device(HOME, seen))
        holder, account = await self.people.holder("ada"), await self.accounts.account("ada")
        times = dict.fromkeys(("began_at", "seen_at", "authenticated_at"), self.now)
        session = Session("ada", device, frozenset({"pwd"}), holder.credentials_epoch, **times)
        return SignedIn(session, holder, account, "", "secret")

    async def epoch(self):
        return (await self.people.holder("ada")).credentials_epoch

    async def add_passkey(self, name, began_at):
        key = Passkey(name, "ada", b"key", 0, name, True, True, self.now)
        told = Notice("passkey_added", HOME, link=Purpose.NOT_ME, reach=began_at)
        assert await self.passkeys.add(key, await self.epoch(), told)

    async def add_app(self, began_at):
        factor = NewSecondFactor(bytes(20), 100, CODES)
        told = second_factor_changed(HOME, "on", reach=began_at)
        assert await self.factors.add("ada", await self.epoch(), factor, told)

    async def mails(self):
        """Let all mails leave; return the links in them."""

        async def reader(account_id):
            return MailReader(PaymentProfile(account_id, "USD", email=HOME))

        for mail in await self.outbox.claim(99, domain="x", until=self.now + DAY):

            async def make(purpose, account_id, email, reach, name=mail.notice.name):
                earlier = self.made.setdefault((name, purpose), [])
                secret = f"{name} {purpose} {len(earlier)}"
                earlier.append(digest(secret))
                async with writing(self.engine, TIMEOUT_S) as connection:
                    await links.make_link(
                        connection,
                        purpose,
                        account_id,
                        email,
                        at=self.now,
                        secret=secret,
                        reach=reach,
                    )
                return secret

            await MailWriter(reader, make, SERVICE).render(mail)
            await self.outbox.sent(mail)
        return self.made

    async def left(self):
        """Return what lets somebody in: passkeys, keys, whether there is an app, its codes."""
        async with self.engine.connect() as connection:
            keys = tables.api_keys.c
            labels = await connection.scalars(
                sa.select(keys.label).where(keys.revoked_at.is_(None)).order_by(keys.label)
            )
            codes = await connection.scalar(
                sa.select(sa.func.count()).select_from(kept.recovery_codes)
            )
        passkeys = [each.credential_id for each in await self.passkeys.of_account("ada")]
        return passkeys, labels.all(), await self.factors.find("ada") is not None, codes


@pytest.fixture
async def house(engine):
    house = House(engine)
    await house.move_in()
    return house


async def break_in(house):
    """Let the owner have a passkey and a key, and a thief add theirs."""
    await house.add_passkey("owner's", house.now)
    await house.accounts.add_api_key("ada", "1" * 64, "owner's", scopes=LEAST)
    house.now += LONG
    thief = await house.sign_in("thief's")
    house.now += LATE
    await house.add_passkey("thief's", thief.session.began_at)
    await house.accounts.add_api_key("ada", "2" * 64, "thief's", scopes=LEAST)
    house.now += LATE
    return thief.session.began_at


@pytest.mark.parametrize("has_session", [True, False], ids=["signed in", "by the password"])
async def test_an_undone_change_of_address_takes_all_of_its_session_back(house, has_session):
    began_at = await break_in(house)
    asked = Notice("change_address", THIEFS, link=Purpose.CHANGE_ADDRESS, reach=began_at)
    assert await house.people.tell_signed_in("ada", await house.epoch(), asked)
    link = (await house.mails())["change_address", Purpose.CHANGE_ADDRESS][-1]
    house.now += LATE
    reach = began_at if has_session else None
    told = Notice("address_changed", HOME, link=Purpose.UNDO_CHANGE, reach=reach)
    assert await house.people.change_address(link, await house.epoch(), THIEFS, [told])
    undo = (await house.mails())["address_changed", Purpose.UNDO_CHANGE][-1]
    assert await house.people.undo_change(undo, HOME, LOCKED)
    assert await house.left() == (["owner's"], ["owner's"], False, 0)


@pytest.mark.parametrize("mail", ["second_factor_changed", "password_changed", "deletion_asked"])
async def test_a_late_act_of_a_thief_is_told_with_the_reach_of_their_session(house, mail):
    began_at = await break_in(house)
    epoch = await house.epoch()
    match mail:
        case "second_factor_changed":
            await house.add_app(began_at)
        case "password_changed":
            told = password_changed(HOME, reach=began_at)
            assert await house.people.set_password("ada", epoch, "thief's", told)
        case "deletion_asked":
            values, link = {"at": house.now.isoformat()}, Purpose.CANCEL_DELETION
            told = Notice(mail, HOME, values, link, reach=began_at)
            due_at = house.now + DAY
            asked = (Unspent.GIVE_UP, due_at, told)
            assert await house.departures.ask_deletion("ada", epoch, *asked)
    assert await house.people.lock((await house.mails())[mail, Purpose.NOT_ME][-1], LOCKED)
    assert await house.left() == (["owner's"], ["owner's"], False, 0)
    assert await house.departures.deletion("ada") is None


async def test_a_key_that_a_thief_made_goes_by_the_mail_that_tells_of_it(house):
    thief = await house.sign_in("thief's")
    house.now += LATE
    form = KeyForm("thief's", scopes=LEAST, day_cap_micros=None, days=None)
    await house.keys.make(thief, form, secret="ck_x", key_hash="2" * 64)
    assert await house.people.lock((await house.mails())["key_made", Purpose.NOT_ME][-1], LOCKED)
    assert await house.left() == ([], [], False, 0)


async def test_a_webhook_that_a_thief_set_goes_by_the_mail_that_tells_of_it(house):
    owners = EndpointForm("https://hooks.example.com/", "owner's", "")
    await house.hooks.add("ada", await house.epoch(), "wh_1", owners, "seed")
    house.now += LONG
    thief = await house.sign_in("thief's")
    house.now += LATE
    for url, label in (("https://evil.example/1", "thief's"), ("https://evil.example/2", "")):
        form = EndpointForm(url, label, "")
        since, stands = thief.session.began_at, thief.session.credentials_epoch
        # A repeat tells of it once.
        for _ in range(2):
            await house.hooks.add("ada", stands, url[-1:] + "_new", form, "seed", since=since)
    links = (await house.mails())["webhook_set", Purpose.NOT_ME]
    assert len(links) == 3
    assert await house.people.lock(links[-1], LOCKED)
    found = {each.id: each.disabled_why for each in await house.hooks.of_account("ada")}
    assert found == {"wh_1": "", "1_new": "taken_back", "2_new": "taken_back"}


async def allow(house, who, most):
    """Let supervisors do something, as the page does."""
    form = RuleForm(most, is_silent=False, silent_reason="")
    flow = Supervision(SqlHolderSupervision(house.people), Velocity(), lambda: house.now)
    assert await flow.choose(who, form) == RuleChosen(is_new=True)
    return flow


async def test_a_thief_who_listens_is_put_out_by_the_mail_that_tells_of_it(house):
    flow = await allow(house, await house.sign_in("owner's"), "listen")
    house.now += LONG
    thief = await house.sign_in("thief's")
    house.now += LATE
    await allow(house, thief, "take-over")
    told = (await house.mails())["supervision_allowed", Purpose.NOT_ME]
    assert await house.people.lock(told[-1], LOCKED)
    assert await flow.rule(thief) == Rule()


async def test_a_sign_in_reaches_no_further_than_what_could_still_be_disputed(house):
    await house.sign_in("first")
    house.now += DAY
    await house.add_app(house.now)
    for pause in (LONG, 10 * DAY):
        house.now += pause
        await house.sign_in(str(pause))
        await house.mails()
    for link in (await house.mails())["new_device", Purpose.NOT_ME][1:]:
        assert await house.people.lock(link, LOCKED)
    assert await house.left() == ([], [], True, len(CODES))


@pytest.mark.parametrize("pause", [3 * LATE, 10 * DAY], ids=["minutes", "days"])
@pytest.mark.parametrize("mail", ["new_device", "country_opened"])
async def test_a_thief_keeps_nothing_of_a_session_before_the_one_that_is_disputed(
    house, mail, pause
):
    await break_in(house)
    await house.add_app(house.now)
    house.now += pause
    second = await house.sign_in("thief's second")
    if mail == "country_opened":
        told = country_opened(HOME, "Cuba", reach=second.session.began_at)
        await house.people.tell("ada", told)
    link = (await house.mails())[mail, Purpose.NOT_ME][-1]
    house.now += LIFETIMES[Purpose.NOT_ME] - LATE
    assert await house.people.lock(link, LOCKED)
    assert await house.left() == (["owner's"], ["owner's"], False, 0)


async def test_a_link_from_before_reaches_were_kept_goes_by_when_it_was_made(house):
    await break_in(house)
    await house.sign_in("thief's second")
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    async with writing(house.engine, TIMEOUT_S) as connection:
        await connection.execute(sa.update(kept.links).values(reach=None))
    assert await house.people.lock(link, LOCKED)
    assert await house.left() == (["owner's"], ["owner's"], False, 0)


async def test_a_lock_by_a_mail_to_the_address_before_goes_back_to_it(house):
    """A thief who reads the mails of an address of theirs would else set the next password."""
    began_at = await break_in(house)
    early = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    asked = Notice("change_address", THIEFS, link=Purpose.CHANGE_ADDRESS, reach=began_at)
    assert await house.people.tell_signed_in("ada", await house.epoch(), asked)
    taken = (await house.mails())["change_address", Purpose.CHANGE_ADDRESS][-1]
    told = Notice("address_changed", HOME, link=Purpose.UNDO_CHANGE, reach=began_at)
    assert await house.people.change_address(taken, await house.epoch(), THIEFS, [told])
    late = Notice("new_device", THIEFS, link=Purpose.NOT_ME)
    ask = Notice("reset_password", THIEFS, link=Purpose.RESET_PASSWORD)
    for notice in (replace(late, values=SEEN), ask):
        await house.people.tell("ada", notice)
    thiefs = (await house.mails())["reset_password", Purpose.RESET_PASSWORD][-1]
    holder = await house.people.lock(early, LOCKED)
    assert (holder.email, holder.locked_at) == (HOME, house.now)
    assert not await house.people.reset_password(thiefs, "thief's", password_changed(THIEFS))
    (mail,) = await house.outbox.claim(9, domain="x", until=house.now + DAY)
    assert (mail.notice.name, mail.notice.recipient) == ("locked", HOME)
    gone = {"passkeys": "“thief's”", "keys": "“thief's”"}
    others = dict.fromkeys(("app", "buttons", "numbers", "webhooks"), "")
    assert mail.notice.values == gone | others
    # One that was sent to the thief's address locks nobody out any more.
    again = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert await house.people.lock(again, LOCKED) is None


async def test_an_address_that_its_owner_has_left_is_not_gone_back_to(house):
    """By a link in a mail to the present one: nobody else reads that."""
    asked = Notice("change_address", NEW_HOME, link=Purpose.CHANGE_ADDRESS)
    assert await house.people.tell_signed_in("ada", await house.epoch(), asked)
    taken = (await house.mails())["change_address", Purpose.CHANGE_ADDRESS][-1]
    told = Notice("address_changed", HOME, link=Purpose.UNDO_CHANGE)
    assert await house.people.change_address(taken, await house.epoch(), NEW_HOME, [told])
    await house.people.tell("ada", Notice("new_device", NEW_HOME, SEEN, link=Purpose.NOT_ME))
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert (await house.people.lock(link, LOCKED)).email == NEW_HOME


async def test_browsers_seen_for_the_first_time_are_recognised_no_more(house):
    """Also where none is left: whoever comes next is told of."""
    house.now += LATE
    thief = await house.sign_in("thief's")
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert await house.people.lock(link, LOCKED)
    assert await house.people.devices("ada") == []
    await house.mails()
    await house.sign_in(thief.session.device_id)
    (mail,) = await house.outbox.claim(9, domain="x", until=house.now + DAY)
    assert mail.notice.name == "new_device"


async def test_a_country_is_closed_and_an_export_is_gone_that_a_thief_asked_for(house):
    countries = SqlHolderCountries(
        house.engine, queue_notice, on_change=tell_nobody, clock=lambda: house.now
    )
    exports = SqlExports(house.engine, clock=lambda: house.now)

    async def ask(country, export_id):
        told = country_opened(HOME, country)
        assert await countries.open_country("ada", 2, country, day_max=9, notice=told)
        assert await exports.ask("ada", 2, export_id, "0" * 64)
        export, _ = await exports.claim()
        assert await exports.add_chunk(export, 0, b"all of it", progress=9)
        assert await exports.finish(export, Notice("export_ready", HOME))

    await ask("FR", "owner's")
    house.now += LONG
    await house.sign_in("thief's")
    await ask("CU", "thief's")
    assert await exports.ask("ada", 2, "thief's second", "0" * 64)
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert await house.people.lock(link, LOCKED)
    assert await countries.opened("ada") == {"FR"}
    assert [each.id for each in await exports.of_account("ada")] == ["owner's"]
    assert all(each.done_at for each in await house.departures.requests("ada"))
    assert await exports.chunk("owner's", 0) == b"all of it"
    assert await exports.chunk("thief's", 0) is None


async def test_recovery_codes_that_a_thief_has_read_are_gone_and_the_app_stays(house):
    await house.add_app(house.now)
    house.now += LONG
    began_at = (await house.sign_in("thief's")).session.began_at
    house.now += LATE
    told = second_factor_changed(HOME, "codes", reach=began_at)
    assert await house.factors.renew_codes("ada", await house.epoch(), CODES, told)
    link = (await house.mails())["second_factor_changed", Purpose.NOT_ME][-1]
    assert await house.people.lock(link, LOCKED)
    assert await house.left() == ([], [], True, 0)


async def test_a_chunk_that_is_being_added_to_an_export_holds_no_lock_up(house):
    exports = SqlExports(house.engine, clock=lambda: house.now)
    await house.sign_in("thief's")
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert await exports.ask("ada", 2, "thief's", "0" * 64)
    async with writing(house.engine, TIMEOUT_S) as connection:
        await connection.execute(sa.update(kept.exports).values(progress=9))
        locking = asyncio.create_task(house.people.lock(link, LOCKED))
        # Time to find no chunk, for whoever does not wait for this transaction.
        await asyncio.sleep(0.3)
        chunk = {"export_id": "thief's", "number": 0, "content": b"x"}
        await connection.execute(sa.insert(kept.export_chunks).values(chunk))
    assert await locking
    assert await exports.of_account("ada") == []


async def test_a_reset_names_what_stays(house):
    await break_in(house)
    await allow(house, await house.sign_in("owner's"), "whisper")
    for number in range(2):
        form = EndpointForm("https://evil.example/", "", "")
        await house.hooks.add("ada", await house.epoch(), f"wh_{number}", form, "seed")
    off = EndpointForm(is_disabled=True)
    await house.hooks.change("ada", await house.epoch(), "wh_1", off)
    ask = Notice("reset_password", HOME, link=Purpose.RESET_PASSWORD)
    await house.people.tell("ada", ask)
    link = (await house.mails())["reset_password", Purpose.RESET_PASSWORD][-1]
    assert await house.people.reset_password(link, "another", password_changed(HOME))
    claimed = await house.outbox.claim(9, domain="x", until=house.now + DAY)
    (mail,) = [each for each in claimed if each.notice.name == "password_changed"]
    names = "“thief's”, “owner's”"
    assert mail.notice.values == {
        "passkeys": names,
        "keys": names,
        "buttons": "",
        "app": "",
        "supervision": "whisper",
        "webhooks": "“evil example”",
        "deletion": "",
    }


async def test_names_in_a_mail_lead_nowhere_and_a_deletion_that_waits_is_named(house):
    evil = "none. All is well: http://evil.example/l/a?b"
    await house.add_passkey(evil, house.now)
    await house.add_passkey("...", house.now)
    due_at = house.now + 7 * DAY
    asked = await house.departures.ask_deletion(
        "ada",
        await house.epoch(),
        Unspent.REFUND,
        due_at,
        Notice("deletion_asked", HOME, {"at": due_at.isoformat()}),
    )
    assert asked
    ask = Notice("reset_password", HOME, link=Purpose.RESET_PASSWORD)
    await house.people.tell("ada", ask)
    reset = (await house.mails())["reset_password", Purpose.RESET_PASSWORD][-1]
    assert await house.people.reset_password(reset, "another", password_changed(HOME))
    claimed = await house.outbox.claim(9, domain="x", until=house.now + DAY)
    (values,) = [mail.notice.values for mail in claimed if mail.notice.name == "password_changed"]
    assert sorted(values["passkeys"].split(", ")) == [
        "“?”",
        "“none  All is well  http evil example l a b”",
    ]
    assert values["deletion"] == due_at.isoformat()


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("shop <b>", "“shop <b>”"),
        ("R&D (v1.2): #3/4", "“R&D (v1.2): #3/4”"),
        ("the “old” one", "“the 'old' one”"),
        ("see evil.example", "“see evil example”"),
        ("a:/b c", "“a b c”"),
    ],
)
def test_a_name_is_quoted_whole_unless_a_link_could_be_made_of_it(name, quoted):
    assert taking_back._listed([name]) == quoted


@pytest.mark.parametrize("age", [LATE, LONG])
async def test_a_reset_names_an_app_that_the_link_of_its_mail_removes(house, age):
    await house.add_app(house.now)
    added_at = house.now
    house.now += age
    ask = Notice("reset_password", HOME, link=Purpose.RESET_PASSWORD)
    await house.people.tell("ada", ask)
    reset = (await house.mails())["reset_password", Purpose.RESET_PASSWORD][-1]
    assert await house.people.reset_password(reset, "another", password_changed(HOME))
    claimed = await house.outbox.claim(9, domain="x", until=house.now + DAY)
    (app,) = [
        mail.notice.values["app"] for mail in claimed if mail.notice.name == "password_changed"
    ]
    assert app == (added_at.isoformat() if age is LATE else "")
    house.now += DAY + LATE
    not_me = (await house.mails())["password_changed", Purpose.NOT_ME][-1]
    assert await house.people.lock(not_me, LOCKED)
    assert (await house.left())[2] is not bool(app)


async def test_an_account_says_that_it_is_locked_until_another_password_is_set(house):
    await house.accounts.add_api_key("ada", "1" * 64, "owner's", scopes=LEAST)
    house.now += LONG
    await house.sign_in("thief's")
    assert not (await house.accounts.account_by_key_hash("1" * 64)).is_locked
    link = (await house.mails())["new_device", Purpose.NOT_ME][-1]
    assert await house.people.lock(link, LOCKED)
    assert (await house.accounts.account_by_key_hash("1" * 64)).is_locked
    reset = (await house.mails())["locked", Purpose.RESET_PASSWORD][-1]
    assert await house.people.reset_password(reset, "another", password_changed(HOME))
    assert not (await house.accounts.account_by_key_hash("1" * 64)).is_locked
