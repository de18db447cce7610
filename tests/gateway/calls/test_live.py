"""The live calls of a node: who may open a media socket, whose call it is, and the drain."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.call.machine import State
from gateway.call.resume_token import resume_token
from gateway.calls import live as calls_module
from gateway.calls.live import Calls
from gateway.connection_counters import ConnectionCounters
from gateway.embed.terms import VisitorTerms
from gateway.limits.velocity import LIMITS, LimitRefusal, Use, call_uses
from gateway.limits.velocity_limits import (
    LONG_CALLS,
    RANGE_LONG_CALLS,
    RANGE_SHORT_CALLS,
    SHORT_CALLS,
)
from gateway.ports import Acceptance, HandshakeRequest
from gateway.ports import Refusal as Refused
from tests.gateway.calls.grants import Grants
from tests.gateway.recording import RecordingConnection
from tests.gateway.sound.test_media_path import Endpoint
from tests.gateway.stage import CENT, CREDIT, SILENT_FRAME, Stage, order
from tests.limits import limits

TERMS = VisitorTerms(
    button_id="b1", key="pk", seconds_max=60, calls_max=2, visitor="v1", network="n1"
)
BROWSER, CARRIER = "/n/n1/media/browser", "/n/n1/media/carrier"
PAGE = "https://calls.example.com"


class Tokens:
    """`gateway.ports.CallTokens` in memory."""

    ttl_s = 60

    def __init__(self):
        self.orders = {}
        self.is_away = False
        self.delay_s = 0.0
        self.fault = None
        self.refusal = ""

    async def issue(self, order):
        token = f"ct_{len(self.orders)}"
        self.orders[token] = order
        return token

    async def look(self, token):
        return (self.orders[token], 42) if token in self.orders else None

    async def redeem(self, token):
        await asyncio.sleep(self.delay_s)
        if self.fault:
            raise self.fault
        if self.is_away:
            raise StoreUnavailableError("away")
        order = self.orders.pop(token, None)
        return None if order is None else (order, self.refusal)


class Velocity:
    """`gateway.ports.Velocity` that refuses what the test says."""

    def __init__(self):
        self.refuses = {}
        self.used, self.looked, self.outcomes = [], [], []
        self.delay_s = 0.0
        self.refusals = {}

    async def hit(self, uses):
        await asyncio.sleep(self.delay_s)
        self.used += uses
        return self._refusal(uses)

    async def look(self, uses):
        self.looked += uses
        return self._refusal(uses)

    async def count(self, outcome):
        self.outcomes.append(outcome)

    def _refusal(self, uses):
        refused = [u.limit for u in uses if u.limit in self.refuses]
        return LimitRefusal(LIMITS[refused[0]], self.refuses[refused[0]]) if refused else None


class Stream:
    """`gateway.ports.CarrierLeg` that has no wire: the test is the carrier."""

    def __init__(self, clock_ns):
        self.clock_ns = clock_ns
        self.counters = ConnectionCounters()
        self.listener = None
        self.is_closed = False
        self.on_audio = lambda payload, at_ms: None
        self.on_mark = lambda name: None

    def speaks(self, frame):
        self.counters.last_in_ns = self.clock_ns()
        self.on_audio(frame, None)

    def send_audio(self, payload):
        pass

    def send_mark(self, name):
        pass

    def clear(self):
        pass

    def close(self):
        self.is_closed = True


class Streams:
    """`gateway.ports.CarrierStreams` that takes one header's word for anything."""

    path = CARRIER
    signature_hint = "Check the signatures."

    def __init__(self):
        self.bind = None

    def route(self, request, bind):
        self.bind = bind
        if request.headers.get("signature") != "signed":
            return Refused(403, "Not signed.")
        return Acceptance(lambda _: None, is_authenticated=True)


