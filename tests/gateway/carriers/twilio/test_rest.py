"""Placing and ending calls over REST: on the simulated carrier, and on sockets that misbehave."""

import asyncio
import contextlib
import json
import time

import pytest
from structlog.testing import capture_logs

from gateway.call.carrier_status import CarrierState
from gateway.carriers.twilio.hooks import CallHooks
from gateway.carriers.twilio.markup import WEBHOOK_OVERRIDES
from gateway.carriers.twilio.refusals import refusal
from gateway.carriers.twilio.rest import TwilioCarrier
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.ports import DialOrder
from simulators.carrier.signing import split_overrides
from tests.simulators.carrier.conftest import peer, start
from tests.simulators.carrier.peer import ACCOUNT, FROM, TOKEN, until
from tests.tcp_server import tcp_server
from tests.valkey import free_port

__all__ = ["peer", "start"]

ECHO = "+15005551000"
SILENT = "+15005551009"


class Desk:
    """A carrier on the simulated one, and what that one says."""

    def __init__(self, simulated, carrier):
        self.simulated = simulated
        self.carrier = carrier
        self.peer = simulated.peer

    def order(self, to=ECHO, call_id="c1"):
        return DialOrder(
            call_id=call_id,
            destination=to,
            ring_timeout_s=30,
            time_limit_s=600,
        )

    async def fault(self, **rest):
        reply = await self.simulated.control.put("/faults", json={"rest": rest})
        assert reply.is_success, reply.text

    async def calls(self):
        """All calls that the carrier knows, by their ids."""
        found = await asyncio.to_thread(self.simulated.client.calls.list)
        return [call.sid for call in found]


def hooks_at(media_url, http):
    """Return the same addresses for each call, and its own token."""
    return lambda call_id: CallHooks(
        stream_url=media_url,
        stream_status_url=f"{http}/stream",
        status_url=f"{http}/status",
        reattach_url=f"{http}/reattach",
        token=f"{call_id}.secret",
    )


NOWHERE = hooks_at("wss://calls.example.com/media", "https://calls.example.com")


def carrier_at(url, *, timeout_s=5.0, username=ACCOUNT, password=TOKEN, hooks=NOWHERE):
    return TwilioCarrier(
        base_url=url,
        account_sid=ACCOUNT,
        username=username,
        password=password,
        caller_id=FROM,
        timeout_s=timeout_s,
        hooks=hooks,
    )


@contextlib.asynccontextmanager
async def carrier_on(url, **changes):
    carrier = carrier_at(url, **changes)
    try:
        yield carrier
    finally:
        await carrier.close()


@pytest.fixture
async def desk(start):
    async with start() as simulated:
        hooks = hooks_at(simulated.peer.media_url, simulated.peer.http)
        async with carrier_on(simulated.service.url, hooks=hooks) as carrier:
            yield Desk(simulated, carrier)


async def until_over(desk, sid):
    """Wait for the end of a call, however it ends."""
    async with asyncio.timeout(8):
        while (await desk.simulated.look(sid))["ended_at_ns"] is None:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def server_that(serve):
    """Listen on a port, and do this with every connection; yields the URL."""
    async with tcp_server(serve) as port:
        yield f"http://127.0.0.1:{port}"


def answering(status, body):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return serve


async def silent(reader, writer):
    await reader.read()


async def hanging_up(reader, writer):
    await reader.readuntil(b"\r\n\r\n")


# Placing.


async def test_a_call_is_placed_as_ordered(desk):
    sid = await desk.carrier.place(desk.order())
    assert sid.startswith("CA")
    media = await desk.peer.media()
    assert media.start["start"]["customParameters"] == {"token": "c1.secret"}
    await until(lambda: "in-progress" in desk.peer.statuses())
    assert desk.peer.statuses()[:2] == ["initiated", "ringing"]
    call = await desk.simulated.fetch(sid)
    assert (call.to, call._from) == (ECHO, FROM)


