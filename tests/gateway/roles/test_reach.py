"""Whether the carrier would reach this gateway: through proxies that do, and that do not."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from gateway.roles import preflight, probe, public_origin, reach
from gateway.roles.serve import Gateway
from gateway.settings_variables import from_mapping
from tests.certificates import DAY, Authority
from tests.proxy import Proxy
from tests.valkey import free_port

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
async def authority(tmp_path, monkeypatch):
    """An authority that this process trusts, as the system's roots."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


def settings_of(tmp_path, origin, port, **more):
    environ = {"PUBLIC_ORIGIN": origin, "PORT": port, "DATA_DIR": tmp_path / "data", **more}
    return from_mapping({f"CALLER_{name}": str(value) for name, value in environ.items()})


async def found(settings):
    return {finding.subject: finding for finding in await reach.findings(settings)}


async def test_a_way_that_leads_here(tmp_path, authority):
    port = free_port()
    async with Proxy(port, authority.issue(tmp_path)) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, port))
    assert {subject: each.verdict for subject, each in findings.items()} == {
        "reach": "ok",
        "sockets": "ok",
        "certificate": "ok",
    }
    assert findings["reach"].text.endswith(f"leads to port {port} of this machine.")
    assert not (tmp_path / "data").exists()


async def test_a_proxy_that_passes_no_upgrade(tmp_path, authority):
    port = free_port()
    async with Proxy(port, authority.issue(tmp_path), passes_upgrade=False) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, port))
    assert findings["reach"].verdict == "ok"
    assert findings["sockets"].is_away
    assert "answered with HTTP 200. Let the proxy pass WebSockets" in findings["sockets"].text


async def test_a_proxy_that_leads_elsewhere(tmp_path, authority):
    async with Proxy(free_port(), authority.issue(tmp_path)) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, free_port()))
    assert findings["reach"].is_away
    assert "is not this gateway" in findings["reach"].text
    assert "Let it lead to TCP port" in findings["reach"].text
    assert "sockets" not in findings


@pytest.mark.parametrize(
    ("issue", "words"),
    [
        ({"age": 3 * DAY, "life": -DAY}, "has expired. Serve one of a public authority"),
        ({"hosts": ("calls.example.com",)}, "is for another host"),
        ({"self_signed": True}, "is self-signed"),
    ],
)
async def test_a_certificate_that_nobody_accepts(tmp_path, authority, issue, words):
    port = free_port()
    async with Proxy(port, authority.issue(tmp_path, **issue)) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, port))
    assert (findings["reach"].is_away, words in findings["reach"].text) == (True, True)
    assert set(findings) == {"reach"}


async def test_a_certificate_that_ends_soon(tmp_path, authority):
    port = free_port()
    async with Proxy(port, authority.issue(tmp_path, life=5 * DAY)) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, port))
    assert findings["certificate"].is_weak
    assert "Renew it" in findings["certificate"].text


@pytest.mark.parametrize(("days", "verdict"), [(15, "ok"), (13, "warning")])
def test_how_long_a_certificate_is_valid_still(days, verdict):
    finding = reach.certificate_finding(NOW + timedelta(days=days), NOW)
    assert (finding.verdict, f"valid for {days} days" in finding.text) == (verdict, True)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ("https://calls.example.invalid", "Make an A or AAAA record"),
        ("https://127.0.0.1:9", "Nothing listens at"),
    ],
)
async def test_names_and_ports_that_lead_nowhere(tmp_path, origin, words):
    findings = await found(settings_of(tmp_path, origin, free_port()))
    assert (findings["reach"].is_away, words in findings["reach"].text) == (True, True)


async def test_plain_http_is_fatal_where_the_carrier_is_twilio(tmp_path):
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    real = settings_of(tmp_path, origin, port)
    simulated = settings_of(tmp_path, origin, port, CARRIER_URL="http://127.0.0.1:9")
    assert (await found(real))["origin"].is_fatal
    weak = await found(simulated)
    assert (weak["origin"].verdict, weak["reach"].verdict) == ("warning", "ok")
    assert "certificate" not in weak


@pytest.mark.parametrize("origin", ["https://calls.example.com:8443", "https://my_calls.example"])
def test_an_origin_where_twilio_does_not_come_is_refused_also_at_a_start(tmp_path, origin):
    settings = settings_of(tmp_path, origin, 8080)
    (finding,) = preflight.callbacks(settings)
    assert (finding.subject, finding.is_fatal, finding.is_away) == ("origin", True, False)
    simulated = settings_of(tmp_path, origin, 8080, CARRIER_URL="http://127.0.0.1:9")
    assert preflight.callbacks(simulated) == []
    assert preflight.callbacks(settings_of(tmp_path, "https://calls.example.com", 8080)) == []


