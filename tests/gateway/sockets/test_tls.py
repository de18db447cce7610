"""TLS on the one port: real handshakes with certificates that change, fit or do not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from gateway.errors import SettingsError
from gateway.ports import Acceptance, HandshakeRequest, Refusal
from gateway.sockets.engine import MediaEngine
from gateway.sockets.limits import MediaLimits
from gateway.sockets.one_port import create_server
from gateway.sockets.tls import CertificateFacts, ServerTls, load, read_facts
from tests.certificates import DAY, Authority, Pair
from tests.gateway.sockets.socket_peers import BINARY, TEXT, Clock, EchoLeg, Peer, frame, handshake

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Site:
    """A server with TLS, which tells each client what it knows of it."""

    def __init__(self, clock: Clock, authority: Authority, pair: Pair | None, **options: Any):
        self.tls = None if pair is None else ServerTls(*pair)
        self.client = None if pair is None else authority.client()
        self.peers: list[str] = []
        self.legs: list[EchoLeg] = []
        self.refuses = False
        self.engine = MediaEngine(
            self._route, options.pop("limits", None), clock, options.pop("trusted_proxies", ())
        )
        app = Starlette(routes=[Route("/hello", self._hello)])
        options = {"host": "127.0.0.1", "port": 0, "grace_s": 3, **options}
        self.server = create_server(app, engine=self.engine, tls=self.tls, **options)

    def _route(self, request: HandshakeRequest) -> Acceptance | Refusal:
        self.peers.append(request.peer)
        if self.refuses:
            return Refusal(404, "No such socket.")
        self.legs.append(EchoLeg())
        return Acceptance(self.legs[-1].attach)

    async def _hello(self, request: Request) -> Response:
        assert request.client is not None
        return JSONResponse([request.client.host, request.url.scheme])

    async def connect(self, data: bytes = b"") -> Peer:
        peer = await Peer.connect(self.server.port, self.client)
        peer.send(data)
        return peer


@pytest.fixture
async def start(clock: Clock, authority: Authority) -> AsyncIterator[Callable[..., Any]]:
    async with contextlib.AsyncExitStack() as stack:

        async def start_one(pair: Pair | None, **options: Any) -> Site:
            site = Site(clock, authority, pair, **options)
            await site.server.start()
            stack.push_async_callback(site.server.stop)
            return site

        yield start_one


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Pair:
    return authority.issue(tmp_path)


def shown(peer: Peer) -> int:
    """Return the serial number of the certificate that the server showed."""
    shown = peer.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(shown).serial_number


def serial(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


# On the port.


async def test_requests_and_media_share_the_port(start, pair):
    site = await start(pair)
    web = await site.connect(HELLO)
    status, headers, body = await web.response()
    assert (status, body) == (200, b'["127.0.0.1","https"]')
    assert headers["strict-transport-security"].startswith("max-age=")
    web.send(handshake() + frame(BINARY, b"x" * 160))
    assert (await web.head())[0] == 101
    assert await web.frame() == (BINARY, b"x" * 160)
    web.send(frame(TEXT, b"a" * 9000)[:4000])
    web.send(frame(TEXT, b"a" * 9000)[4000:])
    assert await web.frame() == (TEXT, b"a" * 9000)
    site.engine.sweep(0)
    await web.leave()


async def test_without_a_certificate_nothing_is_said_of_tls(start):
    site = await start(None)
    peer = await site.connect(HELLO)
    _, headers, body = await peer.response()
    assert body == b'["127.0.0.1","http"]'
    assert "strict-transport-security" not in headers
    await peer.leave()


async def test_behind_a_proxy_that_speaks_tls_browsers_are_told_to_come_by_tls(start):
    site = await start(None, hsts=True)
    peer = await site.connect(HELLO)
    _, headers, _ = await peer.response()
    assert headers["strict-transport-security"] == "max-age=31536000"
    await peer.leave()


REFUSED: dict[bytes, int] = {
    b"nonsense\r\n\r\n": 400,
    b"GET /hello HTTP/1.1\r\nA: " + b"x" * 40_000 + b"\r\n\r\n": 431,
    b"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": 400,
    b"GET /n/a/media/browser HTTP/1.1\r\nHost: a\r\n\r\n": 426,
    b"GET /n/a/media/browser\r\nnonsense\r\n\r\n": 400,
    handshake(): 404,
}


@pytest.mark.parametrize("request_bytes", REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("hsts", [True, False])
async def test_what_is_refused_says_it_too(start, hsts, request_bytes):
    site = await start(None, hsts=hsts)
    site.refuses = True
    peer = await site.connect(request_bytes)
    status, headers, _ = await peer.response()
    assert status == REFUSED[request_bytes]
    said = "max-age=31536000" if hsts else None
    assert headers.get("strict-transport-security") == said
    await peer.leave()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /hello HTTP/1.1\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 200),
        # As HAProxy looks after its servers.
        (b"GET /hello HTTP/1.0\r\n\r\n", 200),
    ],
)
async def test_a_request_names_one_host(start, head, status):
    """RFC 9112, 3.2: 400 where an HTTP/1.1 request has no Host, or several."""
    site = await start(None)
    peer = await site.connect(head)
    assert (await peer.response())[0] == status
    await peer.leave()


async def test_a_client_library_agrees(start, pair):
    site = await start(pair)
    url = f"wss://localhost:{site.server.port}/n/a/media/browser"
    async with connect(url, proxy=None, ssl=site.client) as client:
        await client.send(b"audio")
        assert await client.recv() == b"audio"
    assert client.close_code == 1000
    assert await site.legs[0].wait(1) == [("close", 1000)]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_1_2_and_1_3_are_spoken(start, pair, version):
    site = await start(pair)
    site.client.minimum_version = site.client.maximum_version = version
    peer = await site.connect(HELLO)
    assert (await peer.response())[0] == 200
    await peer.leave()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_tls_1_1_is_not(start, pair):
    site = await start(pair)
    site.client.set_ciphers("DEFAULT:@SECLEVEL=0")
    site.client.minimum_version = site.client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await site.connect()
    # OpenSSL's own level may refuse it as well; ours must not depend on that.
    assert site.tls.context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "sent", [HELLO, handshake(), b"\x16\x03\x01\x00\x05nonsense", b"\x00" * 99]
)
async def test_what_is_not_tls_is_closed_without_noise(start, pair, sent, caplog):
    site = await start(pair)
    caplog.set_level("DEBUG")
    peer = await Peer.connect(site.server.port)
    peer.send(sent)
    with contextlib.suppress(ConnectionError):
        assert b"HTTP" not in await peer.end()
    good = await site.connect(HELLO)
    assert (await good.response())[0] == 200
    await good.leave()
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
    assert not site.legs


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02"])
async def test_a_handshake_that_does_not_come_is_dropped(start, pair, sent, caplog):
    site = await start(pair, limits=MediaLimits(handshake_timeout_ns=50_000_000))
    peer = await Peer.connect(site.server.port)
    peer.send(sent)
    with contextlib.suppress(ConnectionError):
        assert await peer.end() == b""
    assert caplog.records == []


async def test_a_huge_request_head_is_answered_431(start, pair):
    site = await start(pair)
    peer = await site.connect(b"GET /hello HTTP/1.1\r\nX: " + b"a" * 40_000)
    assert (await peer.response())[0] == 431
    assert await peer.end() == b""


async def test_stop_closes_media(clock, authority, pair):
    site = Site(clock, authority, pair)
    await site.server.start()
    url = f"wss://localhost:{site.server.port}/n/a/media/browser"
    async with connect(url, proxy=None, ssl=site.client) as client:
        stopping = asyncio.create_task(site.server.stop())
        await client.wait_closed()
    assert client.close_code == 1001
    await stopping
    assert not site.engine.connections


# Other certificates.


async def test_new_connections_get_the_new_certificate_and_open_ones_stay(
    start, pair, authority, tmp_path
):
    site = await start(pair)
    first = serial(pair)
    media = await site.connect(handshake())
    assert (await media.head())[0] == 101
    await site.tls.refresh()
    authority.issue(tmp_path)
    second = serial(pair)
    late = await site.connect()
    assert shown(late) == first
    with capture_logs() as logs:
        await site.tls.refresh()
        await site.tls.refresh()
    assert [line["event"] for line in logs] == ["new TLS certificate in use"]
    new = await site.connect(HELLO)
    assert (shown(media), shown(new)) == (first, second)
    assert (await new.response())[0] == 200
    media.send(frame(TEXT, b"goes on"))
    assert await media.frame() == (TEXT, b"goes on")
    for peer in (media, late, new):
        await peer.leave()


async def test_a_certificate_that_does_not_fit_is_refused_and_the_old_one_stays(
    start, pair, authority, tmp_path
):
    site = await start(pair)
    first, key = serial(pair), pair.key.read_bytes()
    authority.issue(tmp_path)
    new_key = pair.key.read_bytes()
    pair.key.write_bytes(key)
    with capture_logs() as logs:
        await site.tls.refresh()
        await site.tls.refresh()
    assert [(line["log_level"], line["why"]) for line in logs] == [
        ("warning", "CALLER_TLS_KEY does not belong to CALLER_TLS_CERTIFICATE.")
    ]
    old = await site.connect(HELLO)
    assert shown(old) == first
    assert (await old.response())[0] == 200
    pair.key.write_bytes(new_key)
    await site.tls.refresh()
    new = await site.connect()
    assert shown(new) == serial(pair) != first
    for peer in (old, new):
        await peer.leave()


async def test_files_that_go_away_change_nothing(start, pair):
    site = await start(pair)
    pair.certificate.unlink()
    with capture_logs() as logs:
        await site.tls.refresh()
    assert logs[0]["why"] == "CALLER_TLS_CERTIFICATE names a file that cannot be read."
    peer = await site.connect(HELLO)
    assert (await peer.response())[0] == 200
    await peer.leave()


def test_each_fault_names_its_setting(authority, pair, tmp_path):
    other = authority.issue(tmp_path, "other")
    locked = authority.issue(tmp_path, "locked", encryption=BestAvailableEncryption(b"secret"))
    text = tmp_path / "text.pem"
    text.write_text("not PEM")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for certificate, key, named, words in (
        (pipe, pair.key, "CALLER_TLS_CERTIFICATE", "does not name a regular file"),
        (pair.certificate, pipe, "CALLER_TLS_KEY", "does not name a regular file"),
        (tmp_path / "none", pair.key, "CALLER_TLS_CERTIFICATE", "cannot be read"),
        (tmp_path, pair.key, "CALLER_TLS_CERTIFICATE", "cannot be read"),
        (text, pair.key, "CALLER_TLS_CERTIFICATE", "without a certificate"),
        (pair.key, pair.key, "CALLER_TLS_CERTIFICATE", "without a certificate"),
        (pair.certificate, tmp_path / "none", "CALLER_TLS_KEY", "cannot be read"),
        (pair.certificate, text, "CALLER_TLS_KEY", "without a usable private key"),
        (pair.certificate, pair.certificate, "CALLER_TLS_KEY", "without a usable private key"),
        (locked.certificate, locked.key, "CALLER_TLS_KEY", "without a usable private key"),
        (pair.certificate, other.key, "CALLER_TLS_KEY", "does not belong"),
    ):
        with pytest.raises(SettingsError, match=f"^{named} .*{words}"):
            load(certificate, key)
        with pytest.raises(SettingsError, match=f"^{named} .*{words}"):
            ServerTls(certificate, key)


def test_what_a_certificate_says_can_be_read(authority, tmp_path):
    pair = authority.issue(tmp_path, hosts=("A.example", "*.b.example", "127.0.0.1", "::1"))
    facts = read_facts(pair.certificate)
    assert facts.names == {"a.example", "*.b.example", "127.0.0.1", "::1"}
    assert timedelta(days=29) < facts.valid_until - datetime.now(UTC) < 30 * DAY
    assert facts.valid_from < datetime.now(UTC)
    assert read_facts(authority.issue(tmp_path, hosts=()).certificate).names == frozenset()


@pytest.mark.parametrize(
    ("origin", "is_covered"),
    [
        ("https://a.example", True),
        ("https://A.example:8443", True),
        ("https://x.b.example", True),
        ("https://b.example", False),
        ("https://x.y.b.example", False),
        ("https://xa.example", False),
        ("https://127.0.0.1:8080", True),
        ("https://[::1]:8080", True),
        ("https://localhost", False),
    ],
)
def test_a_certificate_covers_the_names_in_it(origin, is_covered):
    now = datetime.now(UTC)
    names = frozenset({"a.example", "*.b.example", "127.0.0.1", "::1"})
    assert CertificateFacts(now, now, names).covers(origin) is is_covered


# Behind proxies.


@pytest.mark.parametrize(
    ("trusted", "told", "client", "scheme"),
    [
        ((), "203.0.113.9", "127.0.0.1", "http"),
        (("10.0.0.0/8",), "203.0.113.9", "127.0.0.1", "http"),
        (("127.0.0.0/8",), "203.0.113.9", "203.0.113.9", "https"),
        (("127.0.0.1/32",), "198.51.100.1, 203.0.113.9", "203.0.113.9", "https"),
    ],
)
async def test_forwarded_headers_count_from_trusted_proxies_only(
    start, trusted, told, client, scheme
):
    site = await start(None, trusted_proxies=trusted)
    lines = f"\r\nX-Forwarded-For: {told}\r\nX-Forwarded-Proto: https\r\n\r\n".encode()
    web = await site.connect(HELLO.replace(b"\r\n\r\n", lines))
    assert (await web.response())[2] == f'["{client}","{scheme}"]'.encode()
    media = await site.connect(handshake(X_Forwarded_For=told))
    assert (await media.head())[0] == 101
    assert site.peers[0].rpartition(":")[0] == client
    assert site.legs[0].connection.peer == site.peers[0]
    for peer in (web, media):
        await peer.leave()
