"""Refused signatures in the log: by source, once a minute with a count, however many there are."""

import pytest
from structlog.testing import capture_logs

from gateway.carriers.twilio.signature import SIGNATURE_HINT
from gateway.logs.refused_signatures import (
    OTHERS,
    SOURCES_MAX,
    RefusedSignatures,
)


@pytest.fixture
def refused(stage):
    return RefusedSignatures(stage.ticker)


@pytest.fixture
def lines():
    with capture_logs() as written:
        yield written


def told(lines):
    return [(line["source"], line["count"]) for line in lines]


async def test_the_first_is_told_at_once_and_says_what_to_check(refused, lines):
    refused.note("192.0.2.7:41000", "callback", SIGNATURE_HINT)
    (line,) = lines
    assert (line["event"], line["source"], line["count"]) == ("signature refused", "192.0.2.7", 1)
    assert (line["what"], line["log_level"]) == ("callback", "warning")
    assert "CALLER_TWILIO_AUTH_TOKEN" in line["hint"]


@pytest.mark.thorough
async def test_one_line_a_minute_with_a_count_also_when_it_is_over(stage, refused, lines):
    for _ in range(90):
        refused.note("192.0.2.7", "callback", "")
        await stage.run(1)
    assert told(lines) == [("192.0.2.7", 1), ("192.0.2.7", 59)]
    await stage.run(60)
    assert told(lines)[2:] == [("192.0.2.7", 30)]
    await stage.run(600)
    assert sum(count for _, count in told(lines)) == 90
    assert len(lines) == 3


async def test_who_was_quiet_is_told_at_once_again(stage, refused, lines):
    refused.note("192.0.2.7", "callback", "")
    await stage.run(200)
    assert refused._sources == {}
    refused.note("192.0.2.7", "callback", "")
    assert told(lines) == [("192.0.2.7", 1)] * 2


async def test_sources_are_bounded_and_the_rest_are_counted_together(stage, refused, lines):
    for _ in range(3):
        for number in range(1000):
            refused.note(f"2001:db8:{number:x}::1", "media handshake", "")
    assert len(refused._sources) == SOURCES_MAX + 1
    assert len(lines) == SOURCES_MAX + 1
    await stage.run(61)
    assert len(lines) == 2 * (SOURCES_MAX + 1)
    assert sum(count for _, count in told(lines)) == 3000
    assert dict(told(lines))[OTHERS] == 3 * (1000 - SOURCES_MAX) - 1


async def test_a_network_of_ipv6_is_one_source(refused, lines):
    for number in range(10):
        refused.note(f"[2001:db8::{number}]:443", "callback", "")
    assert told(lines) == [("2001:db8::", 1)]