class Node:
    """`Calls` with what it needs, and the two ends of its sockets."""

    def __init__(self, stage: Stage, **changes):
        self.stage = stage
        self.tokens, self.velocity, self.streams = Tokens(), Velocity(), Streams()
        self.grants = Grants()
        self.calls = Calls(
            stage.services(**changes).settings,
            gate=stage.gate,
            carrier=stage.carrier,
            tokens=self.tokens,
            velocity=self.velocity,
            streams=self.streams,
            metering=stage.metering,
            ticker=stage.ticker,
            end_unmatched=lambda *ended: stage.strays.append(ended),
            found=lambda *found: stage.strays.append(found),
            endpoint=stage.endpoint,
            grants=self.grants,
        )

    def handshake(self, path, query="", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.calls.route(HandshakeRequest(path, query, named, "192.0.2.1:5060"))

    def opens(self, path, query="", **headers):
        acceptance = self.handshake(path, query, **headers)
        assert isinstance(acceptance, Acceptance), acceptance
        connection = RecordingConnection(self.stage.clock_ns)
        acceptance.attach(connection)
        return connection

    async def starts(self, origin=PAGE, **changes):
        """Open a browser socket and start a call on it."""
        connection = self.opens(BROWSER, origin=origin)
        connection.say(
            {"type": "start", "version": 1, "token": await self.tokens.issue(order(**changes))}
        )
        await self.stage.run(0.05)
        return connection

    def resumes(self, ready, origin=PAGE, **changes):
        """Open a browser socket and take up the call that this `ready` was of."""
        connection = self.opens(BROWSER, origin=origin)
        message = {"type": "resume", "version": 1, "call_id": ready["call_id"]}
        connection.say({**message, "token": ready["resume_token"], **changes})
        return connection

    def begins_stream(self, call_id=None, carrier_call_id="CA1"):
        """Let the carrier open a stream of a call, of the one placed last unless it is named."""
        self.opens(CARRIER, signature="signed")
        stream = Stream(self.stage.clock_ns)
        placed = self.stage.carrier.placed[-1].call_id
        stream.listener = self.streams.bind(stream, call_id or placed, carrier_call_id)
        return stream

    @property
    def bridge(self):
        (bridge,) = self.calls._calls.values()
        return bridge


@pytest.fixture
def node(stage):
    return Node(stage)


def refusal_of(connection):
    return connection.of("error")[0]["code"], connection.closed[0]


# Handshakes.


async def test_only_the_two_media_paths_are_served(stage, node):
    for path in ("/", BROWSER + "/", "/n/n2/media/browser", "/n/n1/media/other"):
        assert node.handshake(path).status == 404


@pytest.mark.parametrize("origin", [PAGE, ""])
async def test_our_own_pages_and_programs_may_call(stage, node, origin):
    assert isinstance(node.handshake(BROWSER, origin=origin), Acceptance)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://calls.example.com", "null", PAGE + ".evil.example"]
)
async def test_foreign_pages_may_not(stage, node, origin):
    assert node.handshake(BROWSER, origin=origin).status == 403


async def test_further_pages_may_be_allowed(stage):
    node = Node(stage, allowed_origins=("https://shop.example",))
    assert isinstance(node.handshake(BROWSER, origin="https://shop.example"), Acceptance)


async def test_the_carriers_adapter_judges_its_handshakes(stage, node):
    opened_ns = stage.clock_ns()
    await stage.run(0.1)
    with capture_logs() as lines:
        assert node.handshake(CARRIER).status == 403
        assert node.handshake(CARRIER, signature="forged").status == 403
    (told,) = [line for line in lines if line["event"] == "signature refused"]
    assert (told["what"], told["source"]) == ("media handshake", "192.0.2.1")
    assert node.calls._services.reachability.is_silent_since(opened_ns)
    assert isinstance(node.handshake(CARRIER, signature="signed"), Acceptance)
    assert not node.calls._services.reachability.is_silent_since(opened_ns)


async def test_sockets_that_wait_to_start_keep_nobody_out(stage):
    node = Node(stage, calls_max=1)
    waiting = [node.opens(BROWSER) for _ in range(10)]
    caller = await node.starts()
    assert caller.kinds == ["ready"]
    assert not any(connection.is_authenticated for connection in waiting)


