"""API keys: who sends a request, and for how long that is believed without asking."""

import hashlib
from dataclasses import dataclass

import pytest
from starlette.requests import Request

from billing.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http import auth
from gateway.http.auth import Authenticator, key_hash, new_api_key

SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Account:
    id: str = "alice"
    currency: str = "USD"
    frozen: bool = False
    call_cap_micros: int | None = None
    day_cap_micros: int | None = None
    month_cap_micros: int | None = None
    key_id: str = "k1"
    key_day_cap_micros: int | None = None


class Accounts:
    """`gateway.ports.AccountStore` in memory."""

    def __init__(self):
        self.by_hash = {}
        self.asked = 0
        self.is_away = False

    async def account_by_key_hash(self, digest):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.by_hash.get(digest)


class Door:
    """An authenticator on a clock that the test moves, with one known key."""

    def __init__(self):
        self.now_ns = 5 * SECOND_NS
        self.accounts = Accounts()
        self.authenticator = Authenticator(self.accounts, lambda: self.now_ns)
        self.key = new_api_key()
        self.accounts.by_hash[key_hash(self.key)] = Account()

    async def knock(self, header):
        headers = [] if header is None else [(b"authorization", header.encode())]
        request = Request({"type": "http", "method": "GET", "headers": headers})
        return await self.authenticator.account(request)

    async def enter(self, key=None):
        return await self.knock(f"Bearer {key or self.key}")


@pytest.fixture
def door():
    return Door()


def test_keys_are_random_and_recognisable():
    keys = {new_api_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("ck_") and len(key) == 27 for key in keys)


def test_what_is_stored_is_the_hash():
    assert key_hash("ck_1") == hashlib.sha256(b"ck_1").hexdigest()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_key_opens(door, scheme):
    assert (await door.knock(f"{scheme} {door.key}")).id == "alice"


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic ck_x", "ck_x", "Bearer sk_x", "Bearer ck_" + "x" * 126],
)
async def test_what_is_no_key_is_refused_without_asking(door, header):
    with pytest.raises(RequestRefusedError) as caught:
        await door.knock(header)
    assert caught.value.code == "unauthorized"
    assert door.accounts.asked == 0


async def test_an_unknown_key_is_refused_and_asked_for_again(door):
    """A key may be added at any time."""
    key = new_api_key()
    for _ in range(2):
        with pytest.raises(RequestRefusedError):
            await door.enter(key)
    assert door.accounts.asked == 2
    door.accounts.by_hash[key_hash(key)] = Account("bob")
    assert (await door.enter(key)).id == "bob"


async def test_a_known_key_is_believed_for_ten_seconds(door):
    await door.enter()
    door.now_ns += 10 * SECOND_NS - 1
    await door.enter()
    assert door.accounts.asked == 1
    door.now_ns += 1
    await door.enter()
    assert door.accounts.asked == 2


async def test_a_revoked_key_works_ten_seconds_at_most(door):
    await door.enter()
    door.accounts.by_hash.clear()
    door.now_ns += 10 * SECOND_NS
    with pytest.raises(RequestRefusedError):
        await door.enter()
    door.accounts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await door.enter()


async def test_a_known_key_is_believed_longer_while_the_store_is_away(door):
    await door.enter()
    door.accounts.is_away = True
    door.now_ns += 600 * SECOND_NS - 1
    assert (await door.enter()).id == "alice"
    door.now_ns += 1
    with pytest.raises(StoreUnavailableError):
        await door.enter()


async def test_an_unknown_key_is_not_believed_while_the_store_is_away(door):
    door.accounts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await door.enter()


async def test_the_memory_of_keys_is_bounded(door, monkeypatch):
    monkeypatch.setattr(auth, "_CACHE_KEYS_MAX", 3)
    keys = [new_api_key() for _ in range(5)]
    for key in keys:
        door.accounts.by_hash[key_hash(key)] = Account(key)
        await door.enter(key)
    assert len(door.authenticator._known) == 3
    asked = door.accounts.asked
    for key in keys[2:]:
        await door.enter(key)
    assert door.accounts.asked == asked, "the latest are kept"