async def test_a_gateway_that_runs_is_asked_itself(tmp_path, authority, environ):
    port = free_port()
    async with Proxy(port, authority.issue(tmp_path)) as proxy:
        environ |= {"CALLER_PORT": str(port), "CALLER_PUBLIC_ORIGIN": proxy.origin}
        settings = from_mapping(environ)
        node = Gateway(settings, environ)
        await node.start()
        try:
            findings = await found(settings)
        finally:
            await node.stop()
    assert {each.verdict for each in findings.values()} == {"ok"}
    assert findings["reach"].text == f"{proxy.origin} leads to this gateway."
    assert findings["sockets"].text == "WebSockets pass."


@pytest.mark.thorough
async def test_a_gateway_of_other_stores_that_has_the_port_is_not_taken_for_ours(tmp_path, environ):
    port = free_port()
    environ["CALLER_PORT"] = str(port)
    node = Gateway(from_mapping(environ), environ)
    await node.start()
    try:
        findings = await found(settings_of(tmp_path / "other", f"http://127.0.0.1:{port}", port))
    finally:
        await node.stop()
    assert findings["reach"].is_weak
    assert "whether this one, is not known" in findings["reach"].text


async def test_a_port_that_is_taken_is_no_place_for_a_probe(tmp_path):
    settings = settings_of(tmp_path, "", free_port())
    async with (
        probe.listening(settings, is_alone=True) as first,
        probe.listening(settings, is_alone=True) as second,
    ):
        assert (first is None, second is None) == (False, True)
    async with probe.listening(settings_of(tmp_path, "", 0), is_alone=True) as nowhere:
        assert nowhere is None


async def test_a_probe_answers_one_path_and_speaks_the_ports_tls(tmp_path, authority):
    pair = authority.issue(tmp_path)
    port, files = free_port(), {"TLS_CERTIFICATE": pair.certificate, "TLS_KEY": pair.key}
    settings = settings_of(tmp_path, f"https://127.0.0.1:{port}", port, **files)
    async with probe.listening(settings, is_alone=True) as listening:
        right = await public_origin.ask(settings.origin, path=listening.path)
        wrong = await public_origin.ask(settings.origin, path="/v1/account")
    assert (right.instance, wrong.instance) == (listening.instance, "")
    assert "HTTP 503" in wrong.fault
    assert {each.verdict for each in (await found(settings)).values()} == {"ok"}


@pytest.mark.parametrize(("is_alone", "status"), [(True, 200), (False, 503)])
async def test_a_probe_is_well_where_no_gateway_is_and_never_taken_for_one(
    tmp_path, is_alone, status
):
    port = free_port()
    settings = settings_of(tmp_path, f"http://127.0.0.1:{port}", port)
    async with probe.listening(settings, is_alone=is_alone):
        for path in ("/healthz", "/readyz"):
            answer = await public_origin.ask(settings.origin, path=path)
            assert answer.instance == ""
            assert f"(HTTP {status})" in answer.fault


async def test_it_is_not_known_to_be_alone_while_redis_does_not_answer(tmp_path, monkeypatch):
    told = []
    listening = probe.listening

    def noted(settings, *, is_alone):
        told.append(is_alone)
        return listening(settings, is_alone=is_alone)

    monkeypatch.setattr(probe, "listening", noted)
    port = free_port()
    away = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    for more in ({}, away):
        await found(settings_of(tmp_path, f"http://127.0.0.1:{port}", port, **more))
    assert told == [True, False]


async def test_a_proxy_that_reaches_nobody_is_told_apart_and_looked_at_until_it_has_looked(
    tmp_path, authority, monkeypatch
):
    monkeypatch.setattr(reach, "_LOOK_S", 0.5)
    port = free_port()
    async with Proxy(free_port(), authority.issue(tmp_path)) as proxy:
        findings = await found(settings_of(tmp_path, proxy.origin, port))
    assert findings["reach"].is_away
    assert "is not this gateway (HTTP 502). A proxy answers" in findings["reach"].text
    assert f"TCP port {port} of this machine. If it does," in findings["reach"].text


async def test_a_socket_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(public_origin, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        origin = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "could not be opened" in await public_origin.upgrade(origin, "/x")
        secure = origin.replace("http", "https")
        assert await public_origin.certificate_end(secure) is None