async def test_a_socket_is_a_strangers_until_its_token_is_good(stage, node):
    caller = node.opens(BROWSER)
    caller.say({"type": "ping", "id": 1})
    assert not caller.is_authenticated
    caller.say({"type": "start", "version": 1, "token": await node.tokens.issue(order())})
    assert not caller.is_authenticated, "the token has not been looked up"
    await stage.run(0.05)
    assert caller.is_authenticated
    for token in ("ct_wrong", ""):
        stranger = node.opens(BROWSER)
        stranger.say({"type": "start", "version": 1, "token": token})
        await stage.run(0.05)
        assert not stranger.is_authenticated


async def test_only_a_good_resume_is_authenticated(stage, node):
    caller = await node.starts()
    ready = caller.messages[0]
    assert not node.resumes(ready, token="wrong").is_authenticated
    assert not node.resumes(ready, call_id="other").is_authenticated
    assert node.resumes(ready).is_authenticated


async def test_the_carriers_signature_is_proof(stage, node):
    assert node.handshake(CARRIER, signature="signed").is_authenticated
    assert not node.handshake(BROWSER).is_authenticated


# Starting.


async def test_a_good_token_starts_a_call(stage, node):
    caller = await node.starts()
    assert caller.kinds == ["ready"]
    assert (len(node.calls), node.bridge.call.state) == (1, State.DIALLING)
    call_id = caller.messages[0]["call_id"]
    assert node.calls.holds(call_id)
    assert node.bridge.call_id == call_id
    shown = await node.calls.show("alice", call_id)
    assert await node.calls.of_account("alice") == [shown]
    began = shown.opened.created_at
    assert await node.calls.of_account("alice", began) == [shown]
    assert await node.calls.of_account("alice", began + timedelta(microseconds=1)) == []
    assert shown.opened == node.bridge.opened
    assert await node.calls.of_account("bob") == []
    assert await node.calls.show("bob", call_id) is await node.calls.end("bob", call_id) is None
    assert node.bridge.call.is_live


async def test_the_carrier_is_told_whose_call_it_is_and_how_long_it_may_take(stage, node):
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    (placed,) = stage.carrier.placed
    assert (placed.call_id, placed.destination) == (call_id, order().destination)
    assert (placed.ring_timeout_s, placed.time_limit_s) == (60, 14_400)


@pytest.mark.parametrize(("cap", "limit_s"), [(90 * CENT, 120), (10**9, 14_400)])
async def test_a_cap_per_call_bounds_the_carrier_too(stage, node, cap, limit_s):
    await node.starts(limits=limits(call=cap))
    (placed,) = stage.carrier.placed
    assert placed.time_limit_s == limit_s


async def test_a_token_works_once(stage, node):
    token = await node.tokens.issue(order())
    seen = []
    for _ in range(2):
        seen.append(node.opens(BROWSER))
        seen[-1].say({"type": "start", "version": 1, "token": token})
        await stage.run(0.05)
    assert seen[0].kinds == ["ready"]
    assert refusal_of(seen[1]) == ("bad_token", 1008)


async def test_a_token_of_another_page_is_refused(stage):
    node = Node(stage, allowed_origins=("https://shop.example",))
    assert (await node.starts(origin="https://shop.example")).kinds == ["ready"]
    connection = node.opens(BROWSER, origin="https://shop.example")
    token = await node.tokens.issue(order(origin=PAGE))
    connection.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.05)
    assert refusal_of(connection) == ("bad_origin", 1008)


async def test_a_program_cannot_use_a_pages_token(stage, node):
    connection = node.opens(BROWSER)
    token = await node.tokens.issue(order(origin=PAGE))
    connection.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.05)
    assert refusal_of(connection) == ("bad_origin", 1008)


async def test_tokens_that_cannot_be_checked(stage, node):
    node.tokens.is_away = True
    assert refusal_of(await node.starts()) == ("store_unavailable", 1013)


