"""What a lock takes back: what was added lately, and nothing older.

And what the first proof of an address takes back: everything.
"""

import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts import second_factor
from accounts.audit_log import Act
from accounts.erasure import ErasureState, Unspent
from accounts.holder import OPTIONAL_NOTICES
from accounts.link import DISPUTABLE, Purpose
from accounts.notice import MailState, Notice
from accounts.passkey import Passkey
from accounts.ports import DataChoices, NewSecondFactor
from accounts.stores import countries
from accounts.stores import tables as people
from accounts.stores.secret_box import SecretBox
from billing.payments import ACCOUNT_LOCKED
from billing.stores import tables
from billing.stores.payments import SqlPaymentStore
from gateway.buttons.ports import ButtonChange, CodeTry
from gateway.buttons.store import SqlButtons
from gateway.call.supervision import Mode, Rule
from gateway.data_map import KINDS
from gateway.people.departure_store import SqlDepartures
from gateway.people.passkey_store import SqlPasskeys
from gateway.people.second_factor_store import SqlSecondFactors
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK, what_stays
from gateway.scopes import LEAST
from gateway.stores.accounts import KEY_ID_CHARACTERS, SqlAccountStore
from gateway.stores.mail_outbox import mail_outbox, queue_notice
from gateway.supervision.store import SqlHolderSupervision
from gateway.webhooks.endpoint_store import SqlWebhookEndpoints
from gateway.webhooks.ports import EndpointForm
from tests.gateway.buttons.test_store import NEW, PHONE, key
from tests.gateway.people.test_store import (
    DEVICE,
    HOME,
    SIGN_UP,
    THIEF,
    VERIFY,
    Died,
    World,
    mails,
)

CODES = second_factor.make_codes(bytes(range(150)))
FACTOR = NewSecondFactor(bytes(20), 100, [second_factor.code_digest(each) for each in CODES])
CHANGED = Notice("changed", HOME)
LOCKED = Notice("locked", HOME, link=Purpose.RESET_PASSWORD)
DAY = timedelta(days=1)
LONG = DISPUTABLE + DAY


class WholeWorld(World):
    """With all that lets somebody in, and a link that proves the address."""

    verify = ""

    def __post_init__(self):
        super().__post_init__()
        self.factors = SqlSecondFactors(self.people, SecretBox(["k" * 32], os.urandom))
        self.passkeys = SqlPasskeys(self.people)
        self.accounts = SqlAccountStore(self.engine, clock=lambda: self.now)
        self.departures = SqlDepartures(self.people)
        self.supervision = SqlHolderSupervision(self.people)
        self.buttons = SqlButtons(self.engine, self.epoch_begun, clock=lambda: self.now)


@pytest.fixture
async def world(engine):
    async with engine.begin() as connection:
        await connection.run_sync(mails.create)
    world = WholeWorld(engine)
    assert await world.people.sign_up(SIGN_UP, VERIFY)
    world.verify = await world.send(Purpose.PROVE_ADDRESS)
    return world


@pytest.fixture
async def proven(world):
    """The same, of somebody who has proven their address."""
    assert await world.people.prove_address(world.verify, "hash one")
    return world


async def epoch(world):
    return (await world.people.holder("alice")).credentials_epoch


async def add_passkey(world, name):
    key = Passkey(name, "alice", b"key", 0, "", True, True, world.now)
    assert await world.passkeys.add(key, await epoch(world), CHANGED)


async def allow(world, rule):
    """Let supervisors do something, as a holder."""
    allowed = {"may_widen": True, "notice": CHANGED}
    assert await world.supervision.choose("alice", await epoch(world), rule, **allowed)


async def keys_that_work(world):
    async with world.engine.connect() as connection:
        keys = tables.api_keys.c
        labels = sa.select(keys.label).where(keys.revoked_at.is_(None)).order_by(keys.label)
        return (await connection.scalars(labels)).all()


