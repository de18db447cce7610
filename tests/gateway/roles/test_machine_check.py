"""What `caller check` says of the machine: its clock, and how much a process may hold open."""

import resource
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gateway.roles import descriptors, machine_check
from gateway.roles.machine_check import ahead_s, clock_finding, descriptor_limit
from gateway.settings_variables import from_mapping
from tests.tcp_server import tcp_server
from tests.valkey import free_port

TOLD = datetime(2026, 12, 2, 4, 0, 7, tzinfo=UTC)


def settings_of(**values):
    return from_mapping({f"CALLER_{name}": str(value) for name, value in values.items()})


def serving(date):
    """Return a server that says what time it is, or nothing of it."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 404 X\r\n{date}Content-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    return tcp_server(serve)


def dated(moment):
    return f"Date: {format_datetime(moment, usegmt=True)}\r\n"


async def clock_of(clock, **values):
    found = await machine_check.findings(settings_of(**values), lambda: clock)
    return [each for each in found if each.subject == "clock"]


@pytest.mark.parametrize(
    ("before_s", "after_s", "ahead"),
    [
        (0, 0.2, 0),
        # Its date may be of the second's beginning or end, and of any moment while it was asked.
        (0.99, 1.2, 0),
        (-3, 0, 0),
        (-9, 9, 0),
        (6, 6.1, 5),
        (31, 33, 30),
        (-33, -31, -31),
    ],
)
def test_a_clock_is_off_by_as_much_as_is_certain(before_s, after_s, ahead):
    before, after = (TOLD + timedelta(seconds=each) for each in (before_s, after_s))
    assert ahead_s(before, TOLD, after) == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("off_s", "words", "verdict"),
    [
        (5.0, "", "ok"),
        (-5.0, "", "ok"),
        (5.1, "5 s ahead of that of api.twilio.com", "warning"),
        (-86_400, "86400 s behind that of api.twilio.com", "failed"),
    ],
)
def test_more_than_five_seconds_are_told_with_what_to_do(off_s, words, verdict):
    finding = clock_finding("api.twilio.com", off_s)
    assert (finding.subject, finding.verdict) == ("clock", verdict)
    assert (words in finding.text, "timedatectl set-ntp true" in finding.text) == (
        True,
        bool(words),
    )


@pytest.mark.parametrize(
    ("off_s", "verdict"),
    [(299.0, "warning"), (-300.0, "warning"), (301.0, "failed"), (-86_400.0, "failed")],
)
def test_a_clock_by_which_signed_webhooks_are_too_old_fails(off_s, verdict):
    finding = clock_finding("api.twilio.com", off_s)
    assert (finding.verdict, finding.is_away) == (verdict, False)
    assert ("neither webhooks nor codes" in finding.text) == (verdict == "failed")


async def test_carrier_and_payment_service_are_asked_and_the_worse_is_told():
    async with serving(dated(TOLD)) as carrier, serving(dated(TOLD - timedelta(hours=1))) as cards:
        asked = {"CARRIER_URL": f"http://127.0.0.1:{carrier}"}
        (right,) = await clock_of(TOLD, **asked)
        assert right.text == f"Agrees with that of 127.0.0.1:{carrier}."
        # Without a key the service is not used.
        asked["STRIPE_URL"] = f"http://127.0.0.1:{cards}"
        assert (await clock_of(TOLD, **asked)) == [right]
        (wrong,) = await clock_of(TOLD, **asked, STRIPE_API_KEY="sk_test_a")
    assert f"is 3599 s ahead of that of 127.0.0.1:{cards}. Let it be set by NTP" in wrong.text


@pytest.mark.parametrize("date", ["", "Date: noon\r\n", "Date: \r\n"])
async def test_where_nobody_says_what_time_it_is_that_is_told(date):
    async with serving(date) as port:
        (silent,) = await clock_of(TOLD, CARRIER_URL=f"http://127.0.0.1:{port}")
    (gone,) = await clock_of(TOLD, CARRIER_URL=f"http://127.0.0.1:{(away := free_port())}")
    for found, at in ((silent, port), (gone, away)):
        assert found.verdict == "ok"
        assert found.text.startswith(f"Not compared: 127.0.0.1:{at} did not say what time it is.")


@pytest.mark.parametrize("hard", [1_024, 4_096])
def test_a_limit_below_what_the_calls_need_is_told_with_the_line_to_write(monkeypatch, hard):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    finding = descriptor_limit(settings_of(CALLS_MAX=2_000))
    needed = descriptors.needed(2_000)
    assert needed >= 3 * 2_000 + 4_096
    assert (finding.is_weak, finding.is_fatal) == (True, False)
    assert f"may hold {hard} files" in finding.text
    for line in (f"LimitNOFILE={needed}", f"--ulimit nofile={needed}", f"* hard nofile {needed}"):
        assert line in finding.text
    # What it says is enough.
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, needed))
    assert descriptor_limit(settings_of(CALLS_MAX=2_000)).verdict == "ok"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    assert descriptor_limit(settings_of(CALLS_MAX=2_000)).verdict == "ok"