async def test_a_fault_of_ours_is_told_and_the_node_lives(stage, node):
    node.tokens.fault = KeyError("ours")
    with capture_logs() as logs:
        assert refusal_of(await node.starts()) == ("internal_error", 1011)
    assert [(line["event"], line["exc_info"]) for line in logs] == [("token not redeemed", True)]
    node.tokens.fault = None
    assert (await node.starts()).kinds == ["ready"]


async def test_a_full_node_refuses(stage):
    node = Node(stage, calls_max=1)
    await node.starts()
    assert refusal_of(await node.starts()) == ("gateway_full", 1013)
    assert len(node.calls) == 1


async def test_a_socket_that_never_starts_is_closed(stage, node):
    connection = node.opens(BROWSER)
    await stage.run(4.9)
    assert connection.closed is None
    await stage.run(0.2)
    assert refusal_of(connection) == ("start_timeout", 1008)


async def test_a_start_that_waits_while_the_process_stands_still_is_not_late(stage, node):
    browser = node.opens(BROWSER)
    await stage.run(1)
    stage.stand_still(8)
    await stage.run(1)
    browser.say({"type": "start", "version": 1, "token": await node.tokens.issue(order())})
    await stage.run(5)
    assert browser.closed is None


async def test_a_socket_that_has_started_is_not_closed_for_that(stage, node):
    node.tokens.delay_s = 6.0
    connection = await node.starts()
    await stage.run(7)
    assert connection.closed is None
    assert connection.kinds[0] == "ready"


async def test_a_caller_who_left_during_the_check_starts_no_call(stage, node):
    node.tokens.delay_s = 1.0
    connection = await node.starts()
    connection.end(1001)
    await stage.run(2)
    assert len(node.calls) == 0
    assert stage.carrier.placed == []


# Taking a call up again.


async def test_a_call_is_taken_up_again_by_its_token(stage, node):
    first = await node.starts()
    node.begins_stream()
    (ready,) = first.of("ready")
    first.end(1006)
    second = node.resumes(ready)
    assert second.kinds == ["ready", "accept", "supervised", "media"]
    assert second.of("ready")[0]["call_id"] == ready["call_id"]
    third = node.resumes(second.of("ready")[0])
    assert second.closed == (1000, "taken up elsewhere")
    assert third.kinds == ["ready", "accept", "supervised", "media"]
    await stage.run(1)
    assert (len(node.calls), len(stage.carrier.placed)) == (1, 1)


async def test_an_old_token_is_refused(stage, node):
    first = await node.starts()
    (ready,) = first.of("ready")
    second = node.resumes(ready)
    assert refusal_of(node.resumes(ready)) == ("bad_resume", 1008)
    assert second.closed is None


@pytest.mark.parametrize(
    "changes",
    [
        {"token": ""},
        {"token": "0"},
        {"token": "0." + "A" * 43},
        {"token": "1{token}"},
        {"token": "{token}A"},
        {"call_id": ""},
        {"call_id": "nobodyscall1"},
    ],
)
async def test_a_forged_token_or_another_call_is_refused(stage, node, changes):
    first = await node.starts()
    (ready,) = first.of("ready")
    changes = {name: text.format(token=ready["resume_token"]) for name, text in changes.items()}
    assert refusal_of(node.resumes(ready, **changes)) == ("bad_resume", 1008)
    assert first.closed is None


async def test_the_token_of_one_call_takes_up_no_other(stage, node):
    (one,), (other,) = [(await node.starts()).of("ready") for _ in range(2)]
    swapped = node.resumes(one, token=other["resume_token"])
    assert refusal_of(swapped) == ("bad_resume", 1008)


async def test_what_another_node_has_signed_is_refused(stage, node):
    (ready,) = (await node.starts()).of("ready")
    key = Node(stage).calls._services.resume_key
    forged = resume_token(key, ready["call_id"], 0)
    assert refusal_of(node.resumes(ready, token=forged)) == ("bad_resume", 1008)


