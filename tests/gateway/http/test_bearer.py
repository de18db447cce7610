"""API keys: who sends a request, whether they may, and how long that is believed."""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from billing.spend_limits import UNLIMITED, SpendLimits
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http.access import Access
from gateway.http.bearer import Authenticator, key_hash, new_api_key
from gateway.limits.velocity import Use
from gateway.nanoseconds import SECOND_NS
from gateway.scopes import PAGE, Scope
from tests.gateway.calls.test_live import Velocity

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Account:
    id: str = "alice"
    currency: str = "USD"
    frozen: bool = False
    limits: SpendLimits = UNLIMITED
    keeps_quality: bool = True
    key_id: str = "k1"
    scopes: frozenset[Scope] = PAGE
    key_expires_at: datetime | None = None
    has_holder: bool = False
    is_unproven: bool = False
    is_locked: bool = False
    is_restricted: bool = False


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

    async def account_by_key_id(self, key_id):
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return next((a for a in self.by_hash.values() if a.key_id == key_id), None)


class Epochs:
    """`gateway.ports.KeyEpochs` in memory."""

    def __init__(self):
        self.epoch = "e1"
        self.is_away = False

    async def current(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.epoch


def authenticator(accounts, clock_ns=lambda: 0):
    """Return one in an epoch that does not end."""
    return Authenticator(accounts, Epochs(), Velocity(), clock_ns, lambda: NOW)


class Door:
    """An authenticator on a clock that the test moves, with one known key."""

    def __init__(self):
        self.now_ns = 5 * SECOND_NS
        self.now = NOW
        self.accounts, self.epochs, self.velocity = Accounts(), Epochs(), Velocity()
        self.authenticator = Authenticator(
            self.accounts,
            self.epochs,
            self.velocity,
            lambda: self.now_ns,
            lambda: self.now,
        )
        self.key = new_api_key()
        self.accounts.by_hash[key_hash(self.key)] = Account()

    def change(self, **fields):
        """Change the key, and end the epoch, as every change must."""
        self.accounts.by_hash[key_hash(self.key)] = Account(**fields)
        self.epochs.epoch += "."

    async def knock(self, header, needs=Access.KEY):
        given = [header] if isinstance(header, str) else header or []
        headers = [(b"authorization", each.encode()) for each in given]
        client = ("192.0.2.1", 5060)
        scope = {"type": "http", "method": "GET", "headers": headers, "client": client}
        request = Request(scope)
        return (await self.authenticator.principal(request, needs)).account

    async def enter(self, key=None, needs=Access.KEY):
        return await self.knock(f"Bearer {key or self.key}", needs)

    async def is_refused(self, code="unauthorized", needs=Access.KEY):
        with pytest.raises(RequestRefusedError) as caught:
            await self.enter(needs=needs)
        return caught.value.code == code


@pytest.fixture
def door():
    return Door()


class SignedInLongAgo:
    """Somebody who is signed in, and has proven who they are some time ago."""

    def __init__(self, minutes):
        self.at = NOW - timedelta(minutes=minutes)
        self.signed_in = object()
        self.scopes = PAGE

    def is_stepped_up(self, at):
        return at - self.at <= timedelta(minutes=10)


@pytest.mark.parametrize(("minutes", "is_let_in"), [(10, True), (11, False)])
async def test_a_grave_act_needs_a_proof_of_who_is_signed_in(minutes, is_let_in):
    principal = SignedInLongAgo(minutes)

    class Holders:
        def has_cookie(self, _request):
            return True

        async def principal(self, _request):
            return principal

    async def handler(_request, given):
        return given

    auth = Authenticator(
        Accounts(), Epochs(), Velocity(), lambda: 0, lambda: NOW, holders=Holders()
    )
    route = auth.route("/grave", handler, Access.KEY, step_up=True)
    assert route.step_up
    scope = {"type": "http", "method": "GET", "headers": [], "path": "/grave"}
    asked = route.endpoint(Request(scope))
    if is_let_in:
        assert await asked is principal
        return
    with pytest.raises(RequestRefusedError) as caught:
        await asked
    assert caught.value.code == "step_up_needed"


async def test_a_key_proves_itself_with_each_request(door):
    async def handler(_request, given):
        return given.account.id

    route = door.authenticator.route("/grave", handler, Access.KEY, step_up=True)
    header = (b"authorization", f"Bearer {door.key}".encode())
    client = ("192.0.2.1", 5060)
    scope = {"type": "http", "method": "GET", "headers": [header], "client": client}
    assert await route.endpoint(Request(scope)) == "alice"


def test_keys_are_random_and_recognisable():
    keys = {new_api_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("ck_") and len(key) == 27 for key in keys)


def test_what_is_stored_is_the_hash():
    assert key_hash("ck_1") == hashlib.sha256(b"ck_1").hexdigest()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_good_key_opens(door, scheme):
    assert (await door.knock(f"{scheme} {door.key}")).id == "alice"


async def test_no_key_of_a_locked_account_opens(door):
    digest, account = door.accounts.by_hash.popitem()
    door.accounts.by_hash[digest] = replace(account, is_locked=True)
    with pytest.raises(RequestRefusedError) as caught:
        await door.knock(f"Bearer {door.key}")
    assert caught.value.code == "account_frozen"


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


async def test_a_key_that_is_revoked_without_a_word_works_ten_seconds_at_most(door):
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
    monkeypatch.setattr(door.authenticator._known, "_count_max", 3)
    keys = [new_api_key() for _ in range(5)]
    for key in keys:
        door.accounts.by_hash[key_hash(key)] = Account(key)
        await door.enter(key)
    assert len(door.authenticator._known) == 3
    asked = door.accounts.asked
    for key in keys[2:]:
        await door.enter(key)
    assert door.accounts.asked == asked, "the latest are kept"


# Epochs.


async def test_what_was_learnt_in_another_epoch_is_not_believed(door):
    await door.enter()
    door.accounts.by_hash.clear()
    door.epochs.epoch = "e2"
    assert await door.is_refused()


async def test_nothing_is_believed_while_the_epoch_is_not_known(door):
    await door.enter()
    door.epochs.is_away = True
    for _ in range(2):
        await door.enter()
    assert door.accounts.asked == 3
    door.accounts.by_hash.clear()
    assert await door.is_refused()
    door.accounts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await door.enter()


async def test_a_changed_key_is_not_believed_while_the_store_is_away(door):
    await door.enter()
    door.epochs.epoch = "e2"
    door.accounts.is_away = True
    with pytest.raises(StoreUnavailableError):
        await door.enter()
    door.epochs.epoch = "e1"
    door.now_ns += 599 * SECOND_NS
    await door.enter()


async def test_a_key_that_is_changed_while_it_is_looked_up_is_looked_up_again(door):
    look_up = door.accounts.account_by_key_hash

    async def slow(digest):
        found = await look_up(digest)
        door.accounts.by_hash.clear()
        door.epochs.epoch = "e2"
        return found

    door.accounts.account_by_key_hash = slow
    await door.enter()
    assert await door.is_refused()


# Expiry and scopes.


async def test_a_key_is_refused_from_its_end_on_however_well_it_is_known(door):
    door.change(key_expires_at=NOW + timedelta(seconds=1))
    await door.enter()
    door.now += timedelta(seconds=1)
    assert await door.is_refused()
    assert door.accounts.asked == 1


@pytest.mark.parametrize("held", Scope)
async def test_a_scope_holds_no_other(door, held):
    door.change(scopes=frozenset({held}))
    for needed in Scope:
        if needed is held:
            await door.enter(needs=needed)
        else:
            assert await door.is_refused("scope_missing", needed)
    await door.enter(needs=Access.KEY)


async def test_a_scope_that_is_taken_away_is_missed_at_once(door):
    await door.enter(needs=Scope.RECORDS)
    door.change(scopes=frozenset({Scope.CALLS}))
    assert await door.is_refused("scope_missing", Scope.RECORDS)


async def test_a_refusal_names_the_scope(door, client_of):
    door.change(scopes=frozenset({Scope.CALLS}))

    async def handler(_request, _sender):
        return PlainTextResponse("served")

    route = door.authenticator.route("/ledger", handler, Scope.RECORDS)
    client = client_of([route], authorization=f"Bearer {door.key}")
    reply = await client.get("/ledger")
    assert (reply.status_code, reply.json()["scope"]) == (403, "records")
    assert 'error="insufficient_scope", scope="records"' in reply.headers["www-authenticate"]
    door.change(scopes=frozenset({Scope.RECORDS}))
    assert (await client.get("/ledger")).text == "served"


async def test_a_key_that_is_revoked_while_the_body_comes_does_nothing(door, client_of):
    served = []

    async def handler(request, _sender):
        served.append(await request.body())
        return PlainTextResponse("served")

    route = door.authenticator.route("/act", handler, Scope.CALLS, method="POST")
    client = client_of([route], authorization=f"Bearer {door.key}")
    half, rest = asyncio.Event(), asyncio.Event()

    async def body():
        yield b"a"
        half.set()
        await rest.wait()
        yield b"b"

    sending = asyncio.ensure_future(client.post("/act", content=body()))
    await half.wait()
    door.accounts.by_hash.clear()
    door.epochs.epoch = "e2"
    rest.set()
    assert ((await sending).status_code, served) == (401, [])
    door.change()
    assert (await client.post("/act", content=b"ab")).text == "served"
    assert served == [b"ab"]


async def test_of_two_keys_neither_is_taken(door):
    """A proxy in front may have judged the other one."""
    good = f"Bearer {door.key}"
    for given in ([good, "Bearer ck_other"], ["Bearer ck_other", good], [good, good]):
        with pytest.raises(RequestRefusedError) as caught:
            await door.knock(given)
        assert caught.value.code == "unauthorized"


# Velocity.

WRONG = Use("address_wrong_keys_minute", "192.0.2.1")


@pytest.mark.parametrize("key", ["ck_" + "x" * 24, "sk_other", "ck_" + "x" * 200])
async def test_wrong_keys_are_counted_by_address(door, key):
    with pytest.raises(RequestRefusedError) as caught:
        await door.enter(key)
    assert caught.value.code == "unauthorized"
    assert door.velocity.used == [WRONG]


async def test_revoked_and_expired_keys_are_wrong_ones(door):
    door.change(key_expires_at=NOW)
    assert await door.is_refused()
    door.accounts.by_hash.clear()
    door.epochs.epoch = "e2"
    assert await door.is_refused()
    assert door.velocity.used == [WRONG, WRONG]


@pytest.mark.parametrize("header", [None, "", "Basic YTpi"])
async def test_who_sends_no_key_has_tried_none(door, header):
    with pytest.raises(RequestRefusedError):
        await door.knock(header)
    assert door.velocity.used == []


async def test_where_too_many_were_tried_a_wrong_key_costs_the_store_nothing(door):
    door.velocity.refuses[WRONG.limit] = 30
    for key in ("ck_" + "x" * 24, "sk_other"):
        with pytest.raises(RequestRefusedError) as caught:
            await door.enter(key)
        assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", 30)
    assert door.accounts.asked == 0


async def test_a_known_key_works_on_beside_somebody_who_tries_others(door):
    await door.enter()
    door.velocity.refuses[WRONG.limit] = 30
    door.now_ns += 20 * SECOND_NS
    assert (await door.enter()).id == "alice"
    door.epochs.epoch = "e2"
    assert (await door.enter()).id == "alice"
    assert door.accounts.asked == 3
    assert door.velocity.used == []


async def test_right_keys_count_for_nothing(door):
    for _ in range(5):
        await door.enter()
    assert door.velocity.used == []