async def test_what_a_thief_added_is_gone_and_what_the_owner_had_is_there(proven):
    await add_passkey(proven, "owner's")
    await proven.accounts.add_api_key("alice", "1" * 64, "owner's", scopes=LEAST)
    proven.now += LONG
    link = await proven.ask(Purpose.NOT_ME)
    await add_passkey(proven, "thief's")
    await proven.accounts.add_api_key("alice", "2" * 64, "thief's", scopes=LEAST)
    assert await proven.factors.add("alice", await epoch(proven), FACTOR, CHANGED)
    proven.now += DAY
    assert await proven.people.lock(link, LOCKED)
    assert [each.credential_id for each in await proven.passkeys.of_account("alice")] == ["owner's"]
    assert await proven.factors.find("alice") is None
    assert await keys_that_work(proven) == ["owner's"]
    acts = set((await proven.acts())[:4])
    removed = {Act.PASSKEY_REMOVED, Act.SECOND_FACTOR_REMOVED, Act.KEY_REVOKED}
    assert acts == removed | {Act.LOCKED}


async def told_of_lock(world):
    """Return the values of the mail that tells of a lock."""
    async with world.engine.connect() as connection:
        kept = mail_outbox.c
        query = sa.select(kept.values_json).where(kept.notice == "locked")
        return json.loads((await connection.scalars(query)).one())


async def test_the_mail_about_a_lock_names_what_goes(proven):
    link, added_at = await proven.ask(Purpose.NOT_ME), proven.now
    await fill(proven)
    hooks = SqlWebhookEndpoints(proven.engine, clock=lambda: proven.now)
    for number, label in enumerate(["thief's", ""]):
        form = EndpointForm("https://evil.example/?token=1", label, "")
        await hooks.add("alice", await epoch(proven), f"wh_{number}", form, "seed")
    store = SqlPeople(
        proven.engine, queue_notice, clock=lambda: proven.now, taking_back=TAKING_BACK
    )
    assert await store.lock(link, LOCKED)
    values = await told_of_lock(proven)
    webhooks = values.pop("webhooks").split(", ")
    assert sorted(webhooks) == ["“evil example”", "“thief's”"]
    assert values == {
        "app": added_at.isoformat(),
        "passkeys": "“?”",
        "keys": "“stranger's”",
        "buttons": f"“{NEW.label}”",
        "numbers": f"“{PHONE[-4:]}”",
        "kept": "yes",
    }


async def test_a_key_without_a_label_is_named_as_the_page_of_keys_does(proven):
    link = await proven.ask(Purpose.NOT_ME)
    await proven.accounts.add_api_key("alice", "2" * 64, "", scopes=LEAST)
    names = f"“{'2' * KEY_ID_CHARACTERS}”"
    async with proven.engine.connect() as connection:
        assert (await what_stays(connection, "alice", proven.now))["keys"] == names
    store = SqlPeople(
        proven.engine, queue_notice, clock=lambda: proven.now, taking_back=TAKING_BACK
    )
    assert await store.lock(link, LOCKED)
    assert (await told_of_lock(proven))["keys"] == names


async def test_a_thief_who_listens_does_so_no_more(proven):
    link = await proven.ask(Purpose.NOT_ME)
    await allow(proven, Rule(Mode.BARGE, "so that nobody hears it"))
    assert await proven.people.lock(link, LOCKED)
    assert await proven.supervision.rule("alice") == Rule()
    assert (await proven.acts())[:2].count(Act.SUPERVISION_SET) == 1


async def test_supervision_that_was_allowed_long_before_stays(proven):
    await allow(proven, Rule(Mode.LISTEN))
    proven.now += LONG
    assert await proven.people.lock(await proven.ask(Purpose.NOT_ME), LOCKED)
    assert await proven.supervision.rule("alice") == Rule(Mode.LISTEN)
    assert (await proven.acts()).count(Act.SUPERVISION_SET) == 1


async def test_what_a_thief_has_widened_is_off_though_the_owner_began_it(proven):
    await allow(proven, Rule(Mode.LISTEN))
    proven.now += LONG
    link = await proven.ask(Purpose.NOT_ME)
    await allow(proven, Rule(Mode.LISTEN, "quiet"))
    assert await proven.people.lock(link, LOCKED)
    assert await proven.supervision.rule("alice") == Rule()