async def test_another_page_cannot_take_a_call_up(stage):
    node = Node(stage, allowed_origins=("https://shop.example",))
    first = await node.starts(origin=PAGE)
    (free,) = first.of("ready")
    assert node.resumes(free, origin="").kinds[0] == "ready", "it was bound to no page"
    bound = node.opens(BROWSER, origin=PAGE)
    token = await node.tokens.issue(order(origin=PAGE))
    bound.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.05)
    (ready,) = bound.of("ready")
    for origin in ("https://shop.example", ""):
        assert refusal_of(node.resumes(ready, origin=origin)) == ("bad_origin", 1008)
    assert bound.closed is None
    assert node.resumes(ready).kinds[0] == "ready"


async def test_another_version_takes_no_call_up(stage, node):
    (ready,) = (await node.starts()).of("ready")
    assert refusal_of(node.resumes(ready, version=2)) == ("bad_message", 4400)
    assert node.resumes(ready).kinds[0] == "ready"


async def test_a_settled_call_is_not_taken_up(stage, node):
    first = await node.starts()
    (ready,) = first.of("ready")
    first.say({"type": "hangup"})
    assert refusal_of(node.resumes(ready)) == ("bad_resume", 1008)
    await stage.until(lambda: not len(node.calls))
    assert refusal_of(node.resumes(ready)) == ("bad_resume", 1008)


async def test_a_running_call_is_taken_up_while_the_node_drains(stage, node):
    first = await node.starts()
    (ready,) = first.of("ready")
    draining = asyncio.create_task(node.calls.drain(30))
    await stage.run(0.5)
    assert first.of("draining") == [{"type": "draining", "seconds_left": 30}]
    first.end(1006)
    second = node.resumes(ready)
    assert second.kinds[0] == "ready"
    assert second.of("draining")[0]["seconds_left"] == 29
    second.say({"type": "hangup"})
    await stage.run(0.5)
    assert draining.done()


async def test_a_full_node_takes_its_own_calls_up(stage):
    node = Node(stage, calls_max=1)
    first = await node.starts()
    first.end(1006)
    assert node.resumes(first.of("ready")[0]).kinds[0] == "ready"


# Checks of the line.


async def test_a_check_is_no_call(stage):
    stage.endpoint = Endpoint()
    node = Node(stage)
    caller = await node.starts(is_check=True)
    assert caller.of("check-ready") == [
        {"type": "check-ready", "version": 1, "seconds": 5, "webrtc": True}
    ]
    caller.speak(b"\x55" * 160)
    assert caller.audio == [b"\x55" * 160]
    assert (len(node.calls), stage.carrier.placed) == (0, [])
    await stage.run(6)
    assert caller.kinds[-1] == "check-result"
    assert caller.closed == (1000, "check ended")
    assert stage.balance() == CREDIT


async def test_an_account_has_a_few_checks_at_once(stage):
    node = Node(stage, account_calls_max=2)
    running = [await node.starts(is_check=True) for _ in range(2)]
    assert refusal_of(await node.starts(is_check=True)) == ("too_many_checks", 1008)
    other = await node.starts(is_check=True, account_id="bob")
    assert other.kinds == ["check-ready"]
    assert (await node.starts()).kinds == ["ready"], "a call is no check"
    running[0].end(1001)
    assert (await node.starts(is_check=True)).kinds == ["check-ready"]


async def test_ended_checks_are_forgotten(stage, node):
    left, hung_up, refused, judged = [await node.starts(is_check=True) for _ in range(4)]
    left.end(1006)
    hung_up.say({"type": "hangup"})
    hung_up.end()
    refused.speak(b"x")
    refused.end()
    assert len(node.calls._checks) == 1
    judged.speak(b"\x55" * 160)
    await stage.run(6)
    assert node.calls._checks == {}
    await stage.run(20)
    assert stage.ticker._deadlines == []


async def test_the_checks_of_a_node_are_bounded(stage):
    node = Node(stage, calls_max=1)
    await node.starts(is_check=True)
    assert refusal_of(await node.starts(is_check=True, account_id="bob")) == ("gateway_full", 1013)


