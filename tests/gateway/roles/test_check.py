"""What `caller check` finds, on real stores and a carrier that is there or not."""

import contextlib
import socket
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreRightError
from gateway.carriers.twilio.refusals import MEANINGS
from gateway.finding import Finding
from gateway.fleet.shared_secret import proof_of
from gateway.roles import check, preflight, storage
from gateway.settings_variables import from_mapping
from gateway.stores import embedded
from gateway.stores.drain_mark import RedisDrainMark
from gateway.stores.high_risk import SqlHighRiskLists
from gateway.stores.leases import RedisNodeLeases
from gateway.stores.node_facts import RedisNodeDirectory
from simulators.carrier.service import SimulatorService
from simulators.carrier.settings import SimulatorSettings
from tests.certificates import DAY, Authority
from tests.gateway.fleet.mailboxes import facts_of
from tests.gateway.telemetry.collector import collecting
from tests.proxy import Proxy
from tests.tcp_server import tcp_server
from tests.valkey import free_port

ACCOUNT_SID = "AC" + "0" * 32


async def found(**environ):
    """Return the findings by their subject; the carrier is one that knows nobody.

    One that is not there would be asked again for a second.
    """
    async with twilio(401, b"{}") as carrier_url:
        defaults = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": "secret",
            "CALLER_ID": "+15005550006",
            "CARRIER_URL": carrier_url,
            "PORT": free_port(),
        }
        given = {f"CALLER_{n}": str(v) for n, v in {**defaults, **environ}.items() if v is not None}
        return {finding.subject: finding for finding in await check.findings(from_mapping(given))}


@contextlib.asynccontextmanager
async def simulated(**options):
    """Run a simulated carrier; yields the URL."""
    carrier = SimulatorService(
        SimulatorSettings(account_sid=ACCOUNT_SID, auth_token="secret", **options)
    )
    await carrier.start()
    try:
        yield carrier.url
    finally:
        await carrier.stop()


