"""The data map says what there is, both ways: tables, keys of Valkey, log fields, hosts, pages."""

import ast
import re
import time
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from altcha import v1 as altcha

from accounts.ceremony import Ceremony, CeremonyPurpose
from accounts.not_personal import NOT_PERSONAL
from accounts.session import AGE_MAX, Session
from accounts.stores.ceremonies import RedisCeremonies
from accounts.stores.sessions import RedisSessions
from billing.ports import SpendCap
from gateway import settings
from gateway.buttons.challenge_store import RedisChallenges
from gateway.buttons.era_store import RedisButtonEras
from gateway.buttons.ports import SolutionVerdict
from gateway.buttons.proof_code_store import RedisProofCodes
from gateway.buttons.visitor_refusal_store import RedisVisitorRefusals
from gateway.call.ghost import Ghost
from gateway.call.supervision import GRANT_S, Grant
from gateway.charging.audited import Audited
from gateway.data_map import HOSTS, KINDS
from gateway.embed.refusals import Reason
from gateway.limits.velocity import LIMITS, Use
from gateway.logs.call_events import EVENTS, FIELDS
from gateway.logs.formats import WRITER
from gateway.people.country_pages import CountryPages
from gateway.personal_data.rows import TABLES
from gateway.ports import CallOrder
from gateway.stores.aof import RedisAof
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.ghosts import RedisGhostStore
from gateway.stores.key_epochs import RedisKeyEpochs
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.mailboxes import RedisMailboxes
from gateway.stores.node_facts import RedisNodeDirectory
from gateway.stores.tokens import RedisCallTokens
from gateway.stores.unnamed_proxy import RedisUnnamedProxy
from gateway.stores.velocity import RedisVelocity
from gateway.stores.wishes import RedisWishes
from gateway.supervision.store import RedisGrants
from gateway.watching.alarm_desk import AlarmOrder
from gateway.watching.alarm_store import RedisAlarms
from gateway.watching.audited_store import RedisAudited
from gateway.watching.history import Minute
from gateway.watching.minute_store import RedisMinutes
from tests.accounts.mapped import columns_of, unmapped
from tests.billing.conftest import client, empty_gate, gate
from tests.billing.spend_gate_contract import CENT, UNIT, closing, opening, tick
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.http.site.conftest import Site
from tests.gateway.privacy.needles import AT
from tests.trees import tree_of

__all__ = ["client", "empty_gate", "gate"]

ROOT = Path(__file__).parents[2]
OURS = ("gateway", "billing", "accounts", "database")
LOG = "log:"
NOT_MAPPED = {name for entry in NOT_PERSONAL for name in entry.names}
KEYS = {key.template for kind in KINDS for key in kind.valkey} | {
    name for name in NOT_MAPPED if name.startswith(("caller:", "{cr:"))
}
"""Templates of all keys of Valkey."""
PATTERNS = {
    template: re.compile(re.sub(r"<\w+>", "[^:{}]+", re.escape(template).replace("<rest>", ".+")))
    for template in sorted(KEYS)
}


def sources():
    for package in OURS:
        for path in sorted((ROOT / package).glob("**/*.py")):
            yield tree_of(path)


# SQL


def columns_in(connection):
    inspector = sa.inspect(connection)
    return {
        f"{table}.{column['name']}"
        for table in inspector.get_table_names()
        for column in inspector.get_columns(table)
    }


async def columns_kept(engine):
    async with engine.connect() as connection:
        return await connection.run_sync(columns_in)


def mapped_columns():
    others = {name for name in NOT_MAPPED if re.fullmatch(r"[a-z_]+\.[a-z_]+", name)}
    return {*columns_of(KINDS), *others}


async def test_each_column_of_the_database_is_mapped_and_none_besides(engine):
    kept = await columns_kept(engine)
    assert unmapped(kept, mapped_columns()) == ()
    assert unmapped(mapped_columns(), kept) == ()


async def test_a_column_that_nobody_mapped_is_found(engine):
    async with engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE devices ADD COLUMN nickname VARCHAR"))
        await connection.execute(sa.text("CREATE TABLE contacts (name VARCHAR)"))
    kept = await columns_kept(engine)
    assert unmapped(kept, mapped_columns()) == ("contacts.name", "devices.nickname")


