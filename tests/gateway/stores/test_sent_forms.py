"""Forms that were received: one transaction does each, and where it led to is kept for a day."""

import asyncio

import pytest
import sqlalchemy as sa

from database.engine import TIMEOUT_S, writing
from gateway.errors import FormSentBeforeError
from gateway.stores.sent_answers import SqlAnsweredForms
from gateway.stores.sent_forms import ANSWER_KEPT_S, sent_forms
from gateway.stores.wishes import KEPT_S, RedisWishes
from tests.billing.conftest import client

__all__ = ["client"]

SHOWN = "a" * 32
DIGEST = SHOWN + "a" * 32
"""Of a form as it was shown, and of what it was filled in with."""


@pytest.fixture
def forms(client):
    return SqlAnsweredForms(RedisWishes(client, secret="s"))


async def do(engine, forms, digest=DIGEST, *, change="SELECT 1"):
    async with writing(engine, TIMEOUT_S) as connection:
        await forms.note(connection, digest)
        await connection.execute(sa.text(change))


async def test_of_many_at_once_one_does_it(engine, forms):
    done = await asyncio.gather(*(do(engine, forms) for _ in range(4)), return_exceptions=True)
    assert [type(each) for each in done if each is not None] == [FormSentBeforeError] * 3
    await do(engine, forms, "b" * 64)
    async with engine.connect() as connection:
        rows = await connection.scalars(sa.select(sent_forms.c.digest))
        assert sorted(rows) == [DIGEST, "b" * 64]


async def test_one_that_was_rolled_back_may_be_sent_again(engine, forms):
    with pytest.raises(sa.exc.IntegrityError):
        await do(engine, forms, change="INSERT INTO duties (name) VALUES (NULL)")
    await do(engine, forms)


async def test_what_is_sent_again_after_something_else_is_done_again(engine, forms):
    other = SHOWN + "b" * 32
    for digest in (DIGEST, other, DIGEST, other):
        await do(engine, forms, digest)
        with pytest.raises(FormSentBeforeError):
            await do(engine, forms, digest)
    async with engine.connect() as connection:
        assert list(await connection.scalars(sa.select(sent_forms.c.digest))) == [other]


@pytest.mark.parametrize("half", ["0" * 32, "f" * 32, "9f" * 16])
async def test_of_another_form_nothing_is_forgotten(engine, forms, half):
    others = [name + half for name in ("a" * 31 + "9", "a" * 31 + "b", "0" * 32, "f" * 32)]
    for digest in (*others, SHOWN + half, SHOWN + "5" * 32):
        await do(engine, forms, digest)
    for digest in others:
        with pytest.raises(FormSentBeforeError):
            await do(engine, forms, digest)


async def test_where_it_led_to_is_kept_for_a_day_until_it_is_sent_otherwise(forms, operator):
    other = SHOWN + "b" * 32
    assert await forms.outcome(DIGEST) is None
    await forms.keep(DIGEST, b"first")
    assert await forms.outcome(DIGEST) == b"first"
    assert await forms.outcome(other) is None
    await forms.keep(other, b"second")
    assert await forms.outcome(other) == b"second"
    assert await forms.outcome(DIGEST) is None
    await forms.keep(DIGEST, b"third")
    assert await forms.outcome(DIGEST) == b"third"
    (key,) = await operator.keys("*")
    assert DIGEST.encode() not in key
    assert 0 < await operator.ttl(key) <= KEPT_S


async def test_an_answer_is_opened_by_its_proof_alone_and_kept_for_seconds(forms, operator):
    proof, other = b"p" * 32, b"o" * 32
    assert await forms.answer(proof) is None
    await forms.keep_answer(proof, b"set-cookie: secret")
    assert await forms.answer(proof) == b"set-cookie: secret"
    assert await forms.answer(other) is None
    (key,) = await operator.keys("*")
    assert 0 < await operator.ttl(key) <= ANSWER_KEPT_S
    sealed = await operator.get(key)
    for word in (b"secret", proof):
        assert word not in key + sealed
    await forms.keep_answer(other, b"theirs")
    (name,) = set(await operator.keys("*")) - {key}
    # What lies under another's name opens for nobody, nor what is cut off.
    for value in (sealed, sealed[:5], b""):
        await operator.set(name, value)
        assert await forms.answer(other) is None


async def test_a_place_may_be_kept_for_seconds(forms, operator):
    await forms.keep(DIGEST, b"place", is_brief=True)
    (key,) = await operator.keys("*")
    assert 0 < await operator.ttl(key) <= ANSWER_KEPT_S
