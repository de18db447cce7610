"""The check of the line: what is said comes back, and the verdict is of what was measured."""

import pytest

from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.heartbeat.ticker import Ticker
from gateway.ports import SessionQuality, SessionState
from gateway.sound.echo import CHECK_NS_MAX, CHECK_SECONDS, CHECK_WAIT_NS, EchoCheck, judge
from gateway.sound.media_path import Network
from tests.gateway.recording import RecordingConnection
from tests.gateway.sound.test_media_path import Endpoint
from tests.media.signals import to_mulaw, voice

FRAME_NS = 20_000_000
SECOND_NS = 1_000_000_000
SPOKEN = to_mulaw(voice(1))[:160]
REPORT = {"type": "report", "packets": 50, "rtt_ms": 40, "buffer_ms": 45}


class Booth:
    """A check with a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = SECOND_NS
        self.ticker = Ticker(lambda: self.now_ns)
        self.socket = RecordingConnection(lambda: self.now_ns)
        self.endpoint = Endpoint()
        self.ended = []
        leg = BrowserLeg(self.socket, origin="", on_start=lambda *_: None)
        leg.started = True
        self.check = EchoCheck(leg, self.endpoint, self.ticker, on_end=self.ended.append)
        self.check.start()

    def wait(self, duration_ns: int) -> None:
        until_ns = self.now_ns + duration_ns
        while self.now_ns < until_ns:
            self.now_ns += FRAME_NS
            self.ticker.beat(self.now_ns)

    def talk(self, seconds: float, payload: bytes = SPOKEN) -> None:
        for _ in range(round(seconds * 50)):
            self.socket.speak(payload)
            self.wait(FRAME_NS)

    @property
    def told(self) -> list[dict]:
        return self.socket.messages


def connected(booth):
    """Let the caller's WebRTC connect; return the session, which keeps what is heard."""
    booth.socket.say({"type": "offer", "id": 1, "sdp": "offer"})
    session = booth.endpoint.sessions[-1]
    session.become(SessionState.CONNECTED)
    session.heard = []
    session.send_audio = lambda payload, _timestamp_ms=None: session.heard.append(payload)
    return session


@pytest.fixture
def booth():
    return Booth()


def test_what_is_said_comes_back_at_once(booth):
    assert booth.told == [
        {"type": "check-ready", "version": 1, "seconds": CHECK_SECONDS, "webrtc": True}
    ]
    frames = [bytes([n]) * 160 for n in range(5)]
    for frame in frames:
        booth.socket.speak(frame)
    assert booth.socket.audio == frames


def test_the_verdict_comes_after_five_seconds_of_sound(booth):
    booth.wait(3 * SECOND_NS)
    booth.socket.say(REPORT)
    booth.talk(CHECK_SECONDS - 0.1)
    assert len(booth.told) == 1
    booth.talk(0.2)
    result = booth.told[-1]
    assert (result["type"], result["verdict"], result["path"]) == (
        "check-result",
        "good",
        "websocket",
    )
    assert (result["rtt_ms"], result["loss_percent"]) == (40, 0)
    assert result["level_dbov"] > -60
    assert booth.socket.closed == (1000, "check ended")
    assert booth.ended == [booth.check]


def test_frames_that_never_came_are_lost(booth):
    for _ in range(CHECK_SECONDS * 25 + 1):
        booth.talk(0.02)
        booth.wait(FRAME_NS)
    result = booth.told[-1]
    assert result["verdict"] == "poor"
    assert 40 < result["loss_percent"] < 55
    assert result["action"]


def test_a_silent_microphone_fails(booth):
    booth.talk(CHECK_SECONDS + 0.1, b"\xff" * 160)
    result = booth.told[-1]
    assert (result["verdict"], result["mos"]) == ("failed", 1.0)
    assert "microphone" in result["action"]


def test_no_sound_at_all_fails_in_the_end(booth):
    booth.wait(CHECK_WAIT_NS - SECOND_NS)
    assert len(booth.told) == 1
    booth.wait(2 * SECOND_NS)
    assert booth.told[-1]["verdict"] == "failed"
    assert len(booth.ended) == 1


def test_another_way_is_measured_from_its_beginning(booth):
    booth.talk(2)
    session = connected(booth)
    session.quality = SessionQuality(300, 3, 4.0, 25.0)
    booth.socket.say({"type": "media", "path": "webrtc"})
    for sequence in range(round(50 * (CHECK_SECONDS + 0.1))):
        session.on_audio(sequence, 160 * sequence, SPOKEN)
        booth.wait(FRAME_NS)
    assert session.heard[:2] == [SPOKEN, SPOKEN]
    result = booth.told[-1]
    assert (result["path"], result["rtt_ms"], result["jitter_ms"]) == ("webrtc", 25, 4)
    assert result["loss_percent"] == pytest.approx(0.99, abs=0.01)
    assert session.closed == 1


@pytest.mark.parametrize("leave", ["hangup", "close"])
def test_a_caller_who_leaves_leaves_nothing_behind(booth, leave):
    booth.talk(1)
    if leave == "hangup":
        booth.socket.say({"type": "hangup"})
    booth.socket.end(1006)
    booth.wait(10 * SECOND_NS)
    assert len(booth.told) == 1
    assert booth.ended == [booth.check]


@pytest.mark.parametrize("again", ["socket", "session"])
def test_beginning_anew_does_not_draw_it_out_for_ever(booth, again):
    session = connected(booth)
    started_ns = booth.now_ns
    while not booth.ended:
        booth.socket.say({"type": "media", "path": "webrtc"})
        if again == "socket":
            booth.socket.say({"type": "media", "path": "websocket"})
            booth.talk(0.5)
        else:
            session.on_audio(1, 160, SPOKEN)
            booth.wait(SECOND_NS // 2)
        assert booth.now_ns - started_ns <= CHECK_NS_MAX + SECOND_NS
    assert booth.told[-1]["type"] == "check-result"


def test_a_packet_of_another_size_is_dropped(booth):
    session = connected(booth)
    booth.socket.say({"type": "media", "path": "webrtc"})
    for size in (0, 1, 80, 161):
        session.on_audio(1, 160, bytes(size))
    session.on_audio(2, 320, SPOKEN * 2)
    assert session.heard == [SPOKEN * 2]
    assert booth.socket.closed is None


@pytest.mark.parametrize("size", [0, 1, 161])
def test_a_frame_of_another_size_ends_it(booth, size):
    booth.socket.speak(bytes(size))
    assert booth.socket.closed == (4400, "bad_message")
    booth.socket.end(4400)
    assert booth.ended == [booth.check]


def network(rtt_ms: float, buffer_ms: float) -> Network:
    report = wire.Report(packets=1, buffer_ms=buffer_ms)
    return Network(path="websocket", rtt_ms=rtt_ms, report=report, session=None)


@pytest.mark.parametrize(
    ("rtt_ms", "loss_percent", "verdict"),
    [(20, 0, "good"), (200, 0, "good"), (100, 4, "fair"), (500, 0, "fair"), (100, 10, "poor")],
)
def test_verdicts(rtt_ms, loss_percent, verdict):
    result = judge(network(rtt_ms, 40), jitter_ms=2, loss_percent=loss_percent, level_dbov=-30)
    assert result.verdict == verdict
    assert bool(result.action) == (verdict != "good")
