"""Webhook delivery: retries by override, time limits, and the log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from simulators.carrier.callbacks import iso8601, rfc2822
from simulators.carrier.clock import Clock
from simulators.carrier.equipment import Tasks, new_sid
from simulators.carrier.errors import FetchError
from simulators.carrier.orders import Hook
from simulators.carrier.twiml import DOCUMENT_BYTES_MAX
from simulators.carrier.webhooks import Webhooks

from .peer import TOKEN, Peer


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    made = Webhooks(TOKEN, Clock())
    await made.start()
    yield made
    await made.stop()


def attempts(webhooks: Webhooks) -> list[tuple[Any, ...]]:
    return [(d["attempt"], d["status"], d["failure"]) for d in webhooks.deliveries()]


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", [(1, 500, "5xx")]),
        ("#rc=2&rp=5xx", [(1, 500, "5xx"), (2, 500, "5xx"), (3, 500, "5xx")]),
        ("#rc=1&rp=all", [(1, 500, "5xx"), (2, 500, "5xx")]),
        ("#rc=3&rp=4xx", [(1, 500, "5xx")]),
        ("#rc=0&rp=all", [(1, 500, "5xx")]),
    ],
)
async def test_retries_follow_the_override(
    peer: Peer, webhooks: Webhooks, fragment: str, expected: list[Any]
) -> None:
    peer.answer = lambda _: web.Response(status=500)
    assert not await webhooks.post("status", Hook(f"{peer.http}/s{fragment}"), {"A": "1"})
    assert attempts(webhooks) == expected
    assert all(h.signed for h in peer.hooks)
    assert len({h.headers["I-Twilio-Idempotency-Token"] for h in peer.hooks}) == 1


async def test_a_retry_that_succeeds_is_the_last(peer: Peer, webhooks: Webhooks) -> None:
    codes = [404, 204, 204]
    peer.answer = lambda _: web.Response(status=codes.pop(0))
    assert await webhooks.post("status", Hook(f"{peer.http}/s?q=%20x#rc=5&rp=all"), {"B": "ü"})
    assert attempts(webhooks) == [(1, 404, "4xx"), (2, 204, "")]
    assert peer.hooks[0].signed


async def test_a_refused_connection_is_retried_once_by_default(webhooks: Webhooks) -> None:
    assert not await webhooks.post("status", Hook("http://127.0.0.1:1/s"), {})
    assert attempts(webhooks) == [(1, 0, "ct"), (2, 0, "ct")]


async def test_a_slow_reply_times_out_and_is_not_retried(peer: Peer, webhooks: Webhooks) -> None:
    async def answer(_: object) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    peer.answer = answer
    assert not await webhooks.post("status", Hook(f"{peer.http}/s#rt=100"), {})
    assert attempts(webhooks) == [(1, 0, "rt")]


async def test_all_attempts_share_the_total_time(peer: Peer, webhooks: Webhooks) -> None:
    async def answer(_: object) -> web.Response:
        await asyncio.sleep(0.08)
        return web.Response(status=500)

    peer.answer = answer
    assert not await webhooks.post("status", Hook(f"{peer.http}/s#rc=5&rp=all&tt=200"), {})
    assert len(attempts(webhooks)) <= 4
    assert attempts(webhooks)[-1][2] == "rt"


async def test_get_puts_the_fields_in_the_signed_url(peer: Peer, webhooks: Webhooks) -> None:
    assert await webhooks.post("status", Hook(f"{peer.http}/s?a=1", "GET"), {"B": "x y"})
    assert peer.hooks[0].signed
    assert peer.hooks[0].params == {"a": "1", "B": "x y"}


async def test_fetch_returns_the_document_or_says_why_not(peer: Peer, webhooks: Webhooks) -> None:
    assert await webhooks.fetch(Hook(f"{peer.http}/t"), {}) == b"<Response/>"
    peer.answer = lambda _: web.Response(status=404)
    with pytest.raises(FetchError):
        await webhooks.fetch(Hook(f"{peer.http}/t"), {})


async def test_a_document_is_read_to_its_end_or_its_bound(peer: Peer, webhooks: Webhooks) -> None:
    async def segments(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part
            await asyncio.sleep(0.05)  # so that the next part does not leave with this one

    peer.answer = lambda _: web.Response(body=segments(b"<Resp", b"onse/>"))
    assert await webhooks.fetch(Hook(f"{peer.http}/t"), {}) == b"<Response/>"
    half = bytes(DOCUMENT_BYTES_MAX)
    peer.answer = lambda _: web.Response(body=segments(half, half))
    assert len(await webhooks.fetch(Hook(f"{peer.http}/t"), {})) == DOCUMENT_BYTES_MAX + 1


async def test_the_log_can_be_emptied(webhooks: Webhooks) -> None:
    webhooks.log_dropped("status", Hook("http://h/"), {})
    assert attempts(webhooks) == [(0, 0, "dropped")]
    webhooks.clear()
    assert webhooks.deliveries() == []


def test_times_are_written_as_twilio_writes_them() -> None:
    at_ns = 1_732_838_979_602_648_368
    assert iso8601(at_ns) == "2024-11-29T00:09:39.602648368Z"
    assert rfc2822(at_ns) == "Fri, 29 Nov 2024 00:09:39 +0000"


def test_identifiers_are_two_letters_and_32_hex_digits() -> None:
    assert re.fullmatch(r"CA[0-9a-f]{32}", new_sid("CA"))
    assert new_sid("CA") != new_sid("CA")


async def test_a_task_that_fails_is_logged_and_the_rest_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = Tasks()
    done = asyncio.Event()

    async def fail() -> None:
        done.set()
        raise ValueError("planned")

    async def wait() -> None:
        await asyncio.Event().wait()

    tasks.spawn(fail())
    tasks.spawn(wait())
    await done.wait()
    await tasks.stop()
    assert "background task failed" in caplog.text