async def test_a_mailbox_alone_takes_no_second_factor_away(proven):
    assert await proven.factors.add("alice", await epoch(proven), FACTOR, CHANGED)
    proven.now += LONG
    link = await proven.ask(Purpose.NOT_ME)
    assert await proven.people.lock(link, LOCKED)
    assert await proven.factors.find("alice") is not None


async def test_a_deletion_that_a_thief_asked_for_is_cancelled(proven):
    link = await proven.ask(Purpose.NOT_ME)
    due_at = proven.now + DAY
    assert await proven.departures.ask_deletion(
        "alice", await epoch(proven), Unspent.GIVE_UP, due_at, CHANGED
    )
    assert (await proven.departures.deletion("alice")).state is ErasureState.WAITING
    assert await proven.people.lock(link, LOCKED)
    assert await proven.departures.deletion("alice") is None
    (request,) = await proven.departures.requests("alice")
    assert request.done_at == proven.now
    # Frozen all the same, as it is locked, until another password is set.
    assert (await proven.accounts.account("alice")).frozen
    reset = await proven.ask(Purpose.RESET_PASSWORD)
    assert await proven.people.reset_password(reset, "hash two", CHANGED)
    assert not (await proven.accounts.account("alice")).frozen


async def test_the_newest_proof_says_since_when_a_deletion_need_not_wait(proven):
    assert await proven.departures.strongest_proof_since("alice") is None
    assert await proven.factors.add("alice", await epoch(proven), FACTOR, CHANGED)
    first = proven.now
    assert await proven.departures.strongest_proof_since("alice") == first
    proven.now += DAY
    await add_passkey(proven, "second")
    assert await proven.departures.strongest_proof_since("alice") == first + DAY


UNIT = 1_000_000


async def switched_on(world):
    """Save a card, and have it charged whenever credit is low, as a thief would."""
    cards = SqlPaymentStore(world.engine)
    await cards.save_card("alice", "cus_1", "pm_1")
    await cards.set_auto(
        "alice", enabled=True, threshold_micros=100 * UNIT, amount_micros=100 * UNIT
    )
    return cards


def is_off(profile):
    return (profile.auto_enabled, profile.auto_off_reason) == (False, ACCOUNT_LOCKED)


async def test_a_lock_stops_automatic_top_ups_for_longer_than_it_lasts(proven):
    cards = await switched_on(proven)
    assert await proven.people.lock(await proven.ask(Purpose.NOT_ME), LOCKED)
    assert is_off(await cards.profile("alice"))
    assert (await proven.acts()).count(Act.AUTO_TOP_UP_OFF) == 1
    reset = await proven.ask(Purpose.RESET_PASSWORD)
    assert await proven.people.reset_password(reset, "hash two", CHANGED)
    profile = await cards.profile("alice")
    assert (profile.frozen, profile.has_card) == (False, True)
    assert is_off(profile)


async def test_an_address_that_is_taken_back_stops_them_too(proven):
    await proven.move(THIEF, HOME)
    undo = await proven.send(Purpose.UNDO_CHANGE)
    cards = await switched_on(proven)
    assert await proven.people.undo_change(undo, HOME, LOCKED)
    assert is_off(await cards.profile("alice"))


async def test_what_was_off_before_a_lock_keeps_its_reason(proven):
    cards = await switched_on(proven)
    await cards.switch_auto_off("alice", "expired_card")
    assert await proven.people.lock(await proven.ask(Purpose.NOT_ME), LOCKED)
    profile = await cards.profile("alice")
    assert (profile.auto_enabled, profile.auto_off_reason) == (False, "expired_card")


async def test_nobody_switches_them_on_while_an_account_is_locked(proven):
    """A thief's request may be under way when the account is locked."""
    cards = await switched_on(proven)
    assert await proven.people.lock(await proven.ask(Purpose.NOT_ME), LOCKED)
    profile = await cards.set_auto("alice", enabled=True, threshold_micros=UNIT, amount_micros=UNIT)
    assert profile.frozen
    assert is_off(await cards.profile("alice"))


