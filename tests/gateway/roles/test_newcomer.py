"""The holder of a demo's account: proven, once, and let in by the password that is printed."""

from gateway.roles.newcomer import EMAIL, make_holder
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.mail_outbox import queue_notice
from gateway.stores.password_hashes import Argon2Hasher
from gateway.stores.people import SqlPeople


async def test_the_account_gets_one_holder_and_keeps_it(engine):
    await SqlAccountStore(engine).create_account("demo", "USD")
    await make_holder(engine, "demo", "first password", "en")
    await make_holder(engine, "demo", "second password", "de")
    holder = await SqlPeople(engine, queue_notice).holder("demo")
    assert (holder.email, holder.language, holder.is_proven) == (EMAIL, "en", True)
    assert await Argon2Hasher().verify("first password", holder.password_hash)