def test_no_column_is_both_personal_and_not():
    assert not columns_of(KINDS).keys() & NOT_MAPPED


def test_each_table_of_a_person_is_found_by_a_column_of_its_own():
    for kind in KINDS:
        for columns in kind.sql:
            if columns.table in TABLES:
                assert columns.key in TABLES[columns.table].c, columns
                assert {*columns.beside} <= set(TABLES[columns.table].c.keys())


# Valkey


def template_of(key):
    """Return the templates that a key may be of."""
    return {
        template
        for template in KEYS
        if re.fullmatch(
            re.sub(r"<\w+>", "[^:{}]+", re.escape(template).replace("<rest>", ".+")), key
        )
    }


async def keys_of(client):
    return {key.decode() async for key in client.scan_iter(count=1_000)}


@pytest.fixture
async def used(gate, client, operator):
    """A Valkey in which each part has done what it keeps something for."""
    caps = [SpendCap("day alice", 4 * CENT)]
    await gate.open(opening("c1", caps=caps, per_minute_micros=UNIT))
    await gate.open(opening("c3"))
    await gate.close(closing("c3"))
    await gate.open(opening("c2", want_micros=20 * UNIT, first_micros=CENT))
    await gate.name_carrier_call("c1", "alice", "CA1")
    await gate.tick(gate.partition("alice"), [tick(9 * CENT, 1, "c1", caps=caps)])
    await gate.tick(gate.partition("alice"), [tick(90 * UNIT, 1, "c2")])
    await gate.freeze("bob", True)
    sessions = RedisSessions(client, lambda count: b"x" * count)
    await sessions.begin(Session("alice", "d", frozenset({"pwd"}), 1, AT, AT, AT))
    await RedisCeremonies(client, lambda count: b"x" * count).begin(
        Ceremony(CeremonyPurpose.CODE, "alice", 1)
    )
    order = CallOrder(
        account_id="alice",
        destination="+15005550001",
        country="US",
        codec="pcmu",
        origin="",
        currency="USD",
        rate="{}",
        rate_description="",
        prefix="+1500",
    )
    await RedisCallTokens(client, ttl_s=600, at_redemption=None).issue(order)
    grant = Grant(call_id="c", account_id="alice", reason="training", operator="k")
    await RedisGrants(client).issue(grant)
    velocity = RedisVelocity(client, LIMITS, secret="s", clock_ns=time.monotonic_ns)
    for name in sorted(LIMITS):
        await velocity.hit([Use(name, "somebody")])
        await velocity.count(Use(name, "somebody"))
    challenges = RedisChallenges(client, lambda count: b"x" * count, secret="s")
    given = await challenges.give("b1", "192.0.2.1")
    asked = (given.algorithm, given.challenge, given.maxnumber, given.salt, given.signature)
    number = altcha.solve_challenge(altcha.Challenge(*asked))
    solved = altcha.Payload(
        given.algorithm, given.challenge, number.number, given.salt, given.signature
    )
    assert await challenges.spend("b1", "192.0.2.1", solved.to_base64()) is SolutionVerdict.RIGHT
    await RedisWishes(client, secret="s").keep("wish", b"fingerprint")
    await RedisButtonEras(client).end("b1")
    await RedisVisitorRefusals(client).add({("b1", "2026-11-28", Reason.BUSY): 1})
    await RedisProofCodes(client).keep("place", "digest")
    assert await RedisNodeLeases(client).claim("n1", 1.0)
    assert await RedisMailboxes(client).send("process", b"letter")
    await RedisNodeDirectory(client).write(facts_of("n1"))
    alarms = RedisAlarms(client, "process")
    assert await alarms.hold()
    await alarms.write([])
    silence = {"name": "node_lost:n1", "kind": "silenced", "until_s": 1.0, "at_s": 0.0}
    await alarms.order(AlarmOrder(**silence, by="key k", reason="repair"))
    minute = Minute(**dict.fromkeys(Minute.__struct_fields__) | {"at": AT})
    assert await RedisMinutes(client).add(minute)
    await RedisAudited(client).write(Audited(at_s=1.0, findings={"balance is odd": 1}))
    await RedisDrainMark(client).set()
    await RedisUnnamedProxy(client).tell("10.0.0.1")
    await RedisKeyEpochs(client).current()
    await operator.config_set("appendonly", "yes")
    await RedisAof(client).rewrite()
    await operator.config_set("appendonly", "no")
    await RedisGhostStore(client).note("CA1", Ghost(call_id="c", node="n", noted_s=1, due_s=1))
    return operator


