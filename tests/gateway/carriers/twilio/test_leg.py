"""The carrier leg: one Media Stream's messages to calls on its listener, and its audio."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.carriers.twilio.leg import TwilioLeg
from gateway.ports import StreamEnd
from tests.gateway.recording import RecordingConnection
from tests.gateway.stage import start_message

FRAME = b"\x55" * 160
CONNECTED = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
START = start_message("CA1", "c1.secret")
DETAIL = START["start"]


def stop(**named):
    named = {"accountSid": DETAIL["accountSid"], "callSid": "CA1", **named}
    return {"event": "stop", "streamSid": "MZ1", "stop": named}


STOP = stop()


def media(payload=FRAME, sid="MZ1"):
    return {
        "event": "media",
        "sequenceNumber": "4",
        "media": {
            "track": "inbound",
            "chunk": "2",
            "timestamp": "5",
            "payload": base64.b64encode(payload).decode(),
        },
        "streamSid": sid,
    }


def dtmf(digit="5", sid="MZ1"):
    return {"event": "dtmf", "streamSid": sid, "dtmf": {"track": "inbound_track", "digit": digit}}


def mark(name, sid="MZ1"):
    return {"event": "mark", "streamSid": sid, "mark": {"name": name}}


class Call:
    """Notes what the stream says."""

    def __init__(self):
        self.digits = []
        self.ends = []

    def stream_digit(self, digit):
        self.digits.append(digit)

    def stream_ended(self, how):
        self.ends.append(how)


class Trunk:
    """A leg whose stream belongs to a call, or to none."""

    def __init__(self, call="a call"):
        self.socket = RecordingConnection()
        self.call = Call() if call else None
        self.bound, self.heard, self.marks = [], [], []
        self.leg = TwilioLeg(self.socket, bind=self._bind)

    def _bind(self, leg, start):
        self.bound.append(start)
        if self.call is not None:
            leg.on_audio = lambda payload, at_ms: self.heard.append((payload, at_ms))
            leg.on_mark = self.marks.append
        return self.call

    def started(self):
        self.socket.say(CONNECTED)
        self.socket.say(START)
        return self


@pytest.fixture
def trunk():
    return Trunk()


def test_a_stream_starts_with_its_call(trunk):
    assert not trunk.leg.is_started
    trunk.started()
    (start,) = trunk.bound
    assert (start.start.call_sid, start.start.custom_parameters) == ("CA1", {"token": "c1.secret"})
    assert trunk.leg.is_started
    assert trunk.leg.stream_sid == "MZ1"
    assert trunk.leg.counters is trunk.socket.counters


def test_audio_out_names_the_stream(trunk):
    trunk.started().leg.send_audio(FRAME)
    ((kind, payload),) = trunk.socket.sent
    message = json.loads(payload)
    assert (kind, message["streamSid"]) == ("audio-text", "MZ1")
    assert base64.b64decode(message["media"]["payload"]) == FRAME


def test_marks_and_clears_name_the_stream_and_are_never_dropped(trunk):
    leg = trunk.started().leg
    leg.send_mark("m")
    leg.clear()
    assert [kind for kind, _ in trunk.socket.sent] == ["text", "text"]
    marked, cleared = trunk.socket.messages
    assert marked == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "m"}}
    assert cleared == {"event": "clear", "streamSid": "MZ1"}


def test_audio_comes_in_as_bytes_with_the_carriers_time(trunk):
    trunk.started().socket.say(media())
    trunk.socket.say(media(b"x"))
    untimed = {"event": "media", "streamSid": "MZ1", "media": {"payload": ""}}
    trunk.socket.say(untimed)
    assert trunk.heard == [(FRAME, 5), (b"x", 5), (b"", None)]


def test_a_time_that_is_a_number_is_taken_and_ends_no_call(trunk):
    message = media()
    message["sequenceNumber"], message["media"]["timestamp"] = 4, 25
    trunk.started().socket.say(message)
    message["media"]["timestamp"] = None
    trunk.socket.say(message)
    assert trunk.heard == [(FRAME, 25), (FRAME, None)]
    assert trunk.socket.closed is None


def test_keys_are_told(trunk):
    trunk.started().socket.say(dtmf("*"))
    assert trunk.call.digits == ["*"]


def test_marks_come_back_by_name(trunk):
    trunk.started().socket.say(mark("m"))
    assert trunk.marks == ["m"]
    assert (trunk.call.digits, trunk.call.ends) == ([], [])


def test_audio_and_marks_that_nobody_waits_for_are_no_fault(trunk):
    trunk.leg._bind = lambda *_: trunk.call
    trunk.started().socket.say(mark("m"))
    trunk.socket.say(media())
    assert trunk.socket.closed is None


def test_messages_of_the_future_are_ignored(trunk):
    trunk.started()
    trunk.socket.say({"event": "sentiment", "streamSid": "MZ9"})
    assert trunk.socket.closed is None
    assert (trunk.call.digits, trunk.call.ends) == ([], [])


@pytest.mark.parametrize(
    "message",
    [
        media(sid="MZ2"),
        dtmf(sid="MZ2"),
        mark("m", sid="MZ2"),
        {"event": "stop", "streamSid": "MZ2"},
    ],
)
def test_a_message_of_another_stream_ends_the_leg(trunk, message):
    trunk.started().socket.say(message)
    assert trunk.socket.closed[0] == 1008
    assert (trunk.heard, trunk.marks) == ([], [])
    assert (trunk.call.digits, trunk.call.ends) == ([], [StreamEnd.UNREADABLE])


def test_audio_before_the_start_ends_the_leg(trunk):
    trunk.socket.say(media())
    assert trunk.socket.closed[0] == 1008


def test_audio_of_a_stream_without_a_name_goes_nowhere(trunk):
    trunk.socket.say(media(sid=""))
    assert trunk.heard == []


@pytest.mark.parametrize(
    "start",
    [
        {**START, "streamSid": ""},
        start_message("CA1", "t", mediaFormat={"encoding": "x", "sampleRate": 8000, "channels": 1}),
    ],
)
def test_a_start_that_is_not_ours_ends_the_leg(trunk, start):
    trunk.socket.say(start)
    assert trunk.bound == []
    assert trunk.socket.closed[0] == 1008


def test_a_second_start_ends_the_leg(trunk):
    trunk.started().socket.say(START)
    assert len(trunk.bound) == 1
    assert trunk.socket.closed[0] == 1008


def test_a_stream_of_no_call_ends_the_leg():
    trunk = Trunk(call=None).started()
    assert trunk.socket.closed[0] == 1008
    assert not trunk.leg.is_started


def test_a_call_that_refuses_its_stream_is_told_nothing_of_it():
    """The call may close the leg while it takes the stream."""
    trunk = Trunk()
    bind = trunk.leg._bind

    def close_and_bind(leg, start):
        leg.close()
        return bind(leg, start)

    trunk.leg._bind = close_and_bind
    trunk.started()
    trunk.socket.end(1000)
    assert not trunk.leg.is_started
    assert trunk.call.ends == []


@pytest.mark.parametrize("payload", [b"", b"{", b'{"event":"media"}', b'{"event":"start"}', b"[]"])
def test_nonsense_ends_the_leg(trunk, payload):
    trunk.started().socket.say(payload)
    assert trunk.socket.closed[0] == 1008


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_end_the_leg(payload):
    trunk = Trunk().started()
    trunk.socket.say(payload)
    assert trunk.socket.closed is None or trunk.socket.closed[0] == 1008


def test_binary_is_not_spoken_here(trunk):
    trunk.started().socket.speak(FRAME)
    assert trunk.socket.closed[0] == 1003


def test_a_stop_is_a_proper_end_and_told_once(trunk):
    trunk.started().socket.say(STOP)
    trunk.socket.say(media())
    trunk.socket.say(dtmf())
    trunk.socket.say(mark("m"))
    trunk.socket.say(STOP)
    trunk.socket.end(1000)
    assert trunk.call.ends == [StreamEnd.STOPPED]
    assert (trunk.heard, trunk.marks, trunk.call.digits) == ([], [], [])


@pytest.mark.parametrize("odd", [None, 7, [], {}, {"callSid": "CA1"}])
def test_a_stop_that_names_no_other_call_is_a_proper_end(trunk, odd):
    trunk.started().socket.say({"event": "stop", "streamSid": "MZ1", "stop": odd})
    assert trunk.call.ends == [StreamEnd.STOPPED]


@pytest.mark.parametrize("track", ["outbound", "inbound_track", "", None, 7])
def test_what_the_phone_is_sent_is_not_what_it_says(trunk, track):
    message = media()
    message["media"]["track"] = track
    trunk.started().socket.say(message)
    trunk.socket.say(media())
    assert (trunk.heard, trunk.socket.closed) == ([(FRAME, 5)], None)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (1000, StreamEnd.STOPPED),
        (1006, StreamEnd.LOST),
        (1011, StreamEnd.LOST),
        (1002, StreamEnd.UNREADABLE),
        (1007, StreamEnd.UNREADABLE),
        (1009, StreamEnd.UNREADABLE),
    ],
)
def test_the_end_of_the_socket_is_an_end(trunk, code, how):
    trunk.started().socket.end(code)
    assert trunk.call.ends == [how]


@pytest.mark.parametrize("closes_with", [1000, 1008, 1006])
@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b'{"event":"media"}',
        media(sid="MZ2"),
        FRAME,
        START,
        stop(callSid="CA2"),
        stop(accountSid="AC2"),
        stop(callSid=7),
    ],
)
def test_what_cannot_be_taken_ends_the_stream_at_once_and_once(trunk, message, closes_with):
    """However the peer answers our closing, if at all."""
    trunk.started()
    if message is FRAME:
        trunk.socket.speak(message)
    else:
        trunk.socket.say(message)
    assert trunk.call.ends == [StreamEnd.UNREADABLE]
    trunk.socket.end(closes_with)
    trunk.leg._text_received(json.dumps(media()).encode())
    assert trunk.call.ends == [StreamEnd.UNREADABLE]
    assert trunk.heard == []


def test_an_end_before_the_start_concerns_nobody(trunk):
    trunk.socket.say(CONNECTED)
    trunk.socket.end(1006)
    assert trunk.call.ends == []


def test_a_leg_that_we_closed_says_nothing_more(trunk):
    trunk.started().leg.close()
    trunk.leg._text_received(json.dumps(media()).encode())
    trunk.leg._text_received(json.dumps(dtmf()).encode())
    trunk.socket.end(1000)
    assert trunk.socket.closed == (1000, "call ended")
    assert (trunk.heard, trunk.call.digits, trunk.call.ends) == ([], [], [])


def test_a_leg_that_we_closed_does_not_start(trunk):
    trunk.leg.close(1008, "no start")
    trunk.leg._text_received(json.dumps(START).encode())
    assert trunk.bound == []
