"""Posts leave over TLS to the internet, wait for no one for long, and open nothing inside."""

import asyncio
import os
import socket
import ssl
import threading

import pytest
from aiohttp.abc import AbstractResolver

from gateway.webhooks import poster
from gateway.webhooks.poster import HttpPoster, SystemResolver
from gateway.webhooks.sender import ReceiverAnswer
from gateway.webhooks.target import Target, read_target
from tests.certificates import Authority
from tests.gateway.webhooks.world import HOST, TIMEOUT_S, receiving, talking


class Names(AbstractResolver):
    """Answers with one list of addresses after another, and with the last from then on."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError("no such name")
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": socket.IPPROTO_TCP,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in found
        ]

    async def close(self):
        pass


@pytest.fixture
async def new_poster():
    made = []

    def new(**options):
        made.append(HttpPoster(timeout_s=TIMEOUT_S, **options))
        return made[-1]

    yield new
    for each in made:
        await each.close()


def trusted(url):
    return read_target(url, (HOST,))


async def post(poster, target):
    return await poster.post(target, {"webhook-id": "evt_1"}, b"{}")


async def test_the_status_and_one_header_are_all_that_is_read(new_poster):
    async with receiving() as receiver:
        receiver.status, receiver.headers = 429, {"Retry-After": "7", "Set-Cookie": "a=b"}
        sender = new_poster()
        for _ in range(2):
            assert await post(sender, trusted(receiver.url)) == ReceiverAnswer(429, "7")
        assert all("Cookie" not in headers for headers, _ in receiver.taken)
        assert {body for _, body in receiver.taken} == {"{}"}


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ((), ReceiverAnswer(None, failure="timeout")),
        ((b"HTTP/1.1 200 OK\r\n",), ReceiverAnswer(None, failure="timeout")),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",) * 3, ReceiverAnswer(None, failure="timeout")),
        # What it sends after that, and how slowly, does not matter.
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), ReceiverAnswer(204)),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"x"), ReceiverAnswer(200)),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n"), ReceiverAnswer(200)),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"no"), ReceiverAnswer(200)),
        ((b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",), None),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), None),
        ((b"\0" * 100,), None),
    ],
)
async def test_whatever_a_receiver_says_is_an_answer_or_a_failure_in_time(
    new_poster, pieces, answer
):
    async def talk(_reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await asyncio.Event().wait()

    async with talking(talk) as url, asyncio.timeout(20):
        got = await post(new_poster(), trusted(url))
    if answer is None:
        assert (got.status, got.failure) in {(None, "no http"), (None, "connection")}
    else:
        assert got == answer


async def test_a_receiver_that_drips_is_not_waited_for(new_poster):
    async def talk(_reader, writer):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with talking(talk) as url:
        assert await post(new_poster(), trusted(url)) == ReceiverAnswer(None, failure="timeout")


async def test_who_hangs_up_or_is_not_there_is_a_failure(new_poster):
    async def talk(_reader, writer):
        writer.close()

    async with talking(talk) as url:
        assert (await post(new_poster(), trusted(url))).failure == "connection"
    assert (await post(new_poster(), trusted(url))).failure == "connection"


INSIDE = [
    "127.0.0.1",
    "10.0.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "fe80::1",
    "fd00::1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_means_something_inside_opens_nothing(new_poster, address):
    names = Names([address])
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        got = await post(new_poster(resolver=names), read_target(f"https://in.example.com:{port}"))
    assert got == ReceiverAnswer(None, failure="address private")
    assert (names.asked, receiver.taken) == (["in.example.com"], [])


async def test_of_several_addresses_none_inside_is_tried(new_poster):
    got = await post(
        new_poster(resolver=Names(["127.0.0.1", "::1", "10.0.0.1"])),
        read_target("https://in.example.com:9999"),
    )
    assert got == ReceiverAnswer(None, failure="address private")


async def test_an_address_that_is_written_out_is_judged_as_well(new_poster):
    """Such a one is never looked up; here it has passed the reading."""
    for host in ("127.0.0.1", "::1", "::ffff:7f00:1"):
        written = f"[{host}]" if ":" in host else host
        target = Target(f"https://{written}:9/", host, is_trusted=False)
        assert await post(new_poster(), target) == ReceiverAnswer(None, failure="address private")


async def test_two_readings_of_an_address_open_nothing(new_poster):
    for host in ("example.com", ""):
        target = Target("https://127.0.0.1:9/", host, is_trusted=True)
        assert await post(new_poster(), target) == ReceiverAnswer(None, failure="address form")


async def test_a_name_that_changes_between_check_and_connection_opens_nothing(
    new_poster, tmp_path, monkeypatch
):
    """Each connection is to an address that was judged: what a name meant before counts nothing."""
    authority = Authority(tmp_path)
    pair = authority.issue(tmp_path, hosts=("in.example.com",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*pair)
    async with receiving(tls) as receiver:
        port = receiver.url.rpartition(":")[2].removesuffix("/hook")
        target = read_target(f"https://in.example.com:{port}/hook")
        names = Names(["127.0.0.1"], ["8.8.8.8"], ["127.0.0.1"])
        sender = new_poster(resolver=names, tls=authority.client())
        # The first time the test lets it through, as a public address would be.
        with monkeypatch.context() as patched:
            patched.setattr(poster, "is_public", lambda address: address == "127.0.0.1")
            assert await post(sender, target) == ReceiverAnswer(204)
            # And with it nothing that was not judged.
            assert (await post(sender, target)).failure == "address private"
        assert (await post(sender, target)).failure == "address private"
        assert (len(receiver.taken), len(names.asked)) == (1, 3)


async def test_a_certificate_of_nobody_or_another_host_is_a_failure(new_poster, tmp_path):
    authority = Authority(tmp_path)
    for number, hosts in enumerate((("other.example.com",), (HOST,))):
        pair = authority.issue(tmp_path, f"server{number}", hosts=hosts)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*pair)
        async with receiving(tls) as receiver:
            target = trusted(receiver.url)
            assert (await post(new_poster(), target)).failure == "tls"
            of_ours = await post(new_poster(tls=authority.client()), target)
            assert of_ours == (
                ReceiverAnswer(204) if number else ReceiverAnswer(None, failure="tls")
            )


async def test_a_name_that_is_none_is_a_failure(new_poster):
    got = await post(new_poster(resolver=Names([])), read_target("https://no.example.com"))
    assert got == ReceiverAnswer(None, failure="name not found")


async def test_no_proxy_of_the_environment_is_used(new_poster, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with receiving() as receiver:
        assert await post(new_poster(), trusted(receiver.url)) == ReceiverAnswer(204)


async def test_names_are_looked_up_as_the_system_does():
    found = await SystemResolver().resolve("localhost", 80)
    assert {each["host"] for each in found} <= {"127.0.0.1", "::1"}
    assert {each["port"] for each in found} == {80}
    with pytest.raises(socket.gaierror):
        await SystemResolver().resolve("no.such.name.invalid", 80)


async def test_look_ups_that_hang_are_bounded_and_stop_nobody(monkeypatch):
    go, asked = threading.Event(), []

    def hang(*arguments, **_options):
        asked.append(arguments)
        go.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    names = SystemResolver()
    waiting = [
        asyncio.create_task(names.resolve("a.example")) for _ in range(poster.LOOKUPS_MAX + 3)
    ]
    async with asyncio.timeout(10):
        while len(asked) < poster.LOOKUPS_MAX:
            await asyncio.sleep(0)
    # Who gives up does not make room: the thread is still there.
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    late = asyncio.create_task(names.resolve("b.example"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(asked) == poster.LOOKUPS_MAX
    # The loop's own threads are free.
    assert await asyncio.to_thread(os.getpid) == os.getpid()
    go.set()
    async with asyncio.timeout(10):
        assert await late == []