async def test_busy_signals_of_the_api_are_waited_out(desk):
    await desk.fault(status=429, count=2, operation="create")
    assert await desk.carrier.place(desk.order())
    assert len(await desk.calls()) == 1


async def test_an_api_that_stays_busy_is_given_up(desk):
    await desk.fault(status=429, count=99, operation="create")
    with pytest.raises(CarrierError) as caught:
        await desk.carrier.place(desk.order())
    assert (caught.value.cause, caught.value.status) == (Cause.SWITCH_CONGESTION, 429)
    assert caught.value.retryable
    assert await desk.calls() == []


@pytest.mark.parametrize(
    ("number", "cause", "code"),
    [
        ("+15005550001", Cause.INVALID_NUMBER_FORMAT, 21217),
        ("+15005550002", Cause.UNALLOCATED_NUMBER, 21214),
        ("+15005550003", Cause.OUTGOING_CALL_BARRED, 21215),
        ("+15005550004", Cause.OUTGOING_CALL_BARRED, 21216),
        ("+15", Cause.INVALID_NUMBER_FORMAT, 21211),
    ],
)
async def test_a_refusal_names_its_cause(desk, number, cause, code):
    """Twilio's magic numbers."""
    with pytest.raises(CarrierError) as caught:
        await desk.carrier.place(desk.order(number))
    error = caught.value
    assert (error.cause, error.carrier_code, error.status) == (cause, code, 400)
    assert not error.retryable
    assert not error.ambiguous
    assert number not in str(error)


async def test_a_server_error_may_have_placed_the_call_and_is_not_repeated(desk):
    await desk.fault(status=500, count=1, operation="create")
    with pytest.raises(CarrierError) as caught:
        await desk.carrier.place(desk.order())
    assert caught.value.ambiguous
    assert not caught.value.retryable
    assert await desk.calls() == [], "one attempt, which this time did nothing"


async def test_wrong_credentials_are_our_fault_not_the_numbers(desk):
    async with carrier_on(desk.simulated.service.url, password="wrong") as carrier:
        with pytest.raises(CarrierError) as caught:
            await carrier.place(desk.order())
    assert (caught.value.cause, caught.value.status) == (Cause.NETWORK_OUT_OF_ORDER, 401)
    assert not caught.value.ambiguous


async def test_a_late_answer_is_ambiguous_and_nothing_is_repeated(desk):
    async with carrier_on(desk.simulated.service.url, timeout_s=0.2) as carrier:
        await desk.fault(hold_s=5.0, count=1, operation="create")
        started = time.monotonic()
        with pytest.raises(CarrierError) as caught:
            await carrier.place(desk.order())
        assert 0.15 < time.monotonic() - started < 3, "the time-out is real, and not repeated"
        assert caught.value.ambiguous
        assert caught.value.cause is Cause.RECOVERY_ON_TIMER_EXPIRE
        assert len(await desk.calls()) == 1


async def test_no_attempt_begins_after_the_time_of_one_request(desk):
    asked = []

    async def busy(reader, writer):
        asked.append(time.monotonic())
        await answering(429, b'{"code":20429,"message":"","status":429}')(reader, writer)

    async with server_that(busy) as url, carrier_on(url, timeout_s=0.5) as carrier:
        with pytest.raises(CarrierError):
            await carrier.place(desk.order())
    # At 0 and 0.25 s; the next would have begun at 0.75 s.
    assert len(asked) <= 2


@pytest.mark.parametrize("code", [21210, 21212, 21213, 21606])
async def test_a_caller_id_that_is_not_ours_is_named_to_the_operator(desk, code):
    body = b'{"code":%d,"message":"From +15005550009","status":400}' % code
    async with server_that(answering(400, body)) as url, carrier_on(url) as carrier:
        with pytest.raises(CarrierError) as caught:
            await carrier.place(desk.order())
    assert caught.value.cause is Cause.FACILITY_NOT_SUBSCRIBED
    assert "CALLER_CALLER_ID must be a number of this Twilio account" in str(caught.value)
    assert "+1500" not in str(caught.value)


