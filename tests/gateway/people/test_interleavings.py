"""No session outlives its password: the owner acts between any two steps of a thief.

Real SQL and Valkey. Two nodes: the thief asks one, the owner the other. Each step of a flow is a
call of a store, and the owner's whole act happens before the n-th of them.
"""

import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from accounts.holder import Holder
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import NewHolder, NewSecondFactor
from accounts.stores import links
from accounts.stores.ceremonies import RedisCeremonies
from accounts.stores.secret_box import SecretBox
from accounts.stores.sessions import RedisSessions
from accounts.totp import DIGITS, STEP_S
from billing.stores.redis_client import connect, disconnect
from database.engine import TIMEOUT_S, writing
from gateway.http.outcomes import SessionOver
from gateway.http.sessions import go_on
from gateway.http.visitor import Visitor
from gateway.people.links import LinkUsed
from gateway.people.password import PasswordSet
from gateway.people.second_factor_store import SqlSecondFactors
from gateway.people.sign_in import CodeNeeded, Welcome
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.stores.accounts import SqlAccountStore
from gateway.stores.key_epochs import RedisKeyEpochs
from tests.gateway.people.memory import BEGINNING, EMAIL, OTHER_PASSWORD, PASSWORD, World
from tests.thorough import first_of, one_in

THIEFS_PASSWORD, THIEFS_ADDRESS = "thief 77 lantern oxide", "eve@example.org"
VISITOR = Visitor("192.0.2.1", "en", "Mozilla/5.0")
STEPS_MAX = 20
CODE_STEPS_MAX = 14
APP = bytes(range(20))
"""What an app shares with us."""


@dataclass
class Turn:
    """Lets the owner act before the step of a number."""

    step: int
    act: Callable[[], Awaitable[object]]
    steps: int = 0
    done: list = field(default_factory=list)
    """Names of the steps before the act."""

    async def before_step(self, name):
        self.steps += 1
        if self.steps - 1 == self.step:
            await self.act()
        elif self.steps <= self.step:
            self.done.append(name)

    @property
    def has_come(self):
        return self.steps > self.step


@dataclass
class Stepped:
    """A store whose every call is a step of somebody."""

    store: object
    turn: Turn

    def __getattr__(self, name):
        method = getattr(self.store, name)

        async def call(*args, **options):
            await self.turn.before_step(name)
            return await method(*args, **options)

        return method if name == "is_outdated" else call


class Node:
    """The flows of one node: those of a world in memory, on real stores."""

    def __init__(self, house, turn=None):
        world = World()
        stores = {"people": house.people, "sessions": house.sessions, "hasher": world.hasher}
        stores |= {"factors": house.factors, "ceremonies": house.ceremonies}
        stores["velocity"] = world.velocity
        if turn is not None:
            stores = {name: Stepped(store, turn) for name, store in stores.items()}

        def on(flow, *names, **more):
            return replace(flow, **{name: stores[name] for name in names}, **more)

        self.browsers = on(
            world.browsers, "people", "sessions", accounts=house.accounts, epochs=house.epochs
        )
        codes = on(world.codes, "people", "factors", "velocity")
        self.sign_in = on(
            world.sign_in,
            "people",
            "sessions",
            "hasher",
            "velocity",
            "factors",
            "ceremonies",
            new_secret=secrets.token_urlsafe,
            codes=codes,
        )
        self.passwords = on(world.passwords, "people", "sessions", "hasher", "velocity")
        self.addresses = on(world.addresses, "people", "velocity", sign_in=self.sign_in)
        self.links = on(world.links, "people", "sessions", "velocity")
        self.sign_outs = on(world.sign_outs, "people", "sessions", "velocity")

    async def enter(self, password=PASSWORD):
        welcome = await self.sign_in.by_password(EMAIL, password, VISITOR)
        assert isinstance(welcome, Welcome)
        return await self.browsers.who(welcome.session_secret)


