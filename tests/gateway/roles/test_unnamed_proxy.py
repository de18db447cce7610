"""A proxy that nobody has said to trust: said once in the log, and by `caller check`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.finding import Finding
from gateway.limits.sole_peer import REQUESTS_MIN
from gateway.roles import reach, unnamed_proxy
from gateway.roles.serve import Gateway
from gateway.roles.unnamed_proxy import is_at_home, what_to_set
from gateway.settings_variables import from_mapping
from gateway.stores.unnamed_proxy import RedisUnnamedProxy
from tests.calls.proxy import INSTALLED, proxy_of
from tests.calls.world import eventually
from tests.thorough import first_of
from tests.valkey import free_port

SAID = "all requests come from one address"
ORIGIN = "https://calls.example.com"
NONE = "no proxy"
"""Requests that come straight from one address: to the gateway that is the same."""


@contextmanager
def proxied(name: str, folder: Path, node: Gateway) -> Iterator[int]:
    """Put a proxy in front of a gateway; yield the port where visitors come."""
    if name == NONE:
        yield node.port
        return
    if INSTALLED[name] is None:
        pytest.skip(f"{name} is not installed")
    port = free_port()
    with proxy_of(name, folder, port, {"n1": node.port, "n2": node.port}):
        yield port


@asynccontextmanager
async def served(environ: dict[str, str], **more: str) -> AsyncIterator[Gateway]:
    told = environ | {f"CALLER_{name}": value for name, value in more.items()}
    node = Gateway(from_mapping(told), told)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def visit(port: int, path: str = "/terms", count: int = REQUESTS_MIN) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(count):
            reply = await client.get(path)
            assert reply.status_code == 200


async def proxies_found(node: Gateway) -> list[Finding]:
    findings = await reach.findings(node.settings)
    return [finding for finding in findings if finding.subject == "proxy"]


def warnings_of(logs: list[Any]) -> list[Any]:
    return [each for each in logs if each["event"] == SAID]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unnamed_proxy, "INTERVAL_S", 0.05)


@pytest.mark.parametrize("name", first_of([NONE, *INSTALLED]))
async def test_a_real_proxy_that_is_not_trusted_is_said_once_and_to_check(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with served(environ, PUBLIC_ORIGIN=ORIGIN) as node:
            with proxied(name, tmp_path, node) as port:
                await eventually(lambda: _answers(port))
                assert await proxies_found(node) == []
                await visit(port)

                async def found() -> bool:
                    return bool(await proxies_found(node))

                await eventually(found)
                (finding,) = await proxies_found(node)
                await visit(port)
                await asyncio.sleep(0.2)
    assert finding.is_weak
    assert finding.text == (
        "All requests come from 127.0.0.1, which is not trusted. If that is a proxy, all visitors"
        " share the limits of one, and records name its address: set"
        " CALLER_TRUSTED_PROXIES=127.0.0.1, and let it send X-Forwarded-For."
    )
    (line,) = warnings_of(logs)
    assert (line["log_level"], line["source"]) == ("warning", "127.0.0.1")
    assert "CALLER_TRUSTED_PROXIES=127.0.0.1" in line["hint"]


async def _answers(port: int) -> bool:
    try:
        await visit(port, "/healthz", 1)
    except (httpx.HTTPError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("name", first_of([NONE, *INSTALLED]))
async def test_a_proxy_that_is_trusted_is_none(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    with capture_logs() as logs:
        async with served(environ, PUBLIC_ORIGIN=ORIGIN, TRUSTED_PROXIES="127.0.0.1") as node:
            with proxied(name, tmp_path, node) as port:
                await eventually(lambda: _answers(port))
                await visit(port, count=2 * REQUESTS_MIN)
                await asyncio.sleep(0.2)
                assert await proxies_found(node) == []
    assert warnings_of(logs) == []


@pytest.mark.parametrize(
    ("path", "more"),
    [
        # A demo: nobody but this machine is there.
        ("/terms", {}),
        # What is beside the gateway asks how it is.
        ("/healthz", {"PUBLIC_ORIGIN": ORIGIN}),
        ("/readyz", {"PUBLIC_ORIGIN": ORIGIN}),
    ],
)
async def test_neither_a_demo_nor_a_probe_is_a_proxy(
    environ: dict[str, str], path: str, more: dict[str, str]
) -> None:
    with capture_logs() as logs:
        async with served(environ, **more) as node:
            await visit(node.port, path, 2 * REQUESTS_MIN)
            await asyncio.sleep(0.2)
            assert await proxies_found(node) == []
    assert warnings_of(logs) == []


async def test_what_is_set_meanwhile_needs_a_restart_and_others_stay() -> None:
    settings = from_mapping({"CALLER_TRUSTED_PROXIES": "10.0.0.0/24"})
    assert "CALLER_TRUSTED_PROXIES=10.0.0.0/24,172.18.0.3," in what_to_set(settings, "172.18.0.3")
    (finding,) = reach.proxy_finding(settings, "10.0.0.7")
    assert "from the next start of `caller serve` on" in finding.text
    assert reach.proxy_finding(settings, "") == []


@pytest.mark.parametrize(
    ("origin", "address", "expected"),
    [
        ("http://localhost:8000", "127.0.0.1", True),
        ("http://127.0.0.1:8000", "::1", True),
        ("http://[::1]:8000", "127.0.0.1", True),
        ("https://calls.example.com", "127.0.0.1", False),
        ("http://localhost:8000", "172.17.0.1", False),
    ],
)
def test_nobody_but_this_machine_is_served(origin: str, address: str, expected: bool) -> None:
    assert is_at_home(origin, address) is expected


async def test_what_is_told_lapses_and_a_store_that_is_away_is_an_outage(redis: Any) -> None:
    told = RedisUnnamedProxy(redis)
    assert await told.address() == ""
    await told.tell("10.0.0.1")
    assert await told.address() == "10.0.0.1"
    assert 0 < await redis.pttl("caller:unnamed-proxy") <= 60_000
    away = connect(f"redis://127.0.0.1:{free_port()}/0")
    for ask in (RedisUnnamedProxy(away).address, lambda: RedisUnnamedProxy(away).tell("::1")):
        with pytest.raises(StoreUnavailableError):
            await ask()
    await disconnect(away)