async def test_callbacks_are_to_be_repeated_whatever_failed(desk):
    """Twilio makes one more attempt by default, and only where it could not connect."""
    await desk.carrier.place(desk.order("+15005551004"))
    await until(lambda: "busy" in desk.peer.statuses())
    async with asyncio.timeout(8):
        while not (await desk.simulated.control.get("/webhooks")).json()["deliveries"]:
            await asyncio.sleep(0.01)
    deliveries = (await desk.simulated.control.get("/webhooks")).json()["deliveries"]
    assert {delivery["url"] for delivery in deliveries} == {f"{desk.peer.http}/status"}
    target, connection = split_overrides("https://a/b" + WEBHOOK_OVERRIDES)
    assert (target, connection.retries, connection.policy) == ("https://a/b", 3, {"all"})
    attempts_ms = (1 + connection.retries) * (connection.read_ms)
    assert attempts_ms <= connection.total_ms + connection.read_ms


# Ending and asking.


async def test_a_call_is_ended_in_whatever_state_and_as_often_as_asked(desk):
    sid = await desk.carrier.place(desk.order())
    await desk.peer.media()
    for _ in range(3):
        assert (await desk.carrier.hang_up(sid)).carrier_call_id == sid
    await desk.simulated.over(sid)
    assert (await desk.carrier.hang_up(sid)).state is CarrierState.COMPLETED


async def test_a_call_that_has_not_been_dialled_is_ended(start):
    async with (
        start(dispatch_delay_s=5.0) as simulated,
        carrier_on(simulated.service.url) as carrier,
    ):
        desk = Desk(simulated, carrier)
        sid = await carrier.place(desk.order())
        await carrier.hang_up(sid)
        await until_over(desk, sid)
        assert (await carrier.hang_up(sid)).is_terminal
        assert desk.peer.medias == []


async def test_a_call_that_ended_by_itself_is_reported_as_it_is(desk):
    sid = await desk.carrier.place(desk.order("+15005551004"))
    await desk.simulated.over(sid, "busy")
    assert (await desk.carrier.hang_up(sid)).state is CarrierState.BUSY
    assert (await desk.carrier.fetch(sid)).state is CarrierState.BUSY


@pytest.mark.parametrize("sid", ["CA" + "9" * 32, None, ""])
async def test_a_reply_about_another_call_proves_nothing(sid):
    body = json.dumps({"sid": sid, "status": "completed", "duration": "7"}).encode()
    async with server_that(answering(200, body)) as url, carrier_on(url) as carrier:
        for ask in (carrier.fetch, carrier.hang_up):
            status = await ask("CA" + "1" * 32)
            assert (status.state, status.seconds) == (CarrierState.UNKNOWN, None)


async def test_a_call_that_the_carrier_does_not_show_is_unknown_and_not_over(desk):
    """Reads are eventually consistent: a call that was just placed may be answered by 404."""
    unknown = "CA" + "0" * 32
    for ask in (desk.carrier.fetch, desk.carrier.hang_up):
        status = await ask(unknown)
        assert (status.state, status.event()) == (CarrierState.UNKNOWN, None)
        assert not status.is_terminal


async def test_a_live_call_that_is_not_shown_yet_is_ended_by_asking_again(desk):
    sid = await desk.carrier.place(desk.order())
    await desk.peer.media()
    await desk.fault(status=404, count=2)
    assert not (await desk.carrier.hang_up(sid)).is_terminal
    await desk.carrier.hang_up(sid)
    await until_over(desk, sid)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_ending_is_repeated_over_faults(desk, status):
    sid = await desk.carrier.place(desk.order())
    await desk.fault(status=status, count=2, operation="update")
    started = time.monotonic()
    await desk.carrier.hang_up(sid)
    assert time.monotonic() - started > 0.5, "it waited between its attempts"
    await until_over(desk, sid)


