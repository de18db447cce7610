"""Messages of the browser's socket: the published schema is the one in force."""

import json
from functools import cache

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.browser import messages as wire
from gateway.call.supervision import Mode
from gateway.errors import PeerProtocolError

MONEY = wire.Money(20_000, "USD", "$0.02")
END = {
    "call_id": "c",
    "cause": 16,
    "name": "NORMAL_CLEARING",
    "message": "The call has ended.",
    "ended_by": "callee",
    "seconds": 3,
    "cost": MONEY,
}
RATE = wire.RateQuote(
    per_minute=MONEY, connect_fee=MONEY, first_increment_s=1, next_increment_s=1, description=""
)
SENT = [
    wire.Ready(
        version=1,
        call_id="c",
        destination="+15005551000",
        codec="pcmu",
        frame_bytes=160,
        rate=RATE,
    ),
    wire.Ready(
        version=1,
        call_id="c",
        destination="+15005551000",
        codec="pcm16",
        frame_bytes=640,
        rate=RATE,
        webrtc=True,
        resume_token="0.x",
        resume_seconds=15,
    ),
    wire.CheckReady(version=1, seconds=5, webrtc=False),
    wire.CheckResult(
        verdict="failed",
        path="websocket",
        mos=1.0,
        rtt_ms=None,
        jitter_ms=0.0,
        loss_percent=100.0,
        level_dbov=-127,
        message="m",
        action="a",
    ),
    wire.SupervisionReady(version=1, call_id="c", frame_bytes=160, most=Mode.BARGE, announced=True),
    wire.Supervise(mode=Mode.WHISPER),
    wire.Supervised(mode=Mode.TAKE_OVER),
    wire.Supervised(mode=None),
    wire.Answer(id=1, sdp="v=0"),
    wire.OfferRefused(id=1, code="no_audio", message="m"),
    wire.PathSelected(path="webrtc"),
    wire.Stalled(leg="browser", stalled=True),
    wire.Sample(
        path="webrtc",
        rtt_ms=20.5,
        carrier_rtt_ms=None,
        browser=wire.LegSample(),
        carrier=wire.LegSample(loss_percent=1.5, backlog_ms=40.0, level_dbov=-30, mos=3.9),
    ),
    wire.Ringing(),
    wire.ToneStarted(name="busy"),
    wire.Accept(at="2026-01-01T00:00:00Z"),
    wire.Mute(muted=True),
    wire.Hold(held=False),
    wire.DtmfReceived(digit="5"),
    wire.Talk(leg="browser", talking=True),
    wire.Volume(input_dbov=-30, output_dbov=-127),
    wire.Cost(seconds=3, cost=MONEY),
    wire.Credit(balance=MONEY, remaining_seconds=60),
    wire.CreditWarning(seconds_left=10, cause="credit"),
    wire.CreditWarningCleared(seconds_left=50),
    wire.Draining(seconds_left=30),
    wire.Warning(name="n", message="m"),
    wire.WarningCleared(name="n"),
    wire.Cancel(**END),
    wire.Disconnect(**END),
    wire.Disconnect(**END, action="Top up.", cut_off="cap"),
    wire.Error(code="bad_token", message="m", action="a", retry=True),
    wire.Pong(id=1),
]
TAKEN = [
    b'{"type":"start","version":1,"token":"ct_x"}',
    b'{"type":"resume","version":1,"call_id":"c","token":"0.x"}',
    b'{"type":"offer","id":1,"sdp":"v=0"}',
    b'{"type":"media","path":"webrtc"}',
    b'{"type":"report","packets":0}',
    b'{"type":"report","packets":50,"lost":1,"concealed_ms":20,"jitter_ms":2.5,"buffer_ms":40,'
    b'"rtt_ms":30.5}',
    b'{"type":"mute","muted":true}',
    b'{"type":"hold","held":true}',
    b'{"type":"dtmf","digits":"12*#AD"}',
    b'{"type":"supervise","mode":"take-over"}',
    b'{"type":"hangup"}',
    b'{"type":"ping","id":3}',
]


