"""Spans reach a real collector, or are dropped and counted; nobody waits for either."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from gateway.telemetry import span_exporter, spans
from gateway.telemetry.otlp import Encoder
from gateway.telemetry.span_exporter import BATCH_MAX, WAITING_MAX, SpanExporter
from gateway.telemetry.spans import TraceSpan
from tests.gateway.telemetry.collector import collecting

NOWHERE = "http://127.0.0.1:1"
"""Nobody listens on this port."""


def span(number=0):
    return TraceSpan(spans.HOLD, b"t" * 16, number.to_bytes(8), b"p" * 8, 1, 2)


@contextlib.asynccontextmanager
async def exporting(url, **options):
    options = {"interval_s": 0.01, **options}
    exporter = SpanExporter(f"{url}/v1/traces", {"Authorization": "s3cret"}, Encoder({}), **options)
    exporter.start()
    try:
        yield exporter
    finally:
        await exporter.stop()


async def test_spans_come_in_order_in_requests_of_a_bounded_size():
    count = 2 * BATCH_MAX + 1
    async with collecting() as collector, exporting(collector.url) as exporter:
        for number in range(count):
            exporter.take(span(number))
        await collector.wait_for(spans=count)
    assert [int(one.span_id, 16) for one in collector.spans] == [*range(count)]
    assert len(collector.bodies) == 3
    assert exporter.counts == {"sent": count, "dropped": 0}
    for headers in collector.asked:
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["Authorization"] == "s3cret"


@pytest.mark.parametrize("status", sorted(span_exporter.RETRYABLE))
async def test_what_was_not_taken_is_sent_again(status, monkeypatch):
    monkeypatch.setattr(span_exporter, "PAUSE_S", 0.02)
    with capture_logs() as lines:
        async with collecting(status=status) as collector, exporting(collector.url) as exporter:
            exporter.take(span(1))
            await collector.wait_for(asked=3)
            collector.status = 200
            await collector.wait_for(spans=1)
    assert exporter.counts == {"sent": 1, "dropped": 0}
    assert [line["event"] for line in lines] == ["traces not taken", "traces are taken again"]
    assert lines[0]["failure"] == f"status {status}"


@pytest.mark.parametrize("status", [307, 400, 401, 404, 413, 500])
async def test_what_is_refused_is_dropped_and_said_once(status):
    with capture_logs() as lines:
        async with collecting(status=status) as collector:
            collector.headers = {"Location": f"{collector.url}/v1/traces"}
            async with exporting(collector.url) as exporter:
                for number in range(BATCH_MAX + 1):
                    exporter.take(span(number))
                await collector.wait_for(asked=1)
            # The stop has tried what was left, once.
            assert len(collector.asked) == 2
    assert exporter.counts == {"sent": 0, "dropped": BATCH_MAX + 1}
    assert [line["event"] for line in lines] == ["traces not taken"]


async def test_a_collector_that_is_away_costs_spans_and_no_more():
    with capture_logs() as lines:
        async with exporting(NOWHERE) as exporter:
            for number in range(WAITING_MAX + 7):
                exporter.take(span(number))
            assert exporter.counts["dropped"] == 7
    assert exporter.counts == {"sent": 0, "dropped": WAITING_MAX + 7}
    (line,) = lines
    assert (line["event"], line["failure"]) == ("traces not taken", "ClientConnectorError")
    assert "s3cret" not in str(line)


async def test_a_collector_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(span_exporter, "PAUSE_S", 0.02)
    async with (
        collecting(hangs=True) as collector,
        exporting(collector.url, timeout_s=0.05, flush_s=0.1) as exporter,
    ):
        exporter.take(span(1))
        await collector.wait_for(asked=2)
        assert exporter.counts == {"sent": 0, "dropped": 0}
    assert exporter.counts == {"sent": 0, "dropped": 1}


async def test_a_stop_ends_while_a_collector_hangs():
    """By its own bound and not by that of the request, which is an hour here."""
    async with collecting(hangs=True) as collector:
        exporter = SpanExporter(
            f"{collector.url}/v1/traces", {}, Encoder({}), timeout_s=3600, flush_s=0.1
        )
        exporter.start()
        for number in range(3):
            exporter.take(span(number))
        async with asyncio.timeout(60):
            await exporter.stop()
        assert exporter.counts == {"sent": 0, "dropped": 3}
        assert len(collector.asked) == 1
        # Once more, and without ever having begun.
        await exporter.stop()
        await SpanExporter("", {}, Encoder({})).stop()


async def test_what_waits_leaves_at_the_stop_and_what_was_under_way_once_more():
    async with collecting(hangs=True) as collector:
        async with exporting(collector.url) as exporter:
            exporter.take(span(1))
            await collector.wait_for(asked=1)
            exporter.take(span(2))
            collector.hangs = False
        assert [int(one.span_id, 16) for one in collector.spans] == [1, 2]
        assert exporter.counts == {"sent": 2, "dropped": 0}


async def test_pauses_grow_and_a_collector_may_ask_for_one_within_bounds(monkeypatch):
    async with collecting(status=503) as collector:
        exporter = SpanExporter(f"{collector.url}/v1/traces", {}, Encoder({}))
        exporter.take(span(1))
        pauses = []
        async with exporter._session() as session:
            for after in ("", "", "", "7", "86400", "-1", "Fri, 31 Dec 1999 23:59:59 GMT", "9" * 9):
                collector.headers = {"Retry-After": after}
                await exporter._send(session)
                pauses.append(exporter._pause_s)
                if after == "86400":
                    exporter._pause_s = 0.0
        assert pauses == [1.0, 2.0, 4.0, 8.0, 60.0, 1.0, 2.0, 4.0]


async def test_of_those_that_come_while_a_request_fails_the_newest_stay():
    async with collecting(status=503) as collector:
        exporter = SpanExporter(f"{collector.url}/v1/traces", {}, Encoder({}))
        async with exporter._session() as session:
            for number in range(WAITING_MAX):
                exporter.take(span(number))
            sending = asyncio.ensure_future(exporter._send(session))
            await collector.wait_for(asked=1)
            for number in range(BATCH_MAX):
                exporter.take(span(WAITING_MAX + number))
            await sending
    assert len(exporter._waiting) + exporter.counts["dropped"] == WAITING_MAX + BATCH_MAX
    assert len(exporter._waiting) == WAITING_MAX


async def test_a_span_that_cannot_be_written_costs_its_batch_and_no_other():
    async with collecting() as collector:
        with capture_logs() as lines:
            async with exporting(collector.url) as exporter:
                # More than the protocol's 64 bits.
                exporter.take(TraceSpan(spans.HOLD, b"t" * 16, b"s" * 8, b"", 1, 2**64))
                while not exporter.counts["dropped"]:
                    await asyncio.sleep(0.01)
                exporter.take(span(2))
                await collector.wait_for(spans=1)
    assert exporter.counts == {"sent": 1, "dropped": 1}
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("traces not written", "error")


async def test_a_collector_is_tried_without_a_span():
    async with collecting() as collector:
        exporter = SpanExporter(f"{collector.url}/v1/traces", {}, Encoder({"service.name": "a"}))
        assert await exporter.reach() == ""
        assert (collector.spans, len(collector.bodies)) == ([], 1)
        collector.status = 404
        assert await exporter.reach() == "status 404"
    assert await exporter.reach() == "ClientConnectorError"