async def test_ending_is_not_repeated_where_that_is_hopeless(desk):
    sid = await desk.carrier.place(desk.order())
    await desk.fault(status=401, count=1, operation="update")
    with pytest.raises(CarrierError):
        await desk.carrier.hang_up(sid)
    await desk.carrier.hang_up(sid)
    await until_over(desk, sid)


async def test_the_state_and_duration_of_a_call(desk):
    sid = await desk.carrier.place(desk.order())
    await desk.peer.media()
    assert (await desk.carrier.fetch(sid)).state is CarrierState.ANSWERED
    await desk.carrier.hang_up(sid)
    await desk.simulated.over(sid)
    status = await desk.carrier.fetch(sid)
    assert status.state is CarrierState.COMPLETED
    assert status.seconds in (1, 2)


# Networks.


async def test_a_refused_connection_is_tried_again_and_certainly_placed_nothing(desk):
    async with carrier_on(f"http://127.0.0.1:{free_port()}") as carrier:
        started = time.monotonic()
        with pytest.raises(CarrierError) as caught:
            await carrier.place(desk.order())
        assert time.monotonic() - started > 1.0, "it waited between its attempts"
    assert caught.value.retryable
    assert not caught.value.ambiguous
    assert caught.value.cause is Cause.NETWORK_OUT_OF_ORDER


@pytest.mark.parametrize(
    "serve",
    [
        hanging_up,
        answering(200, b"<html>"),
        answering(201, b"[]"),
        answering(201, b"{}"),
        answering(502, b"<html>"),
        answering(200, b"\xff"),
    ],
)
async def test_an_answer_that_says_nothing_is_ambiguous(desk, serve):
    async with server_that(serve) as url, carrier_on(url) as carrier:
        with pytest.raises(CarrierError) as caught:
            await carrier.place(desk.order())
    assert caught.value.ambiguous


async def test_a_server_that_never_answers_costs_the_time_out(desk):
    async with server_that(silent) as url, carrier_on(url, timeout_s=0.2) as carrier:
        for ask in (
            carrier.place(desk.order()),
            carrier.fetch("CA1"),
        ):
            started = time.monotonic()
            with pytest.raises(CarrierError):
                await ask
            assert 0.15 < time.monotonic() - started < 3


