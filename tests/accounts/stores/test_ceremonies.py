"""Ceremonies on a real server: found by their browser, counted, taken once, and over in time."""

import asyncio
import secrets

import pytest

from accounts.ceremony import LIVES, Ceremony, CeremonyPurpose
from accounts.stores.ceremonies import RedisCeremonies
from accounts.stores.secret_box import SecretBox
from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError

BOX = SecretBox(["a key of 32 characters, or of more"], secrets.token_bytes)
CODE = Ceremony(CeremonyPurpose.CODE, "ada", 3)
APP = Ceremony(CeremonyPurpose.SECOND_FACTOR, "ada", 3, b"a secret of the app")
CHALLENGE = Ceremony(CeremonyPurpose.PASSKEY, payload=b"a challenge")


@pytest.fixture
def ceremonies(redis):
    return RedisCeremonies(redis, secrets.token_bytes, BOX)


@pytest.mark.parametrize("ceremony", [CODE, APP, CHALLENGE], ids=lambda each: each.purpose)
async def test_a_ceremony_is_found_by_its_secret_for_what_it_is_for(ceremonies, ceremony):
    secret = await ceremonies.begin(ceremony)
    assert await ceremonies.find(secret, ceremony.purpose) == ceremony
    other = CeremonyPurpose.NEW_PASSKEY
    assert await ceremonies.find(secret, other) is None
    await ceremonies.end(secret)
    assert await ceremonies.find(secret, ceremony.purpose) is None
    await ceremonies.end(secret)


async def test_the_store_shows_neither_what_opens_it_nor_a_secret(ceremonies, redis, operator):
    secret = await ceremonies.begin(APP)
    (key,) = [
        key async for key in operator.scan_iter("caller:ceremony:*") if await operator.ttl(key) > 0
    ]
    assert secret.encode() not in key
    assert APP.payload not in await redis.hget(key, "kept")
    assert 0 < await operator.ttl(key) <= LIVES[CeremonyPurpose.SECOND_FACTOR].total_seconds()
    await ceremonies.end(secret)


async def test_tries_count_whoever_makes_them_at_once(ceremonies):
    secret = await ceremonies.begin(CODE)
    found = await asyncio.gather(
        *(ceremonies.attempt(secret, CeremonyPurpose.CODE) for _ in range(8))
    )
    assert sorted(tries for _, tries in found) == list(range(1, 9))
    assert {ceremony.account_id for ceremony, _ in found} == {"ada"}
    await ceremonies.end(secret)
    assert await ceremonies.attempt(secret, CeremonyPurpose.CODE) is None


async def test_of_many_who_take_one_at_once_one_has_it(ceremonies):
    secret = await ceremonies.begin(CHALLENGE)
    found = await asyncio.gather(
        *(ceremonies.take(secret, CeremonyPurpose.PASSKEY) for _ in range(8))
    )
    assert [each for each in found if each is not None] == [CHALLENGE]


@pytest.mark.parametrize("secret", ["", "x", "é" * 43, "a" * 44, "a" * 43])
async def test_what_is_no_secret_finds_nothing(ceremonies, secret):
    assert await ceremonies.find(secret, CeremonyPurpose.CODE) is None
    assert await ceremonies.attempt(secret, CeremonyPurpose.CODE) is None
    assert await ceremonies.take(secret, CeremonyPurpose.CODE) is None
    await ceremonies.end(secret)


async def test_a_server_that_is_away_is_said():
    away = connect("redis://127.0.0.1:1")
    ceremonies = RedisCeremonies(away, secrets.token_bytes)
    secret = "a" * 43
    for use in (
        ceremonies.begin(CODE),
        ceremonies.find(secret, CeremonyPurpose.CODE),
        ceremonies.attempt(secret, CeremonyPurpose.CODE),
        ceremonies.take(secret, CeremonyPurpose.CODE),
        ceremonies.end(secret),
    ):
        with pytest.raises(StoreUnavailableError):
            await use
    await disconnect(away)
