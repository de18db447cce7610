"""The browser leg: bytes of one caller's socket to calls on its listener, and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.browser import messages as wire
from gateway.browser.leg import MESSAGES_PER_S_MAX, BrowserLeg
from gateway.problems import PROBLEMS
from tests.gateway.recording import RecordingConnection

START = {"type": "start", "version": 1, "token": "ct_1"}
RESUME = {"type": "resume", "version": 1, "call_id": "c1", "token": "0.x"}


class Listener:
    """Notes what the caller does."""

    def __init__(self):
        self.messages = []
        self.closes = []

    def browser_message(self, message):
        self.messages.append(message)

    def browser_closed(self, code):
        self.closes.append(code)


class Desk:
    """A leg on a socket whose time the test sets."""

    def __init__(self):
        self.now_ns = 7_000_000_000
        self.socket = RecordingConnection(lambda: self.now_ns)
        self.starts = []
        self.leg = BrowserLeg(
            self.socket,
            origin="https://page.example",
            on_start=lambda leg, start: self.starts.append((leg, start)),
        )
        self.listener = Listener()

    def started(self):
        self.socket.say(START)
        self.leg.listener = self.listener
        return self


@pytest.fixture
def desk():
    return Desk()


def test_the_first_message_starts(desk):
    desk.socket.say(START)
    ((leg, start),) = desk.starts
    assert leg is desk.leg
    assert (start.version, start.token) == (1, "ct_1")
    assert leg.started
    assert leg.origin == "https://page.example"


def test_the_first_message_may_take_a_call_up_again(desk):
    desk.socket.say(RESUME)
    ((leg, resume),) = desk.starts
    assert leg is desk.leg
    assert (resume.version, resume.call_id, resume.token) == (1, "c1", "0.x")
    assert leg.started


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hangup"},
        {"type": "mute", "muted": True},
        {"type": "dtmf", "digits": "1"},
        {"type": "offer", "id": 1, "sdp": "v=0"},
        {"type": "media", "path": "webrtc"},
        {"type": "report", "packets": 0},
        {**START, "version": 2},
        {**RESUME, "version": 2},
    ],
)
def test_anything_else_first_is_refused(desk, message):
    desk.socket.say(message)
    assert desk.starts == []
    assert desk.socket.of("error")[0]["code"] == "bad_message"
    assert desk.socket.closed == (4400, "bad_message")


@pytest.mark.parametrize("again", [START, RESUME])
def test_a_second_start_is_refused(desk, again):
    desk.started().socket.say(again)
    assert len(desk.starts) == 1
    assert desk.socket.closed == (4400, "bad_message")


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ({"type": "hangup"}, wire.Hangup()),
        ({"type": "mute", "muted": True}, wire.Mute(muted=True)),
        ({"type": "hold", "held": False}, wire.Hold(held=False)),
        ({"type": "dtmf", "digits": "0*#A"}, wire.SendDtmf(digits="0*#A")),
        ({"type": "offer", "id": 7, "sdp": "v=0"}, wire.Offer(id=7, sdp="v=0")),
        ({"type": "media", "path": "webrtc"}, wire.SelectPath(path="webrtc")),
        ({"type": "report", "packets": 9, "rtt_ms": 1.5}, wire.Report(packets=9, rtt_ms=1.5)),
    ],
)
def test_messages_reach_the_listener(desk, sent, received):
    desk.started().socket.say(sent)
    assert desk.listener.messages == [received]


def test_an_offer_before_the_call_is_ready_is_refused(desk):
    desk.socket.say(START)
    for early in ({"type": "offer", "id": 7, "sdp": "v=0"}, {"type": "mute", "muted": True}):
        desk.socket.say(early)
    (told,) = desk.socket.messages
    assert (told["type"], told["id"], told["code"]) == ("offer-refused", 7, "not_ready")
    assert desk.socket.closed is None


def test_a_ping_is_answered_at_any_time(desk):
    desk.socket.say({"type": "ping", "id": 1})
    desk.started().socket.say({"type": "ping", "id": 2})
    assert desk.socket.messages == [{"type": "pong", "id": 1}, {"type": "pong", "id": 2}]
    assert desk.listener.messages == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "mute", "muted": True},
        {"type": "hold", "held": True},
        {"type": "offer", "id": 1, "sdp": "v=0"},
        {"type": "report", "packets": 0},
    ],
)
def test_what_comes_between_start_and_ready_is_not_an_offence(desk, message):
    desk.socket.say(START)
    desk.socket.say(message)
    assert desk.socket.closed is None


def test_hanging_up_between_start_and_ready_leaves(desk):
    desk.socket.say(START)
    desk.socket.say({"type": "hangup"})
    assert desk.socket.closed == (1000, "call ended")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 4400),
        (b"hello", 4400),
        (b"[]", 4400),
        (b'{"type":"unknown"}', 4400),
        (b'{"type":"dtmf","digits":"x"}', 4400),
        (b'{"type":"dtmf","digits":""}', 4400),
        (b'{"type":"mute","muted":"yes"}', 4400),
        (b"[" * 4000, 4400),
        (b'{"type":"hangup"}' + b" " * wire.MESSAGE_BYTES_MAX, 1009),
    ],
)
def test_nonsense_is_told_and_ends_the_leg(desk, payload, code):
    desk.started().socket.say(payload)
    (error,) = desk.socket.of("error")
    assert error["code"] == "bad_message"
    assert desk.socket.closed[0] == code
    assert desk.listener.messages == []


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_end_the_leg(payload):
    desk = Desk().started()
    desk.socket.say(payload)
    assert desk.socket.closed is None or desk.socket.closed[0] == 4400


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_refusal_says_what_to_do_and_closes(desk, code):
    desk.leg.refuse(code)
    problem = PROBLEMS[code]
    assert desk.socket.messages == [
        {
            "type": "error",
            "code": code,
            "message": problem.message,
            "action": problem.action,
            "retry": problem.retry,
        }
    ]
    assert desk.socket.closed == (problem.close_code, code)


def test_a_person_is_never_taken_for_a_flood(desk):
    desk.started()
    for _ in range(10):
        desk.now_ns += 1_000_000_000
        for _ in range(MESSAGES_PER_S_MAX):
            desk.socket.say({"type": "ping", "id": 0})
    assert desk.socket.closed is None


def test_a_flood_ends_the_leg(desk):
    for n in range(MESSAGES_PER_S_MAX + 1):
        assert desk.socket.closed is None
        desk.socket.say({"type": "ping", "id": n})
    assert desk.socket.closed == (4429, "message_flood")
    assert len(desk.socket.of("pong")) == MESSAGES_PER_S_MAX


def test_a_flood_of_nonsense_is_counted_before_it_is_read(desk):
    """Nonsense ends the leg by itself; this is what keeps parsing from being the weapon."""
    for _ in range(MESSAGES_PER_S_MAX):
        desk.leg._flood.is_flooded(desk.now_ns)
    desk.socket.say(b"nonsense")
    assert desk.socket.closed[0] == 4429


def test_audio_goes_where_it_is_told_and_nowhere_before(desk):
    heard = []
    desk.socket.speak(b"early")
    desk.leg.take_audio(heard.append)
    desk.socket.speak(b"frame")
    desk.leg.take_audio(None)
    desk.socket.speak(b"late")
    assert heard == [b"frame"]
    assert desk.leg.connection is desk.socket


def test_what_is_sent_is_json(desk):
    desk.leg.send(wire.DtmfReceived(digit="#"))
    assert json.loads(desk.socket.sent[0][1]) == {"type": "dtmf", "digit": "#"}
    desk.leg.close()
    assert desk.socket.closed == (1000, "")


def test_the_end_of_the_socket_is_told_once(desk):
    desk.started().socket.end(1006)
    desk.leg._closed(1006)
    assert desk.listener.closes == [1006]
    assert desk.leg.is_closed
    assert desk.leg.listener is None


def test_a_socket_that_ends_before_it_started_is_known_to_be_closed(desk):
    desk.socket.end(1001)
    assert desk.leg.is_closed


def test_a_socket_that_ends_while_its_token_is_checked_is_known_to_be_closed(desk):
    desk.socket.say(START)
    desk.socket.end(1001)
    assert desk.leg.is_closed


def test_a_leg_authenticates_its_connection_only_when_told_to(desk):
    desk.started()
    assert not desk.socket.is_authenticated
    desk.leg.mark_authenticated()
    assert desk.socket.is_authenticated