async def fill(world):
    """Add whatever can be added to an account; return links that were asked for."""
    await world.accounts.add_api_key("alice", "3" * 64, "stranger's", scopes=LEAST)
    await world.people.note_device("alice", DEVICE, None)
    stands = await epoch(world)
    assert await world.buttons.note_proven("alice", stands, PHONE) is CodeTry.PROVEN
    assert await world.buttons.make("alice", stands, NEW) is ButtonChange.DONE
    async with world.engine.begin() as connection:
        assert await countries.open_country(connection, "alice", "CU", world.now)
    await switched_on(world)
    await allow(world, Rule(Mode.LISTEN))
    await add_passkey(world, "stranger's")
    assert await world.factors.add("alice", await epoch(world), FACTOR, CHANGED)
    due_at = world.now + DAY
    assert await world.departures.ask_deletion(
        "alice", await epoch(world), Unspent.GIVE_UP, due_at, CHANGED
    )
    asked = {each: await world.ask(each) for each in (Purpose.NOT_ME, Purpose.PROVE_ADDRESS)}
    asked[Purpose.CHANGE_ADDRESS] = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    return asked


async def what_is_there(world):
    """Return the kinds of what lets somebody in, spends, or waits."""
    found = {
        "keys": await keys_that_work(world),
        "passkeys": await world.passkeys.of_account("alice"),
        "app": await world.factors.find("alice"),
        "buttons": await world.buttons.of_account("alice"),
        "calls": await world.buttons.by_key(key(1)),
        "numbers": await world.buttons.destinations("alice"),
        "devices": await world.people.devices("alice"),
        "deletion": await world.departures.deletion("alice"),
    }
    profile = await SqlPaymentStore(world.engine).profile("alice")
    found["supervision"] = (await world.supervision.rule("alice")).most
    found["card"] = profile.has_card or profile.customer_id or profile.auto_enabled
    async with world.engine.connect() as connection:
        found["countries"] = await countries.of_account(connection, "alice")
        codes = people.recovery_codes
        found["codes"] = (await connection.execute(sa.select(codes.c.digest))).all()
    return {name for name, each in found.items() if each}


async def test_who_proves_an_address_first_by_a_reset_gets_an_account_with_nothing_in_it(world):
    """Anybody can sign up with an address of somebody else."""
    asked = await fill(world)
    before = await what_is_there(world)
    # No link could take back what is older than this.
    world.now += LONG * 2
    reset = await world.ask(Purpose.RESET_PASSWORD)
    asked[Purpose.CHANGE_ADDRESS] = await world.ask(Purpose.CHANGE_ADDRESS, THIEF)
    assert before == {
        "app",
        "buttons",
        "calls",
        "card",
        "codes",
        "countries",
        "deletion",
        "devices",
        "keys",
        "numbers",
        "passkeys",
        "supervision",
    }
    stood = await epoch(world)
    assert await world.people.reset_password(reset, "hash two", CHANGED)
    assert await what_is_there(world) == set()
    assert [purpose for purpose, link in asked.items() if await world.works(link)] == []
    assert await epoch(world) > stood
    assert not (await world.accounts.account("alice")).frozen
    acts = await world.acts()
    assert acts[0] is Act.PASSWORD_RESET
    assert acts[1] is Act.ADDRESS_PROVEN
    assert {Act.KEY_REVOKED, Act.PASSKEY_REMOVED, Act.CARD_FORGOTTEN} <= set(acts)


async def choices_of(world, account_id):
    """Return what the data map says is chosen, and what follows from it, by its name."""
    accounts, holders = tables.accounts.c, people.holders.c
    kept = [each for kind in KINDS if kind.name == "choices" for each in kind.sql]
    chosen = [people.metadata.tables[each.table].c[name] for each in kept for name in each.names]
    query = sa.select(*chosen, holders.language, accounts.keeps_quality, accounts.frozen).join(
        tables.accounts, accounts.id == holders.account_id
    )
    async with world.engine.connect() as connection:
        found = await connection.execute(query.where(accounts.id == account_id))
        return found.one()._asdict()