async def test_each_key_of_valkey_is_mapped_and_none_besides(used):
    keys = await keys_of(used)
    found = {key: template_of(key) for key in keys}
    assert [key for key, templates in found.items() if len(templates) != 1] == []
    assert KEYS - {template for templates in found.values() for template in templates} == set()


async def test_a_key_that_nobody_mapped_is_found(client, operator):
    await client.set("caller:contacts:alice", b"bob")
    await client.set("{cr:1}:names", b"bob")
    assert [template_of(key) for key in await keys_of(operator)] == [set(), set()]


async def test_what_is_said_to_expire_by_itself_does(used):
    longest = {
        "caller:velocity": 2 * 86_400,
        "caller:call-token": 600,
        "caller:supervision-grant": GRANT_S,
        "caller:wish": 86_400,
        "caller:session": AGE_MAX.total_seconds(),
        "caller:ceremony": 15 * 60,
    }
    seen = set()
    for key in await keys_of(used):
        for prefix, seconds in longest.items():
            if key.startswith(prefix):
                seen.add(prefix)
                assert 0 < await used.ttl(key) <= seconds, key
    assert seen == set(longest)


def test_no_part_keeps_keys_that_are_not_used_above():
    """A name that is written somewhere in the code begins a mapped one."""
    written = {
        node.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"caller:[a-z][a-z:0-9-]*", node.value)
    }
    assert len(written) > 5
    known = tuple(KEYS)
    # An address of RFC 8141, urn:caller:…, is no key.
    assert [name for name in sorted(written) if not any(k.startswith(name) for k in known)] == []


# Logs


@cache
def fields_logged():
    """Return the names of the fields of all log lines."""
    found = {*FIELDS, *WRITER, *(field for fields in EVENTS.values() for field in fields)}
    for tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log" | "_log"), _), [_, *_]):
                    found |= {each.arg for each in node.keywords if each.arg}
    return found - {"exc_info"}


def test_each_field_of_a_log_line_is_mapped_and_none_besides():
    mapped = {name for kind in KINDS for name in kind.logs}
    others = {name.removeprefix(LOG) for name in NOT_MAPPED if name.startswith(LOG)}
    assert not mapped & others
    assert unmapped(fields_logged(), mapped | others) == ()
    assert unmapped(mapped | others, fields_logged()) == ()


# Hosts and pages


def test_each_setting_that_names_a_service_is_a_host_of_the_map():
    ours = {"CALLER_PUBLIC_ORIGIN", "CALLER_ALLOWED_ORIGINS"}
    named = {f"CALLER_{name.upper()}" for name in settings.Settings.__dataclass_fields__}
    of_services = {name for name in named if re.search(r"_(URL|ORIGINS?)$", name)}
    assert {host.setting for host in HOSTS} == of_services - ours


def test_the_code_itself_names_no_host_but_the_defaults_of_these_settings():
    written = set()
    for tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                written |= set(re.findall(r"^(?:https?|wss?|smtps?)://([a-z0-9.-]+)", node.value))
    # Of a JSON schema: its name, which nobody fetches.
    names = {"json-schema.org"}
    defaults = {
        str(field.default).partition("://")[2]
        for field in settings.Settings.__dataclass_fields__.values()
        if str(field.default).startswith("https://")
    }
    # Where a person's browser goes to pay; no node does.
    browsers = {"checkout.stripe.com"}
    # The beginning of Twilio's in a region, which a setting names.
    written -= {"api."}
    assert written - names - browsers - {"127.0.0.1"} == defaults


def test_what_is_corrected_by_people_is_corrected_on_a_page():
    door = Site().door
    CountryPages(door, None).routes()
    corrected_at = {kind.corrected_at for kind in KINDS} - {""}
    assert {path for path in corrected_at if door.own_page(path) != path} == set()