@cache
def direction(name: str) -> dict:
    schema = wire.schema()
    return {"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}


@cache
def validator(name: str) -> jsonschema.protocols.Validator:
    """Return what judges the messages of one direction; whether the schema is one is seen once."""
    kind = jsonschema.validators.validator_for(direction(name))
    kind.check_schema(direction(name))
    return kind(direction(name))


@pytest.mark.parametrize("message", SENT, ids=lambda m: type(m).__name__)
def test_everything_sent_fits_the_schema(message):
    validator("FromGateway").validate(json.loads(wire.encode(message)))


def test_every_kind_of_message_is_sampled():
    kinds = {json.loads(wire.encode(m))["type"] for m in SENT}
    assert kinds == set(
        direction("FromGateway")["$defs"]["FromGateway"]["discriminator"]["mapping"]
    )


def test_every_kind_of_a_clients_message_is_sampled():
    kinds = {json.loads(text)["type"] for text in TAKEN}
    assert kinds == set(direction("FromClient")["$defs"]["FromClient"]["discriminator"]["mapping"])


@pytest.mark.parametrize("text", TAKEN)
def test_every_message_of_a_client_is_understood(text):
    validator("FromClient").validate(json.loads(text))
    assert msgspec.json.decode(wire.encode(wire.parse(text)))["type"] == json.loads(text)["type"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"{}",
        b'{"type":"nonsense"}',
        b'{"type":"dtmf","digits":""}',
        b'{"type":"dtmf","digits":"12x"}',
        b'{"type":"dtmf","digits":"' + b"1" * 33 + b'"}',
        b'{"type":"mute","muted":1}',
        b'{"type":"start","version":1}',
        b'{"type":"resume","version":1,"token":"0.x"}',
        b'{"type":"resume","version":1,"call_id":"c","token":"' + b"x" * 257 + b'"}',
        b'{"type":"resume","version":1,"call_id":"' + b"c" * 33 + b'","token":"0.x"}',
        b'{"type":"offer","id":1}',
        b'{"type":"offer","id":1,"sdp":"' + b"x" * 12_001 + b'"}',
        b'{"type":"media","path":"pigeon"}',
        b'{"type":"report"}',
        b'{"type":"report","packets":-1}',
        b'{"type":"report","packets":1.5}',
        b'{"type":"report","packets":1,"lost":2000000000000}',
        b'{"type":"report","packets":1,"rtt_ms":-1}',
        b'{"type":"report","packets":1,"jitter_ms":1e9}',
        b'{"type":"report","packets":1,"buffer_ms":NaN}',
        b"[" * 4000,
    ],
)
def test_nonsense_is_refused(text):
    with pytest.raises(PeerProtocolError) as caught:
        wire.parse(text)
    assert caught.value.close_code == 4400


def test_a_report_on_hours_of_silence_is_taken():
    day_ms = 24 * 3600 * 1000
    report = wire.parse(b'{"type":"report","packets":1,"concealed_ms":%d}' % day_ms)
    assert isinstance(report, wire.Report)
    assert report.concealed_ms == day_ms


def test_a_long_message_is_refused_by_its_length():
    with pytest.raises(PeerProtocolError) as caught:
        wire.parse(b'{"type":"hangup"}' + b" " * wire.MESSAGE_BYTES_MAX)
    assert caught.value.close_code == 1009


def test_the_longest_offer_fits_a_message():
    """Each of its line ends takes four characters in JSON."""
    sdp = "a=candidate\r\n" * (12_000 // 13)
    text = json.dumps({"type": "offer", "id": 1, "sdp": sdp}).encode()
    assert wire.parse(text) == wire.Offer(id=1, sdp=sdp)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(text):
    try:
        wire.parse(text)
    except PeerProtocolError:
        pass
