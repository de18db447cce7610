"""A gateway with a certificate of its own: a whole call over https and wss, on both legs."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.calls.proxy import HAPROXY, haproxy_with_tls
from tests.calls.test_whole_call import assert_heard, speech
from tests.calls.world import Process, World, eventually
from tests.certificates import Authority
from tests.valkey import free_port


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this process and those it starts trust."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture
def secure_world(tmp_path: Path, authority: Authority) -> Iterator[World]:
    """A gateway and a carrier that have nothing but TLS between them."""
    certificate, key = authority.issue(tmp_path)
    tls = {"CALLER_TLS_CERTIFICATE": str(certificate), "CALLER_TLS_KEY": str(key)}
    world = World(tmp_path, **tls)
    world.base = world.settings.origin
    try:
        world.start_carrier()
        world.start_gateway()
        yield world
    finally:
        world.stop()


def shown(world: World) -> str:
    """Return the certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", world.port), timeout=5)


async def test_a_call_over_tls_is_heard_and_outlives_its_certificate(
    secure_world: World, authority: Authority, tmp_path: Path
):
    world = secure_world
    customer = await world.new_customer()
    assert world.base.startswith("https://")
    reply = await customer.http.get("/healthz")
    assert reply.headers["strict-transport-security"] == "max-age=31536000"
    first = await asyncio.to_thread(shown, world)
    spoken, more = speech(75), speech(20, seed=2)
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("sample")
        mark = len(phone.frames)
        await phone.speak(spoken)
        authority.issue(tmp_path)

        async def is_renewed() -> bool:
            return await asyncio.to_thread(shown, world) != first

        await eventually(is_renewed, 15)
        said = len(phone.frames)
        await phone.speak(more)
        await phone.wait_frames(said + 10)
        assert (await phone.hang_up())["cause"] == 16
        assert await phone.wait_closed() == 1000
    record = await customer.record(call_id)
    assert_heard(spoken + more, b"".join(phone.frames[mark:]), record)
    assert record["carrier_seconds"] is not None
    with pytest.raises(httpx.TransportError):
        httpx.get(world.base.replace("https", "http") + "/healthz")
    lines = [json.loads(line) for line in world.gateway.log.read_text().splitlines() if "{" in line]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    assert "new TLS certificate in use" in [line["event"] for line in lines]
    await world.assert_books_balance()
    await customer.http.aclose()


async def answers(port: int) -> bool:
    """Whether something listens on a port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.thorough
@pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")
async def test_a_simulated_call_goes_through_a_proxy_whose_authority_is_private(
    tmp_path: Path, authority: Authority
):
    port = free_port()
    world = World(tmp_path, CALLER_NODE="n1", CALLER_PUBLIC_ORIGIN=f"https://127.0.0.1:{port}")
    # The carrier trusts it by its option, or not at all.
    del world.environ["SSL_CERT_FILE"]
    pair, nodes = authority.issue(tmp_path), {"n1": world.port, "n2": free_port()}
    spoken = speech(75)
    try:
        world.start_carrier("0.3", "--ca", str(authority.file))
        world.start_gateway()
        world.base = world.settings.origin
        with haproxy_with_tls(tmp_path, port, nodes, pair):
            customer = await world.new_customer()
            await eventually(lambda: answers(port))
            async with customer.call() as phone:
                call_id = (await phone.wait("ready"))["call_id"]
                await phone.wait("sample")
                mark = len(phone.frames)
                await phone.speak(spoken)
                await phone.wait_frames(mark + 10)
                assert (await phone.hang_up())["cause"] == 16
            record = await customer.record(call_id)
            assert_heard(spoken, b"".join(phone.frames[mark:]), record)
            deliveries = (await world.carrier_get("/webhooks"))["deliveries"]
            await world.assert_books_balance()
            await customer.http.aclose()
    finally:
        world.stop()
    assert deliveries
    assert {each["url"].split("/n/")[0] for each in deliveries} == {world.base}
    assert {each["failure"] for each in deliveries} == {""}


def test_a_gateway_does_not_start_with_files_that_do_not_fit(tmp_path: Path, authority: Authority):
    ours, other = authority.issue(tmp_path), authority.issue(tmp_path, "other")
    for certificate, key, named in (
        (tmp_path / "none", ours.key, "CALLER_TLS_CERTIFICATE"),
        (ours.certificate, other.key, "CALLER_TLS_KEY"),
        (ours.certificate, "", "CALLER_TLS_KEY"),
    ):
        tls = {"CALLER_TLS_CERTIFICATE": str(certificate), "CALLER_TLS_KEY": str(key)}
        environ = World(tmp_path).environ | tls
        log = tmp_path / f"{named}.log"
        gateway = Process(["serve"], environ, log)
        assert gateway.popen.wait(60) == 2
        assert named in log.read_text()
    assert not (tmp_path / "data").exists(), "refused before anything is opened"