@contextlib.asynccontextmanager
async def twilio(status, body):
    """Answer every request like this; yields the URL."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with tcp_server(serve) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def regional(tmp_path, monkeypatch):
    """Return a context that serves Twilio's hosts for credentials of a region.

    It yields the hosts that were looked up.
    """
    authority = Authority(tmp_path)
    hosts = ("*.twilio.com", "*.dublin.ie1.twilio.com", "*.sydney.au1.twilio.com")
    pair = authority.issue(tmp_path, hosts=hosts)

    @contextlib.asynccontextmanager
    async def serving(region):
        options = {"region": region, "own_numbers": ("+15005550006",)}
        async with simulated(**options) as url, Proxy(int(url.rpartition(":")[2]), pair) as proxy:
            asked = set()

            class Names(AbstractResolver):
                def __init__(self, **_):
                    pass

                async def resolve(self, host, port=0, family=socket.AF_INET):
                    if not host.endswith(".twilio.com"):
                        raise OSError("no such name")
                    asked.add(host)
                    at = {"host": "127.0.0.1", "port": int(proxy.origin.rpartition(":")[2])}
                    kind = {"family": family or socket.AF_INET, "proto": 0, "flags": 0}
                    return [{"hostname": host, **at, **kind}]

                async def close(self):
                    pass

            monkeypatch.setattr(aiohttp.connector, "DefaultResolver", Names)
            monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", authority.client())
            yield asked

    return serving


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us1", "api.twilio.com"),
        ("ie1", "api.dublin.ie1.twilio.com"),
        ("au1", "api.sydney.au1.twilio.com"),
    ],
)
async def test_credentials_of_another_region_name_the_setting(tmp_path, regional, region, host):
    async with regional(region) as asked:
        for own in ("us1", "ie1", "au1"):
            asked.clear()
            setting = None if own == "us1" else own
            findings = await found(DATA_DIR=tmp_path, CARRIER_URL=None, TWILIO_REGION=setting)
            carrier = findings["carrier"]
            if own == region:
                assert host in asked
                assert carrier.text == "Answers; the account is active."
                assert findings["number"].verdict == "ok"
            else:
                assert carrier.is_fatal
                assert MEANINGS[20003].do in carrier.text
                assert "CALLER_TWILIO_REGION" in carrier.text
                assert "Twilio 20003: Authenticate" in carrier.text
                assert "number" not in findings
            # Read at a global host, which credentials of another region do not open.
            if own == region != "us1":
                assert findings["permissions"].text.startswith("Not known")


def test_a_mark_reads_without_colour():
    marks = [Finding("a", "b", is_fatal=f, is_weak=w).mark for f in (0, 1) for w in (0, 1)]
    assert ["✓" in marks[0], "!" in marks[1], "✗" in marks[2], "✗" in marks[3]] == [True] * 4


async def test_everything_is_looked_at_once(tmp_path):
    findings = await found(DATA_DIR=tmp_path)
    assert set(findings) == {
        "build",
        "settings",
        "origin",
        "rates",
        "webrtc",
        "redis",
        "drainer",
        "database",
        "carrier",
        "high risk",
        "velocity",
        "reach",
        "sockets",
        "descriptors",
        "contact",
        "clock",
    }


def test_a_frame_path_that_is_interpreted_is_weak():
    assert check.build_finding("/site-packages/media/playout.py").is_weak
    assert not check.build_finding("/site-packages/media/playout.cpython-311.so").is_weak


async def test_defaults_are_weak_but_not_fatal(tmp_path):
    findings = await found(DATA_DIR=tmp_path)
    for subject in ("origin", "rates", "redis", "database"):
        assert findings[subject].is_weak, subject
        assert not findings[subject].is_fatal
    assert list(tmp_path.iterdir()) == [], "nothing is changed"


async def test_a_sound_node_has_nothing_to_correct(tmp_path, valkey_url):
    deck = tmp_path / "deck.csv"
    deck.write_text(
        "prefix,description,country,rate_per_minute,connect_fee,first,next\n44,GB,,1,0,1,1\n"
    )
    async with simulated(caller_ids=("+15005550006",)) as url:
        findings = await found(
            PUBLIC_ORIGIN="https://calls.example.invalid",
            RATE_DECK=deck,
            REDIS_URL=valkey_url,
            DATABASE_URL=f"sqlite:///{tmp_path / 'book.db'}",
            CARRIER_URL=url,
        )
    # Nobody serves this name.
    assert [f.subject for f in findings.values() if f.is_fatal] == ["reach"]
    assert "origin" not in findings
    assert findings["rates"].text == "1 prefixes are priced."
    assert findings["redis"].text.startswith("Answers, version")
    assert findings["database"].text == "Answers; it has no tables yet; `caller serve` makes them."
    for subject in ("carrier", "number", "permissions"):
        assert findings[subject].verdict == "ok"


@pytest.mark.parametrize(
    ("subject", "environ"),
    [
        ("rates", {"RATE_DECK": "/nowhere.csv"}),
        ("redis", {"REDIS_URL": "redis://127.0.0.1:1/0"}),
        ("redis", {"REDIS_URL": "redis://127.0.0.1:notaport/0"}),
        ("database", {"DATABASE_URL": "postgresql://127.0.0.1:1/db"}),
        ("database", {"DATABASE_URL": "postgresql://host:port/db"}),
        ("carrier", {"CALLER_ID": None}),
        ("carrier", {}),
        ("carrier", {"CARRIER_URL": "http://127.0.0.1:1"}),
    ],
)
async def test_what_is_broken_is_fatal_and_the_rest_is_still_looked_at(tmp_path, subject, environ):
    findings = await found(DATA_DIR=tmp_path, **environ)
    assert findings[subject].is_fatal
    assert len(findings) == 16


async def tls_found(tmp_path, pair, origin="https://127.0.0.1"):
    environ = {"TLS_CERTIFICATE": pair.certificate, "TLS_KEY": pair.key, "PUBLIC_ORIGIN": origin}
    return (await found(DATA_DIR=tmp_path, **environ))["tls"]


async def test_a_certificate_is_looked_at(tmp_path):
    authority = Authority(tmp_path)
    sound = authority.issue(tmp_path, "sound")
    finding = await tls_found(tmp_path, sound)
    assert finding.text.startswith("CALLER_TLS_CERTIFICATE is valid until ")
    assert not finding.is_weak
    assert not finding.is_fatal
    ending = await tls_found(tmp_path, authority.issue(tmp_path, "ending", life=13 * DAY))
    assert ending.is_weak
    assert not ending.is_fatal
    stranger = await tls_found(tmp_path, sound, "https://calls.example.com")
    assert stranger.text == "CALLER_TLS_CERTIFICATE does not name https://calls.example.com."
    assert stranger.is_weak
    for name, times in (
        ("ended", {"age": 2 * DAY, "life": -DAY}),
        ("not-begun", {"age": -DAY, "life": 2 * DAY}),
    ):
        finding = await tls_found(tmp_path, authority.issue(tmp_path, name, **times))
        assert finding.is_fatal
        assert finding.text.startswith("CALLER_TLS_CERTIFICATE is valid from ")
    mixed = await tls_found(tmp_path, sound._replace(key=tmp_path / "ended.key"))
    assert mixed.is_fatal
    assert mixed.text == "CALLER_TLS_KEY does not belong to CALLER_TLS_CERTIFICATE."


async def test_wrong_credentials_say_what_to_check():
    async with twilio(401, b'{"code":20003,"message":"Authenticate","status":401}') as url:
        finding = (await found(CARRIER_URL=url))["carrier"]
    assert finding.is_fatal
    assert "Twilio's credentials (HTTP 401)" in finding.text
    assert "secret" not in finding.text


async def test_a_standard_key_is_enough_beside_the_token(tmp_path):
    """It may place calls, and may not read the account (Twilio error 20003)."""
    key = {"TWILIO_API_KEY_SID": "SK" + "0" * 32, "TWILIO_API_KEY_SECRET": "s"}
    known = {"api_key_sid": key["TWILIO_API_KEY_SID"], "api_key_secret": "s"}
    async with simulated(**known) as url:
        environ = {"DATA_DIR": tmp_path, "CARRIER_URL": url, **key}
        findings = await found(**environ)
        wrong = (await found(**environ | {"TWILIO_API_KEY_SECRET": "wrong"}))["carrier"]
        no_token = await found(**environ | {"TWILIO_AUTH_TOKEN": "wrong"})
    assert findings["carrier"].text == "Answers; the account is active.", "by the token"
    for subject in ("carrier", "auth token", "number", "permissions"):
        assert findings[subject].verdict == "ok"
    assert wrong.is_fatal
    assert "CALLER_TWILIO_API_KEY_SECRET" in wrong.text
    assert "may place calls, not read the account" in no_token["carrier"].text
    assert no_token["auth token"].is_away
    assert no_token["auth token"].text.endswith("It verifies Twilio's callbacks.")


@pytest.mark.parametrize(("kind", "is_weak"), [("Full", False), ("Trial", True)])
async def test_a_trial_account_is_named(kind, is_weak):
    body = b'{"sid":"AC1","status":"active","type":"%s"}' % kind.encode()
    async with twilio(200, body) as url:
        finding = (await found(CARRIER_URL=url))["carrier"]
    assert (finding.is_weak, finding.is_fatal) == (is_weak, False)
    assert ("on trial" in finding.text) == is_weak


@pytest.mark.parametrize(
    ("environ", "text", "is_weak"),
    [
        ({"WEBRTC": "off"}, "Off", False),
        ({"UDP_PORT": "8080"}, "127.0.0.1, UDP port 8080", True),
        ({"PUBLIC_IPS": "203.0.113.7,2001:db8::7", "UDP_PORT": "9000"}, "UDP port 9000", False),
    ],
)
async def test_it_says_where_browsers_send_their_packets(tmp_path, environ, text, is_weak):
    finding = (await found(DATA_DIR=tmp_path, **environ))["webrtc"]
    assert text in finding.text
    assert (finding.is_weak, finding.is_fatal) == (is_weak, False)


async def test_it_says_whether_the_public_origin_leads_here(tmp_path, valkey_url):
    """By what a living node of these stores calls itself."""
    redis = connect(valkey_url)
    leases = RedisNodeLeases(redis, instance="this-one")
    environ = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url}

    async def reach(instance):
        async with twilio(200, b'{"instance":"%s"}' % instance) as url:
            return (await found(PUBLIC_ORIGIN=url, **environ))["reach"]

    assert (await reach(b"this-one")).is_weak, "nobody is known to serve"
    await leases.renew("n1")
    ours, other = await reach(b"this-one"), await reach(b"that-one")
    assert (ours.is_weak, ours.is_fatal) == (False, False)
    assert other.is_fatal
    assert "another gateway" in other.text
    dead = f"http://127.0.0.1:{free_port()}"
    gone = (await found(PUBLIC_ORIGIN=dead, **environ))["reach"]
    assert gone.is_fatal
    assert "Nothing listens" in gone.text
    await leases.forget("n1")
    not_started = (await found(PUBLIC_ORIGIN=dead, **{**environ, "PORT": 0}))["reach"]
    assert (not_started.is_weak, not_started.is_fatal) == (True, False)
    assert "Start `caller serve`" in not_started.text
    tried = (await found(PUBLIC_ORIGIN=dead, **environ))["reach"]
    assert (tried.is_fatal, "Open its port in the firewall" in tried.text) == (True, True)
    await disconnect(redis)


async def test_the_payment_service_is_tried(tmp_path):
    key = {"DATA_DIR": tmp_path, "STRIPE_API_KEY": "sk_test_" + "a" * 24}
    listed = b'{"object":"list","data":[],"has_more":false,"url":"/v1/payment_intents"}'
    async with twilio(200, listed) as url:
        weak = (await found(STRIPE_URL=url, **key))["payments"]
        whole = (await found(STRIPE_URL=url, STRIPE_WEBHOOK_SECRETS="whsec_a", **key))["payments"]
    assert (weak.is_weak, whole.is_weak, whole.is_fatal) == (True, False, False)
    refusal = b'{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}'
    async with twilio(401, refusal) as url:
        refused = (await found(STRIPE_URL=url, **key))["payments"]
    assert "refuses CALLER_STRIPE_API_KEY (HTTP 401)" in refused.text
    gone = (await found(STRIPE_URL=f"http://127.0.0.1:{free_port()}", **key))["payments"]
    assert gone.is_fatal
    assert "could not be reached" in gone.text
    assert "refused" not in gone.text
    assert "aaaa" not in refused.text + gone.text


async def test_the_mail_server_is_tried(tmp_path):
    given = {"SMTP_URL": f"smtp://127.0.0.1:{free_port()}", "MAIL_FROM": "a@example.com"}
    finding = (await found(DATA_DIR=tmp_path, **given))["mail"]
    assert (finding.is_fatal, finding.is_away) == (True, True)
    assert "does not answer" in finding.text
    given["SMTP_URL"] = "smtp://u:hunter2@mail.example.com:25"
    finding = (await found(DATA_DIR=tmp_path, **given))["mail"]
    assert (finding.is_fatal, finding.is_away) == (True, False)
    assert "hunter2" not in finding.text


async def test_a_data_folder_that_everyone_may_open_is_told(tmp_path):
    folder = tmp_path / "data"
    assert "files" not in await found(DATA_DIR=folder)
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    finding = (await found(DATA_DIR=folder))["files"]
    assert (finding.is_weak, finding.is_fatal) == (True, False)
    assert "next start closes it" in finding.text
    (folder / "other").write_text("")
    assert (await found(DATA_DIR=folder))["files"].is_fatal
    assert folder.stat().st_mode & 0o777 == 0o755


async def test_a_file_of_settings_that_everyone_may_read_is_told(tmp_path):
    file = tmp_path / "caller.env"
    settings = from_mapping({"CALLER_DATA_DIR": str(tmp_path / "data")})
    for mode, is_weak in ((None, False), (0o644, True), (0o640, False), (0o600, False)):
        if mode is not None:
            file.write_text("")
            file.chmod(mode)
        (found,) = [
            each for each in await check.findings(settings, file) if each.subject == "settings"
        ]
        assert (found.is_weak, found.is_fatal, str(file) in found.text) == (is_weak, False, is_weak)


async def test_a_database_file_that_everyone_may_read_is_told(tmp_path):
    file = tmp_path / "book.db"
    file.write_bytes(b"")
    for mode, is_weak in ((0o644, True), (0o600, False)):
        file.chmod(mode)
        assert (await found(DATABASE_URL=f"sqlite:///{file}"))["database"].is_weak is is_weak


async def test_what_is_opened_to_fraud_is_named(tmp_path):
    unlimited = {"DATA_DIR": tmp_path, "VELOCITY_LIMITS": "key_calls_hour=off,key_calls_minute=500"}
    assert not (await found(DATA_DIR=tmp_path))["velocity"].is_weak
    opened = await found(OPEN_HIGH_RISK="53,49,7", **unlimited)
    assert "opens +53 (Cuba): watch what is called there." in opened["high risk"].text
    assert "names +49, +7, which opens nothing:" in opened["high risk"].text
    assert "off key_calls_hour:" in opened["velocity"].text
    assert opened["high risk"].is_weak
    assert opened["velocity"].is_weak


async def test_the_age_of_the_carriers_list_is_told(tmp_path):
    never = (await found(DATA_DIR=tmp_path))["high risk"]
    assert never.is_weak
    assert "never synced: run `caller rates sync-high-risk`" in never.text
    assert not (await found(DATA_DIR=tmp_path, TWILIO_ACCOUNT_SID=None))["high risk"].is_weak
    assert list(tmp_path.iterdir()) == []
    url = f"sqlite:///{tmp_path}/book.db"
    settings = from_mapping({"CALLER_DATABASE_URL": url})
    async with storage.migrated_database(settings) as engine:
        clock = [datetime.now(UTC)]
        lists = SqlHighRiskLists(engine, clock=lambda: clock[0])
        for days, is_weak in ((3, False), (36, True)):
            clock[0] = datetime.now(UTC) - timedelta(days=days)
            await lists.replace({"37181": "LV"})
            finding = (await found(DATABASE_URL=url))["high risk"]
            assert f"1 of Twilio's list, synced {days} days ago." in finding.text
            assert finding.is_weak is is_weak
        opened = (await found(DATABASE_URL=url, OPEN_HIGH_RISK="37181,3718"))["high risk"]
    assert "opens +37181 (LV)" in opened.text
    assert "names +3718, which opens nothing" in opened.text


async def test_a_carriers_list_that_cannot_be_looked_at_is_told():
    finding = (await found(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/x"))["high risk"]
    assert (finding.is_weak, "is not known" in finding.text) == (True, True)


async def test_of_a_database_that_is_empty_one_thing_is_said(database_url, tmp_path):
    (tmp_path / "book.db").touch(0o600)
    findings = await found(DATA_DIR=tmp_path / "data", DATABASE_URL=database_url)
    said = "Answers; it has no tables yet; `caller serve` makes them."
    assert (findings["database"].text, findings["database"].verdict) == (said, "ok")
    # What is missing there is not missed anywhere else.
    texts = [each.text.replace(str(tmp_path), "") for each in findings.values()]
    assert [text for text in texts if "database" in text.lower()] == []
    assert findings["high risk"].text.endswith(
        "Twilio's list was never synced: run `caller rates sync-high-risk`."
    )


async def test_a_deck_below_the_carriers_minute_is_fatal(tmp_path):
    deck = tmp_path / "deck.csv"
    header = "prefix,description,country,rate_per_minute,connect_fee,first,next,carrier_per_minute"
    deck.write_text(f"{header}\n44,UK,GB,0.01,0,60,60,0.01\n")
    covered = (await found(DATA_DIR=tmp_path, RATE_DECK=deck))["rates"]
    assert covered.text.endswith("1 of them cover the carrier's minute, which the deck names.")
    deck.write_text(f"{header}\n44,UK,GB,0.01,0,1,1,0.01\n")
    refused = (await found(DATA_DIR=tmp_path, RATE_DECK=deck))["rates"]
    assert refused.is_fatal
    assert "set a minimum" in refused.text


@pytest.mark.parametrize(
    ("age_s", "waiting", "is_served", "is_fatal"),
    [
        (0.3, 7, True, False),
        (None, 0, False, False),
        (86_400, 0, False, False),
        (86_400, 1, False, True),
        (20, 0, True, True),
        (None, 0, True, True),
    ],
)
def test_a_drainer_that_nobody_misses_is_no_fault(age_s, waiting, is_served, is_fatal):
    finding = check.drainer_finding(age_s, waiting, is_served=is_served)
    assert finding.is_fatal is is_fatal
    assert f"{waiting} entries wait" in finding.text
    assert ("`caller drain`" in finding.text) is is_fatal


async def test_the_age_of_the_last_draining_is_read_where_the_credit_store_is(tmp_path, valkey_url):
    redis = connect(valkey_url)
    await RedisDrainMark(redis).set()
    await RedisNodeLeases(redis).renew("n1")
    finding = (await found(DATA_DIR=tmp_path, REDIS_URL=valkey_url))["drainer"]
    assert (finding.is_fatal, finding.text) == (
        False,
        "The outbox was last drained 0 s ago; 0 entries wait.",
    )
    await redis.delete("caller:drained")
    assert (await found(DATA_DIR=tmp_path, REDIS_URL=valkey_url))["drainer"].is_fatal
    await disconnect(redis)
    gone = await found(DATA_DIR=tmp_path, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert gone["drainer"].is_weak


async def test_the_bundled_server_is_looked_for_and_not_started(tmp_path):
    valkey = embedded.EmbeddedValkey(tmp_path / "valkey")
    await valkey.start()
    try:
        finding = (await found(DATA_DIR=tmp_path))["drainer"]
        assert "has not been drained yet; 0 entries wait" in finding.text
    finally:
        await valkey.stop()
    assert "it runs with" in (await found(DATA_DIR=tmp_path / "other"))["drainer"].text


async def test_the_collector_of_traces_is_tried(tmp_path):
    assert "traces" not in await found(DATA_DIR=tmp_path)
    async with collecting() as collector:
        finding = (await found(DATA_DIR=tmp_path, OTLP_URL=collector.url))["traces"]
        assert (finding.is_weak, finding.text) == (False, "The collector takes traces.")
        assert collector.spans == []
        collector.status = 401
        finding = (await found(DATA_DIR=tmp_path, OTLP_URL=collector.url))["traces"]
        assert (finding.is_weak, finding.is_fatal) == (True, False)
        assert finding.text.endswith("takes no traces: status 401.")
    given = {"OTLP_URL": collector.url, "OTLP_HEADERS": "hunter2"}
    finding = (await found(DATA_DIR=tmp_path, **given))["traces"]
    assert finding.is_fatal
    assert "CALLER_OTLP_HEADERS must be" in finding.text
    assert "hunter2" not in finding.text


async def test_a_right_that_is_missing_at_the_credit_store_is_named(own_valkey, tmp_path):
    """As the user had none of the channel whom `deploy/valkey.sh` made once."""
    given = {"DATA_DIR": tmp_path, "REDIS_URL": own_valkey.url}
    assert "redis rights" not in await found(**given)
    own_valkey.command("ACL", "SETUSER", "caller", "resetchannels")
    channel = (await found(**given))["redis rights"]
    assert (channel.is_fatal, channel.is_away) == (True, True)
    assert channel.text == (
        "The user of CALLER_REDIS_URL lacks rights at the server: add &caller/watch/* to its line"
        " in the access list, or run ACL SETUSER with its name and &caller/watch/*. Live calls"
        " cannot be watched until then."
    )
    own_valkey.command("ACL", "SETUSER", "caller", "&caller/watch/*", "-bgrewriteaof")
    spared = (await found(**given))["redis rights"]
    assert (spared.verdict, "add +bgrewriteaof to" in spared.text) == ("warning", True)
    # Also of one without which the server cannot be judged.
    own_valkey.command("ACL", "SETUSER", "caller", "+bgrewriteaof", "-info", "-evalsha")
    needed = await found(**given)
    assert "add +evalsha +info to" in needed["redis rights"].text
    assert needed["redis rights"].is_fatal


async def test_a_node_starts_without_the_channel_and_without_nothing_else(own_valkey, tmp_path):
    settings = from_mapping({"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": own_valkey.url})
    own_valkey.command("ACL", "SETUSER", "caller", "resetchannels")
    (_, weak) = await preflight.credit_store(settings, is_starting=True)
    assert weak.verdict == "warning"
    await (await storage.open_stores(settings)).close()
    own_valkey.command("ACL", "SETUSER", "caller", "-rename")
    (_, fatal) = await preflight.credit_store(settings, is_starting=True)
    assert fatal.verdict == "failed"
    with pytest.raises(StoreRightError, match=r"add \+rename to its line"):
        await storage.open_stores(settings)


async def test_nodes_with_another_secret_fail_the_check_and_older_ones_are_not_judged(
    tmp_path, valkey_url, monkeypatch
):
    monkeypatch.setattr("gateway.stores.node_facts.LAPSES_MS", 60_000)
    given = {"DATA_DIR": tmp_path, "REDIS_URL": valkey_url, "FLEET_SECRET": "a" * 32}
    assert "nodes" not in await found(**given)
    redis = connect(valkey_url)
    try:
        directory = RedisNodeDirectory(redis)
        await directory.write(facts_of("old"))
        await directory.write(facts_of("n1", secret_proof=proof_of("a" * 32)))
        assert (await found(**given))["nodes"].verdict == "ok"
        # It has none of its own, and so goes by the carrier's token.
        await directory.write(facts_of("n2", secret_proof=proof_of("secret")))
    finally:
        await disconnect(redis)
    finding = (await found(**given))["nodes"]
    assert (finding.verdict, finding.is_away) == ("failed", False)
    assert finding.text.startswith("n2: another CALLER_FLEET_SECRET than these settings.")
    assert "restart those that have another" in finding.text
    finding = (await found(**given | {"FLEET_SECRET": ""}))["nodes"]
    assert finding.text.startswith("n1: another")