async def test_a_draining_node_begins_no_check(stage, node):
    await node.starts()
    late = node.opens(BROWSER)
    draining = asyncio.create_task(node.calls.drain(30))
    await stage.run(0.1)
    token = await node.tokens.issue(order(is_check=True))
    late.say({"type": "start", "version": 1, "token": token})
    await stage.run(0.1)
    assert refusal_of(late) == ("gateway_draining", 1012)
    draining.cancel()


# The carrier's streams.


async def test_a_stream_finds_its_call(stage, node):
    caller = await node.starts()
    stream = node.begins_stream()
    assert stream.listener is node.bridge
    assert not stream.is_closed
    assert node.bridge.call.state is State.ANSWERED
    assert "accept" in caller.kinds


async def test_a_stream_of_a_call_that_is_over_shows_a_phone_that_talks_to_nobody(stage, node):
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    caller.say({"type": "hangup"})
    await stage.until(lambda: not len(node.calls))
    assert node.begins_stream(call_id, "CA7").listener is None
    assert stage.strays == [("CA7", call_id)]


async def test_a_stream_of_another_carrier_call_is_one_too_many(stage, node):
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    first = node.begins_stream()
    assert node.begins_stream(call_id, "CA2").listener is None
    assert not first.is_closed
    assert stage.strays == [("CA2", call_id)]


async def test_a_node_knows_the_carrier_calls_that_its_calls_live_on(stage, node):
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    assert node.calls.owns(call_id, "CA1")
    assert not node.calls.owns(call_id, "CA2")
    assert node.calls.owns("gone", "CA1"), "whatever was said of it, a call lives on it"
    assert not node.calls.owns("gone", "CA2")
    caller.say({"type": "hangup"})
    await stage.until(lambda: not len(node.calls))
    assert not node.calls.owns(call_id, "CA1"), "whatever shows it alive is looked into"


async def test_what_the_carrier_has_not_ended_is_a_stray(stage, node):
    caller = await node.starts()
    stage.carrier.on_hang_up = ["answered"] * 99
    caller.say({"type": "hangup"})
    await stage.until(lambda: not len(node.calls), 90)
    ((carrier_call_id, call_id),) = stage.strays
    assert not node.calls.owns(call_id, carrier_call_id)


# The end of calls, and of the node.


async def test_a_settled_call_is_forgotten(stage, node):
    caller = await node.starts()
    call_id = caller.messages[0]["call_id"]
    caller.say({"type": "hangup"})
    await stage.until(lambda: not len(node.calls))
    assert not node.calls.holds(call_id)
    assert await node.calls.show("alice", call_id) is None
    assert await node.calls.end("alice", call_id) is None
    assert stage.balance() == CREDIT


async def test_a_fault_of_one_calls_task_is_logged(stage, node):
    async def broken():
        raise ZeroDivisionError

    with capture_logs() as logs:
        node.calls._spawn(broken())
        await stage.run(0.1)
    assert [line["event"] for line in logs] == ["call task failed"]


async def test_an_idle_node_is_drained_at_once(stage, node):
    await node.calls.drain(30)
    assert node.handshake(BROWSER).status == 503


async def test_draining_takes_no_new_calls_and_lets_the_running_finish(stage, node):
    caller = await node.starts()
    late = node.opens(BROWSER)
    node.begins_stream()
    draining = asyncio.create_task(node.calls.drain(30))
    await stage.run(0.5)
    late.say({"type": "start", "version": 1, "token": await node.tokens.issue(order())})
    await stage.run(0.5)
    assert refusal_of(late) == ("gateway_draining", 1012)
    assert not draining.done()
    caller.say({"type": "hangup"})
    await stage.run(0.5)
    assert draining.done()
    assert caller.of("disconnect")[0]["ended_by"] == "caller"


async def test_at_the_deadline_calls_are_ended_and_settled(stage, node):
    caller = await node.starts()
    stream = node.begins_stream()
    stage.spawn(keep_talking(stream))
    await stage.run(1)
    await node.calls.drain(2.5)
    assert caller.of("disconnect")[0]["name"] == "SYSTEM_SHUTDOWN"
    assert stage.carrier.hung_up == ["CA1"]
    assert stage.record().seconds == 4
    assert len(node.calls) == 0