async def test_a_body_that_never_ends_costs_the_time_out(desk):
    async def drip(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 X\r\nContent-Length: 999\r\n\r\n{")
        await writer.drain()
        await reader.read()

    async with server_that(drip) as url, carrier_on(url, timeout_s=0.2) as carrier:
        started = time.monotonic()
        with pytest.raises(CarrierError):
            await carrier.place(desk.order())
        assert time.monotonic() - started < 3


async def test_at_debug_level_each_request_is_a_line_without_a_number(desk):
    with capture_logs() as lines:
        sid = await desk.carrier.place(desk.order())
        await desk.carrier.fetch(sid)
        await desk.carrier.hang_up(sid)
        with pytest.raises(CarrierError) as refused:
            await desk.carrier.place(desk.order(to="+1"))
    assert {line["log_level"] for line in lines} == {"debug"}
    assert [(line["what"], line["call_id"], line["carrier_call_id"]) for line in lines] == [
        ("to place a call", "c1", ""),
        ("for a call", "", sid),
        ("to end a call", "", sid),
        ("to place a call", "c1", ""),
    ]
    assert [line["failure"] for line in lines] == ["", "", "", str(refused.value)]
    assert [line["carrier_code"] for line in lines] == [0, 0, 0, refused.value.carrier_code]
    assert ECHO not in str(lines)


# What a new account meets.

PENDING, ASSIGNED = "+15005550119", "+15005550118"


@pytest.mark.parametrize(
    ("account", "to", "code", "cause", "sentence"),
    [
        (
            {"trial_numbers": ((ECHO, ASSIGNED),)},
            ECHO,
            573002,
            "FACILITY_NOT_SUBSCRIBED",
            "trial mode",
        ),
        (
            {"trial_numbers": ((PENDING, ""),)},
            PENDING,
            573005,
            "OUTGOING_CALL_BARRED",
            "trial mode",
        ),
        ({"trial_numbers": ((PENDING, ""),)}, ECHO, 21219, "OUTGOING_CALL_BARRED", "trial mode"),
        ({"account_status": "suspended"}, ECHO, 20005, "NETWORK_OUT_OF_ORDER", "No calls"),
        ({"voice_disabled": True}, ECHO, 10005, "NETWORK_OUT_OF_ORDER", "No calls"),
    ],
)
async def test_what_a_new_account_meets_is_explained(start, account, to, code, cause, sentence):
    async with start(**account) as simulated, carrier_on(simulated.service.url) as carrier:
        order = DialOrder(call_id="c1", destination=to, ring_timeout_s=30, time_limit_s=600)
        with pytest.raises(CarrierError) as caught:
            await carrier.place(order)
    error = caught.value
    assert (error.carrier_code, error.cause.name) == (code, cause)
    assert sentence in error.refusal.told["en"]
    # The operator reads Twilio's own words, without anybody's number, and what to do.
    assert error.carrier_text
    assert to not in f"{error} {error.carrier_text}"
    assert "does not accept the Twilio credentials" not in str(error)


async def test_calls_beyond_what_the_account_may_have_at_once_are_told_so(start):
    async with start(live_calls_max=1) as simulated:
        hooks = hooks_at(simulated.peer.media_url, simulated.peer.http)
        async with carrier_on(simulated.service.url, hooks=hooks, timeout_s=0.5) as carrier:
            first, second = (
                DialOrder(call_id=name, destination=SILENT, ring_timeout_s=30, time_limit_s=600)
                for name in ("c1", "c2")
            )
            sid = await carrier.place(first)
            with pytest.raises(CarrierError) as caught:
                await carrier.place(second)
            await carrier.hang_up(sid)
    assert (caught.value.carrier_code, caught.value.cause) == (
        10004,
        Cause.NORMAL_CIRCUIT_CONGESTION,
    )
    assert caught.value.refusal.told["de"].startswith("Alle Leitungen sind belegt.")


async def test_a_number_that_is_assigned_to_its_recipient_is_called_on_trial(start):
    async with start(trial_numbers=((ECHO, FROM),)) as simulated:
        hooks = hooks_at(simulated.peer.media_url, simulated.peer.http)
        async with carrier_on(simulated.service.url, hooks=hooks) as carrier:
            order = DialOrder(call_id="c1", destination=ECHO, ring_timeout_s=30, time_limit_s=600)
            assert (await carrier.place(order)).startswith("CA")


# What fails once it was taken.


@pytest.mark.parametrize(("to", "code"), [("+15005551025", 13224), ("+15005551026", 13227)])
async def test_a_call_that_fails_later_is_explained_by_its_notifications(start, to, code):
    async with start(ring_s=0) as simulated:
        hooks = hooks_at(simulated.peer.media_url, simulated.peer.http)
        async with carrier_on(simulated.service.url, hooks=hooks) as carrier:
            order = DialOrder(call_id="c1", destination=to, ring_timeout_s=30, time_limit_s=600)
            sid = await carrier.place(order)
            async with asyncio.timeout(20):
                while (await carrier.fetch(sid)).state is not CarrierState.FAILED:
                    await asyncio.sleep(0.02)
            said = await carrier.why_failed(sid)
            with pytest.raises(CarrierError):
                await carrier.why_failed("CA" + "0" * 32)
    assert said == refusal(code, said.text)
    assert said.text.startswith("Dial: ")


async def test_a_call_of_which_nothing_is_noted_stays_unexplained(start):
    async with start() as simulated:
        hooks = hooks_at(simulated.peer.media_url, simulated.peer.http)
        async with carrier_on(simulated.service.url, hooks=hooks) as carrier:
            order = DialOrder(call_id="c1", destination=SILENT, ring_timeout_s=30, time_limit_s=600)
            sid = await carrier.place(order)
            assert await carrier.why_failed(sid) is None