@dataclass
class House:
    """What two nodes share, and one owner with the mails she has got."""

    engine: AsyncEngine
    redis: Redis
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self):
        self.epochs = RedisKeyEpochs(self.redis)
        self.sessions = RedisSessions(self.redis, secrets.token_bytes)
        self.accounts = SqlAccountStore(self.engine)
        self.people = SqlPeople(
            self.engine,
            self._queue,
            clock=lambda: BEGINNING,
            on_epoch=self.epochs.invalidate,
            taking_back=TAKING_BACK,
        )
        box = SecretBox(["a key of 32 characters, or of more"], secrets.token_bytes)
        self.factors = SqlSecondFactors(self.people, box)
        self.ceremonies = RedisCeremonies(self.redis, secrets.token_bytes, box)
        self.owners, self.other = Node(self), Node(self)

    async def _queue(self, _connection, _account_id, _notice, _at):
        """Send nothing: the owner makes her links herself."""

    async def move_in(self):
        """Let the owner sign up and in; both nodes remember her."""
        account_id = f"ada-{next(self.numbers)}"
        # Of a weaker kind, so that the first sign-in replaces it too.
        old_hash = f"old hash of {PASSWORD}"
        new = NewHolder(account_id, "USD", EMAIL, EMAIL, old_hash, "en", {})
        assert await self.people.sign_up(new, Notice("verify", EMAIL, link=Purpose.PROVE_ADDRESS))
        # Which proves the address too.
        link = digest(await self.link(account_id, Purpose.RESET_PASSWORD))
        assert await self.people.reset_password(link, old_hash, Notice("password_changed", EMAIL))
        self.owner = await self.owners.enter()
        assert await self.other.browsers.who(self.owner.secret)

    async def link(self, account_id, purpose, email=EMAIL):
        secret = f"link {next(self.numbers)}"
        await self.people.tell(account_id, Notice("mail", email, link=purpose))
        async with writing(self.engine, TIMEOUT_S) as connection:
            await links.make_link(
                connection, purpose, account_id, email, at=BEGINNING, secret=secret
            )
        return secret

    async def holder(self):
        return await self.people.holder(self.owner.holder.account_id)

    async def add_second_factor(self):
        """Let the owner add an app; return a code that is right once."""
        new = NewSecondFactor(APP, step=0, digests=["0" * 64])
        holder = self.owner.holder
        notice = Notice("second_factor_changed", EMAIL)
        epoch = holder.credentials_epoch
        changed = await self.factors.add(holder.account_id, epoch, new, notice)
        self.owner = replace(
            self.owner,
            secret=await go_on(self.sessions, self.owner, changed),
            session=replace(self.owner.session, credentials_epoch=changed.credentials_epoch),
            holder=changed,
        )
        return TOTP(APP, DIGITS, SHA1(), STEP_S).generate(int(BEGINNING.timestamp())).decode()

    # What the owner does to put everybody else out.

    async def change(self):
        outcome = await self.owners.passwords.change(self.owner, OTHER_PASSWORD)
        assert isinstance(outcome, PasswordSet)
        assert await self.other.browsers.who(outcome.session_secret)

    async def reset(self):
        link = await self.link(self.owner.holder.account_id, Purpose.RESET_PASSWORD)
        assert isinstance(await self.owners.passwords.reset(link, OTHER_PASSWORD), Holder)

    async def lock(self):
        link = await self.link(self.owner.holder.account_id, Purpose.NOT_ME)
        assert isinstance(await self.owners.links.use(link), LinkUsed)

    async def end_others(self):
        secret = await self.owners.sign_outs.end_others(self.owner)
        assert await self.other.browsers.who(secret)

    async def end_everywhere(self):
        await self.owners.sign_outs.end_everywhere(self.owner)


@pytest.fixture
async def house(sqlite_engine, valkey_url):
    redis = connect(valkey_url)
    house = House(sqlite_engine, redis)
    await house.move_in()
    yield house
    await disconnect(redis)


ACTS = ["change", "reset", "lock", "end_others", "end_everywhere"]
STEPS = one_in(4, range(STEPS_MAX))
CODE_STEPS = one_in(4, range(CODE_STEPS_MAX))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("act", first_of(ACTS))
async def test_who_signed_in_before_or_meanwhile_is_out_at_once_on_every_node(house, act, step):
    turn = Turn(step, getattr(house, act))
    outcome = await Node(house, turn).sign_in.by_password(EMAIL, PASSWORD, VISITOR)
    if not turn.has_come:
        await turn.act()
    elif "holder_by_email" not in turn.done and act.startswith("end"):
        # The password is still the same, and was given only after the act.
        assert isinstance(outcome, Welcome)
        return
    names = [name for name, _ in await house.sessions.of_account(house.owner.holder.account_id)]
    assert len(names) == (1 if act in ("change", "end_others") else 0)
    if isinstance(outcome, Welcome):
        for node in (house.owners, house.other):
            assert await node.browsers.who(outcome.session_secret) is None