async def test_what_a_stranger_has_chosen_is_as_in_a_new_account(world):
    other = replace(SIGN_UP, account_id="bob", email=THIEF, email_key=THIEF)
    assert await world.people.sign_up(other, Notice("verify_email", THIEF))
    of_new = await choices_of(world, "bob")
    wishes = DataChoices(objects=True, restricts=True, muted=frozenset(OPTIONAL_NOTICES))
    assert await world.departures.choose("alice", await epoch(world), wishes)
    assert await world.people.set_language("alice", await epoch(world), "de")
    before = await choices_of(world, "alice")
    # A choice that is new in the data map has to be made above.
    assert [name for name in of_new if of_new[name] == before[name]] == []
    assert (await world.accounts.account("alice")).is_restricted
    reset = await world.ask(Purpose.RESET_PASSWORD)
    holder = await world.people.reset_password(reset, "hash two", CHANGED, "es")
    assert await choices_of(world, "alice") == {**of_new, "language": "es"}
    assert holder == await world.people.holder("alice")
    assert (holder.password_hash, holder.is_proven) == ("hash two", True)
    assert not (await world.accounts.account("alice")).is_restricted
    acts = await world.acts()
    assert (acts.count(Act.CHOICES_CHANGED), acts.count(Act.LANGUAGE_SET)) == (2, 2)


async def test_no_address_and_no_name_of_a_stranger_stays(world):
    await fill(world)
    asked = Notice("change_address", THIEF, link=Purpose.CHANGE_ADDRESS, link_email=THIEF)
    async with world.engine.begin() as connection:
        await queue_notice(connection, "alice", asked, world.now)
        await queue_notice(connection, "alice", VERIFY, world.now)
        of_owner = sa.update(mail_outbox).where(mail_outbox.c.notice == VERIFY.name)
        await connection.execute(of_owner.values(state=MailState.SENT))
        # Of a stranger's act, and to be sent once the address is proven.
        await queue_notice(connection, "alice", Notice("key_made", HOME), world.now)
    known = (
        people.links.c.email,
        people.expected_links.c.email,
        tables.api_keys.c.label,
        mail_outbox.c.recipient,
        mail_outbox.c.link_email,
    )

    async def strange():
        """Return the columns that tell of the stranger."""
        async with world.engine.connect() as connection:
            return {
                str(column)
                for column in known
                for value in await connection.scalars(sa.select(column))
                if value in {THIEF, "stranger's"}
            }

    assert await strange() == set(map(str, known))
    reset = await world.ask(Purpose.RESET_PASSWORD)
    assert await world.people.reset_password(reset, "hash two", CHANGED)
    assert await strange() == set()
    async with world.engine.connect() as connection:
        assert (await connection.scalars(sa.select(mail_outbox.c.notice))).all() == [VERIFY.name]


async def test_what_a_password_proves_stays_and_so_does_what_a_later_reset_finds(world):
    await fill(world)
    before = await what_is_there(world)
    assert await world.people.prove_address(world.verify, "hash one")
    assert await what_is_there(world) == before
    reset = await world.ask(Purpose.RESET_PASSWORD)
    assert await world.people.reset_password(reset, "hash two", CHANGED)
    # Whoever was signed in with a device is a stranger from now on.
    assert await what_is_there(world) == before - {"devices"}
    assert (await world.acts()).count(Act.ADDRESS_PROVEN) == 1


async def test_an_account_says_whether_its_holder_has_yet_to_prove_their_address(world):
    await world.accounts.add_api_key("alice", "3" * 64, "own", scopes=LEAST)
    await world.accounts.create_account("program", "USD")
    assert not (await world.accounts.account("program")).is_unproven
    assert (await world.accounts.account_by_key_hash("3" * 64)).is_unproven
    assert await world.people.prove_address(world.verify, "hash one")
    assert not (await world.accounts.account_by_key_hash("3" * 64)).is_unproven


async def test_a_death_in_between_leaves_all_as_it_was(world):
    await fill(world)
    before = await what_is_there(world)
    reset = await world.ask(Purpose.RESET_PASSWORD)
    world.dies = True
    with pytest.raises(Died):
        await world.people.reset_password(reset, "hash two", CHANGED)
    assert await what_is_there(world) == before
    assert not (await world.people.holder("alice")).is_proven