async def test_a_drain_that_is_told_to_end_now_ends_the_calls_in_good_order(stage, node):
    caller = await node.starts()
    stream = node.begins_stream()
    stage.spawn(keep_talking(stream))
    end_now = asyncio.Event()
    draining = asyncio.create_task(node.calls.drain(30, end_now))
    await stage.run(1)
    assert not draining.done()
    end_now.set()
    await stage.run(1)
    assert draining.done()
    assert caller.of("disconnect")[0]["name"] == "SYSTEM_SHUTDOWN"
    assert stage.carrier.hung_up == ["CA1"]
    assert len(node.calls) == 0


@pytest.mark.parametrize("is_hurried", [False, True])
async def test_a_node_among_others_waits_until_they_know_that_it_stops(stage, node, is_hurried):
    end_now = asyncio.Event()
    draining = asyncio.create_task(node.calls.drain(30, end_now, notice_s=3.0))
    await stage.run(1)
    assert node.calls.is_draining
    caller = await node.starts()
    assert not caller.of("error")
    if is_hurried:
        end_now.set()
        await stage.until(draining.done)
        assert not len(node.calls)
        return
    await stage.run(2)
    late = await node.starts()
    assert refusal_of(late) == ("gateway_draining", 1012)
    assert not draining.done()
    caller.say({"type": "hangup"})
    await stage.until(draining.done)


async def test_a_drain_that_cannot_settle_ends_all_the_same(stage, node):
    await node.starts()
    node.begins_stream()
    stage.gate.is_away = True
    started_ns = stage.clock_ns()
    with capture_logs() as logs:
        await node.calls.drain(1)
    assert (stage.clock_ns() - started_ns) / 1e9 <= 1 + calls_module._END_TIMEOUT_S + 0.1
    (told,) = [line for line in logs if line["log_level"] == "critical"]
    assert (told["event"], told["calls"]) == ("calls not settled before the end", 1)
    assert node.calls._tasks == set()


async def keep_talking(stream):
    while not stream.is_closed:
        stream.speaks(SILENT_FRAME)
        await asyncio.sleep(0.1)


# Velocity.


async def test_a_call_is_counted_where_it_starts(stage, node):
    await node.starts(key_id="k1")
    number = order().destination
    assert node.velocity.used == [*call_uses("alice", "k1", RecordingConnection().peer, number)]


async def test_a_saved_up_token_does_not_pass_a_limit(stage, node):
    node.velocity.refuses["number_calls_hour"] = 1800
    caller = await node.starts()
    assert refusal_of(caller) == ("number_limited", 1013)
    assert caller.of("error")[0]["retry_after_s"] == 1800
    assert stage.carrier.placed == []
    assert len(node.calls) == 0


@pytest.mark.parametrize("change", ["leaves", "drains", "fills"])
async def test_what_changes_while_a_call_is_counted_holds(stage, change):
    node = Node(stage, calls_max=1)
    node.velocity.delay_s = 1.0
    caller = await node.starts()
    if change == "leaves":
        caller.end(1000)
    elif change == "drains":
        await node.calls.drain(0.0)
    else:
        node.velocity.delay_s = 0.0
        await node.starts()
    await stage.run(2)
    assert len(stage.carrier.placed) == (1 if change == "fills" else 0)
    if change != "leaves":
        codes = {"drains": "gateway_draining", "fills": "gateway_full"}
        assert caller.of("error")[0]["code"] == codes[change]


