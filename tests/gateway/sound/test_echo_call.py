"""A visitor's test call: to its client a call like any other, which reaches nobody."""

import pytest

from gateway.browser.leg import BrowserLeg
from gateway.heartbeat.ticker import Ticker
from gateway.sound.echo import WARNED_S, EchoCall
from tests.gateway.recording import RecordingConnection
from tests.gateway.sound.test_echo_check import FRAME_NS, SECOND_NS, SPOKEN, connected
from tests.gateway.sound.test_media_path import Endpoint

AT = "2026-11-28T12:00:00.000Z"


class Booth:
    """A test call with a clock that the test moves."""

    def __init__(self, seconds_max=30):
        self.now_ns = SECOND_NS
        self.ticker = Ticker(lambda: self.now_ns)
        self.socket = RecordingConnection(lambda: self.now_ns)
        self.endpoint = Endpoint()
        self.ended = []
        leg = BrowserLeg(self.socket, origin="", on_start=lambda *_: None)
        leg.started = True
        self.call = EchoCall(
            leg,
            self.endpoint,
            self.ticker,
            call_id="c1",
            seconds_max=seconds_max,
            on_end=self.ended.append,
        )
        self.call.start(AT)

    def wait(self, seconds):
        until_ns = self.now_ns + round(seconds * SECOND_NS)
        while self.now_ns < until_ns:
            self.now_ns += FRAME_NS
            self.ticker.beat(self.now_ns)

    @property
    def told(self):
        return self.socket.messages


@pytest.fixture
def booth():
    return Booth()


def test_it_rings_is_answered_and_says_what_is_spoken(booth):
    ready, ringing, accept = booth.told
    assert (ready["type"], ready["call_id"], ready["destination"]) == ("ready", "c1", "")
    assert (ready["rate"], ready["webrtc"], ready["resume_seconds"]) == (None, True, 0)
    assert (ringing["type"], accept["type"], accept["at"]) == ("ringing", "accept", AT)
    booth.socket.speak(SPOKEN)
    assert booth.socket.audio == [SPOKEN]


def test_it_ends_at_its_longest_time_with_a_warning_before(booth):
    booth.wait(30 - WARNED_S + 0.1)
    assert [m for m in booth.told if m["type"] != "volume"][-1] == {
        "type": "credit-warning",
        "seconds_left": WARNED_S,
        "cause": "duration",
    }
    booth.wait(WARNED_S)
    end = booth.told[-1]
    assert (end["type"], end["seconds"], end["cost"]) == ("disconnect", 30, None)
    assert (end["cut_off"], end["ended_by"]) == ("duration", "limit")
    assert booth.ended == [booth.call]


def test_something_is_said_each_second_until_its_end(booth):
    for _ in range(50):
        booth.socket.speak(SPOKEN)
    booth.wait(3)
    levels = [m for m in booth.told if m["type"] == "volume"]
    assert len(levels) == 3
    assert levels[-1]["input_dbov"] == levels[-1]["output_dbov"] > -127
    booth.socket.say({"type": "hangup"})
    told = len(booth.told)
    booth.wait(5)
    assert len(booth.told) == told


@pytest.mark.parametrize("how", ["hang up", "gone"])
def test_who_hangs_up_or_goes_ends_it_once(booth, how):
    booth.wait(2)
    if how == "hang up":
        booth.socket.say({"type": "hangup"})
        assert (booth.told[-1]["ended_by"], booth.told[-1]["seconds"]) == ("caller", 2)
    booth.socket.on_close(1001)
    booth.wait(60)
    assert booth.ended == [booth.call]
    assert "disconnect" not in [m["type"] for m in booth.told] or how == "hang up"


def test_mute_and_hold_are_kept_and_confirmed(booth):
    for message in ({"type": "mute", "muted": True}, {"type": "hold", "held": True}):
        booth.socket.say(message)
        assert booth.told[-1] == message
        booth.socket.speak(SPOKEN)
    assert booth.socket.audio == []
    booth.socket.say({"type": "mute", "muted": False})
    booth.socket.say({"type": "hold", "held": False})
    booth.socket.say({"type": "dtmf", "digits": "5"})
    booth.socket.speak(SPOKEN)
    assert booth.socket.audio == [SPOKEN]


def test_by_webrtc_it_answers_there(booth):
    session = connected(booth)
    booth.socket.say({"type": "media", "path": "webrtc"})
    session.on_audio(1, 160, SPOKEN)
    # Others than whole frames are dropped there, and end the leg on the socket.
    session.on_audio(2, 320, SPOKEN[:-1])
    assert session.heard == [SPOKEN]
    booth.socket.say({"type": "media", "path": "websocket"})
    booth.socket.speak(SPOKEN)
    assert booth.socket.audio == [SPOKEN]
    booth.socket.speak(SPOKEN[:-1])
    assert booth.told[-1]["code"] == "bad_message"
