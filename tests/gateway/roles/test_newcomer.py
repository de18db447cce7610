"""The holder of a demo's account: proven, once, and let in by the password that is printed."""

from accounts.link import LIFETIMES, Purpose, digest
from accounts.stores import holders
from billing.clock import utc_now
from gateway.buttons.store import SqlButtons
from gateway.embed.keys import KeyMode
from gateway.embed.rules import CallAllowance, faults
from gateway.people.password_hashes import Argon2Hashes
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles.newcomer import EMAIL, HOST_ORIGINS, make_button, make_holder, make_link
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mail_outbox import queue_notice


async def test_the_account_gets_one_holder_and_keeps_it(engine):
    await SqlAccountStore(engine).create_account("demo", "USD")
    await make_holder(engine, "demo", "first password", "en")
    await make_holder(engine, "demo", "second password", "de")
    holder = await SqlPeople(engine, queue_notice, taking_back=TAKING_BACK).holder("demo")
    assert (holder.email, holder.language, holder.is_proven) == (EMAIL, "en", True)
    assert Argon2Hashes().is_of(b"first password", holder.password_hash)


async def test_a_link_signs_the_holder_in_once_and_ends_the_one_before(engine):
    await SqlAccountStore(engine).create_account("demo", "USD")
    people = SqlPeople(engine, queue_notice, taking_back=TAKING_BACK)
    assert not await make_link(engine, "demo", "no holder yet")
    await make_holder(engine, "demo", "a password", "en")
    assert await make_link(engine, "demo", "first")
    assert await make_link(engine, "demo", "second")
    first, second = [await people.look_at_link(digest(each)) for each in ("first", "second")]
    assert not first.works(utc_now())
    assert (second.purpose, second.email, second.works(utc_now())) == (Purpose.SIGN_IN, EMAIL, True)
    assert second.expires_at <= utc_now() + LIFETIMES[Purpose.SIGN_IN]
    assert await people.use_sign_in_link(digest("first")) is None
    assert (await people.use_sign_in_link(digest("second"))).email == EMAIL
    assert await people.use_sign_in_link(digest("second")) is None


async def test_nobody_who_is_locked_out_gets_a_link(engine):
    await SqlAccountStore(engine).create_account("demo", "USD")
    await make_holder(engine, "demo", "a password", "en")
    async with engine.begin() as connection:
        await holders.change(connection, "demo", locked_at=utc_now())
    assert not await make_link(engine, "demo", "any")


async def test_the_demos_button_is_made_once_and_calls_the_number(engine):
    await SqlAccountStore(engine).create_account("demo", "USD")
    told = []

    async def tell():
        told.append(None)

    buttons = SqlButtons(engine, tell)
    made = [await make_button(buttons, "demo", "seed", "+15005551000") for _ in range(2)]
    assert made[0] == made[1]
    (button,) = await buttons.of_account("demo")
    assert (button.rules.destination, button.rules.origins) == ("+15005551000", HOST_ORIGINS)
    assert button.key_of(KeyMode.LIVE) == made[0].live_key
    assert button.key_of(KeyMode.TEST) == made[0].test_key
    assert faults(button.rules, call_seconds_max=3_600) == {}
    # Who builds a page calls more often than a visitor may.
    assert button.rules.amounts.visitor_hour > CallAllowance().visitor_hour
    # Another demo has other keys: it is seeded by its own secret.
    other = await make_button(buttons, "demo", "other", "+15005551000")
    assert other.live_key != made[0].live_key