@pytest.mark.parametrize(
    ("seconds", "counted", "in_range"),
    [(5, SHORT_CALLS, RANGE_SHORT_CALLS), (40, LONG_CALLS, RANGE_LONG_CALLS)],
)
async def test_how_a_call_turned_out_is_counted_once_it_is_settled(
    stage, seconds, counted, in_range
):
    node = Node(stage, media_silence_s=60)
    caller = await node.starts()
    node.begins_stream()
    await stage.run(seconds)
    assert node.velocity.outcomes == []
    caller.say({"type": "hangup"})
    await stage.until(lambda: len(node.calls) == 0)
    await stage.run(0.1)
    assert node.velocity.outcomes == [Use(counted, "alice"), Use(in_range, "alice +1500555")]


async def test_a_call_that_nobody_answered_counts_as_neither(stage, node):
    caller = await node.starts()
    caller.say({"type": "hangup"})
    await stage.until(lambda: len(node.calls) == 0)
    await stage.run(0.1)
    assert node.velocity.outcomes == []


async def test_a_visitors_call_that_is_one_too_many_gives_its_hold_back(stage, node):
    async def nothing(_uses):
        """Find nothing: others count in the same moment."""

    node.velocity.look, node.velocity.refuses = nothing, {"button_calls_hour": 60}
    visitor = await node.starts(visitor=TERMS)
    await stage.until(lambda: visitor.closed)
    assert refusal_of(visitor) == ("button_limited", 1013)
    await stage.run(1)
    assert (stage.balance(), stage.carrier.placed, len(node.calls)) == (CREDIT, [], 0)
    assert stage.record().cause_name == "SERVICE_UNAVAILABLE"


async def test_visitors_calls_can_be_ended_and_are_told_that_the_button_was_closed(stage, node):
    visitor, other = await node.starts(visitor=TERMS), await node.starts()
    echo = await node.starts(visitor=TERMS, is_check=True)
    check = await node.starts(is_check=True)
    assert [terms.button_id for terms in node.calls.visitors()] == ["b1", "b1"]
    node.calls.end_visitors(lambda terms: terms.button_id == "b2")
    assert len(node.calls.visitors()) == 2
    node.calls.end_visitors(lambda terms: terms.button_id == "b1")
    await stage.until(lambda: not node.calls.visitors())
    for connection in (visitor, echo):
        (ended,) = connection.of("disconnect")
        assert (ended["cause"], ended["ended_by"]) == (504, "operator")
        assert ended["message"] == "The button was closed."
    assert not other.closed
    assert not check.closed


async def test_refused_visitors_are_told_of_with_their_button(stage, node):
    told = []
    node.calls._visitor_refused = lambda *each: told.append(each)
    node.velocity.refuses = {"visitor_button_calls_day": 60, "account_calls_hour": 60}
    await node.starts(visitor=TERMS)
    await node.starts(visitor=TERMS, is_check=True)
    await node.starts()
    assert told == [("b1", "button_limited")]
    node.velocity.refuses = {}
    stage.gate._of("alice").frozen.add("alice")
    await node.starts(visitor=TERMS)
    assert told[1:] == [("b1", "account_frozen")]


@pytest.mark.parametrize("code", ["button_paused", "button_closed", "button_not_found"])
async def test_a_button_that_takes_no_calls_any_more_says_so_when_one_would_begin(
    stage, node, code
):
    told = []
    node.calls._visitor_refused = lambda *each: told.append(each)
    node.tokens.refusal = code
    for is_check in (False, True):
        visitor = await node.starts(visitor=TERMS, is_check=is_check)
        assert [error["code"] for error in visitor.of("error")] == [code]
    # Whom a test key was for misses nothing.
    assert told == [("b1", code)]
    assert not stage.carrier.placed


async def test_what_a_visitor_uses_up_is_told_before_a_call_begins(stage, node):
    node.velocity.refuses = {"visitor_button_calls_day": 60}
    visitor = await node.starts(visitor=TERMS)
    assert refusal_of(visitor) == ("button_limited", 1013)
    assert visitor.of("error")[0]["retry_after_s"] == 60
    echo = await node.starts(visitor=TERMS, is_check=True)
    assert refusal_of(echo) == ("button_limited", 1013)


async def test_a_check_of_the_line_is_no_call(stage, node):
    await node.starts(is_check=True)
    assert node.velocity.used == []