@pytest.mark.parametrize("step", CODE_STEPS)
@pytest.mark.parametrize("act", first_of(["change", "end_everywhere"]))
async def test_a_code_that_is_typed_meanwhile_lets_nobody_in(house, act, step):
    code = await house.add_second_factor()
    needed = await house.owners.sign_in.by_password(EMAIL, PASSWORD, VISITOR)
    assert isinstance(needed, CodeNeeded)
    turn = Turn(step, getattr(house, act))
    outcome = await Node(house, turn).sign_in.by_code(needed.ceremony_secret, code, VISITOR)
    assert turn.steps < CODE_STEPS_MAX
    if not turn.has_come:
        await turn.act()
    names = [name for name, _ in await house.sessions.of_account(house.owner.holder.account_id)]
    assert len(names) == (1 if act == "change" else 0)
    if isinstance(outcome, Welcome):
        for node in (house.owners, house.other):
            assert await node.browsers.who(outcome.session_secret) is None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("act", first_of(["change", "reset", "lock"]))
async def test_a_password_that_is_given_once_more_saves_no_session(house, act, step):
    thief = await house.other.enter()
    turn = Turn(step, getattr(house, act))
    outcome = await Node(house, turn).sign_in.confirm(thief, PASSWORD, "", VISITOR)
    if not turn.has_come:
        await turn.act()
    names = [name for name, _ in await house.sessions.of_account(house.owner.holder.account_id)]
    assert len(names) == (1 if act == "change" else 0)
    for secret in (thief.secret, outcome if isinstance(outcome, str) else ""):
        assert await house.other.browsers.who(secret) is None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("act", first_of(["lock", "reset"]))
async def test_whoever_is_signed_in_takes_no_account_from_its_owner(house, act, step):
    thief = await house.other.enter()
    turn = Turn(step, getattr(house, act))
    node = Node(house, turn)
    outcome = await node.passwords.change(thief, THIEFS_PASSWORD)
    if not turn.has_come:
        await turn.act()
    holder = await house.holder()
    if act == "reset":
        assert holder.password_hash == f"hash of {OTHER_PASSWORD}"
    else:
        assert holder.locked_at == BEGINNING
    assert not await house.sessions.of_account(holder.account_id)
    for secret in (thief.secret, getattr(outcome, "session_secret", "")):
        assert await house.other.browsers.who(secret) is None


@pytest.mark.parametrize("act", ACTS)
async def test_a_session_that_is_over_changes_nothing(house, act):
    thief = await house.other.enter()
    await getattr(house, act)()
    before = await house.holder()
    devices = await house.people.devices(before.account_id)
    (name, *_) = [name for name, _ in await house.sessions.of_account(before.account_id)] or ["x"]
    node = house.other
    assert await node.passwords.change(thief, THIEFS_PASSWORD) == SessionOver()
    assert await node.addresses.ask_for_change(thief, THIEFS_ADDRESS) == SessionOver()
    unproven = replace(thief, holder=replace(thief.holder, email_proven_at=None))
    assert await node.addresses.send_proof(unproven) == SessionOver()
    assert await node.sign_outs.end_others(thief) == SessionOver()
    await node.sign_outs.end_everywhere(thief)
    assert await node.browsers.end_one(thief, name) in (None, SessionOver())
    assert await house.holder() == before
    assert await house.people.devices(before.account_id) == devices
    left = await house.sessions.of_account(before.account_id)
    assert [name for name, _ in left] == ([name] if act in ("change", "end_others") else [])


@pytest.mark.parametrize("act", ["end_others", "end_everywhere"])
async def test_an_older_copy_of_valkey_brings_no_session_back(house, act):
    thief = await house.other.enter()
    await getattr(house, act)()
    copies = [await house.sessions.begin(each.session) for each in (thief, house.owner)]
    for copy in copies:
        assert await house.other.browsers.who(copy) is None
