"""The media streams that Twilio opens: which are taken, and whose call each is."""

import pytest

from gateway.carriers.twilio.hooks import NodeHooks
from gateway.carriers.twilio.streams import TwilioStreams
from gateway.heartbeat.ticker import BEAT_NS, Ticker
from gateway.ports import Acceptance, HandshakeRequest
from tests.gateway.recording import RecordingConnection
from tests.gateway.stage import ACCOUNT_SID, start_message

HOOKS = NodeHooks(
    origin="https://calls.example.com",
    media_origin="wss://calls.example.com",
    node="n1",
    secret="0f" * 16,
)
TOKEN = HOOKS.of_call("c1").token


class Verifier:
    """`gateway.ports.SignatureVerifier` that takes one word for a signature of anything."""

    def __init__(self):
        self.asked = []

    def verify(self, url, form, signature, settings=""):
        self.asked.append((url, dict(form), settings))
        return signature == "signed"


class Trunk:
    """The streams of a node, and the calls that they are offered to."""

    def __init__(self):
        self.now_ns = 5_000_000_000
        self.ticker = Ticker(lambda: self.now_ns)
        self.verifier = Verifier()
        self.streams = TwilioStreams(
            HOOKS, self.verifier, self.ticker, account_sid=ACCOUNT_SID, start_timeout_s=5
        )
        self.offered, self.digits = [], []
        self.is_wanted = True

    def wait(self, seconds):
        for _ in range(round(seconds * 1e9) // BEAT_NS):
            self.now_ns += BEAT_NS
            self.ticker.beat(self.now_ns)

    def bind(self, leg, call_id, carrier_call_id):
        self.offered.append((leg, call_id, carrier_call_id))
        return self if self.is_wanted else None

    def stream_digit(self, digit):
        self.digits.append(digit)

    def stream_ended(self, how):
        raise AssertionError(how)

    def handshake(self, query="", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = HandshakeRequest(self.streams.path, query, named, "192.0.2.1:5060")
        return self.streams.route(request, self.bind)

    def opens(self):
        acceptance = self.handshake(x_twilio_signature="signed")
        assert isinstance(acceptance, Acceptance), acceptance
        connection = RecordingConnection(lambda: self.now_ns)
        acceptance.attach(connection)
        return connection

    def starts(self, token=TOKEN, **changes):
        connection = self.opens()
        connection.say(start_message("CA1", token, **changes))
        return connection


@pytest.fixture
def trunk():
    return Trunk()


def test_a_handshake_must_be_signed(trunk):
    assert trunk.handshake().status == 403
    assert trunk.handshake(x_twilio_signature="forged").status == 403
    accepted = trunk.handshake(
        "a=1",
        x_twilio_signature="signed",
        x_twilio_webhooks_signature_settings="algorithm=HMAC_SHA256",
    )
    assert isinstance(accepted, Acceptance)
    url = "wss://calls.example.com/n/n1/media/carrier"
    assert trunk.verifier.asked[0] == (url, {}, "")
    assert trunk.verifier.asked[-1] == (url + "?a=1", {}, "algorithm=HMAC_SHA256")


def test_the_signature_is_proof(trunk):
    assert trunk.handshake(x_twilio_signature="signed").is_authenticated


def test_a_stream_is_offered_to_its_call_by_the_secret(trunk):
    stream = trunk.starts()
    ((leg, call_id, carrier_call_id),) = trunk.offered
    assert (call_id, carrier_call_id) == ("c1", "CA1")
    assert stream.closed is None
    stream.say({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "5"}})
    assert trunk.digits == ["5"]
    leg.close()
    assert stream.closed == (1000, "call ended")


def test_a_stream_that_its_call_does_not_want_is_ended(trunk):
    trunk.is_wanted = False
    assert trunk.starts().closed == (1008, "protocol error")
    assert len(trunk.offered) == 1


@pytest.mark.parametrize("token", ["", ".", "x.y", "c1", "c1.", "c1.x", "c1.wrong", "c1.sécret"])
def test_a_stream_with_another_secret_is_offered_to_nobody(trunk, token):
    assert trunk.starts(token).closed == (1008, "protocol error")
    assert trunk.offered == []


def test_a_stream_of_another_account_is_offered_to_nobody(trunk):
    assert trunk.starts(accountSid="AC" + "f" * 32).closed[0] == 1008
    assert trunk.offered == []
    assert trunk.starts(accountSid=ACCOUNT_SID).closed is None
    assert len(trunk.offered) == 1


def test_a_stream_without_parameters_is_offered_to_nobody(trunk):
    assert trunk.starts("", customParameters={}).closed[0] == 1008
    assert trunk.offered == []


def test_a_socket_that_never_starts_is_closed(trunk):
    stream = trunk.opens()
    trunk.wait(4.9)
    assert stream.closed is None
    trunk.wait(0.2)
    assert stream.closed == (1008, "no start")


def test_a_start_that_waits_while_the_process_stands_still_is_not_late(trunk):
    stream = trunk.opens()
    trunk.wait(1)
    trunk.now_ns += 8_000_000_000
    trunk.wait(1)
    assert stream.closed is None
    trunk.wait(5)
    assert stream.closed == (1008, "no start")


def test_a_started_stream_is_not_closed_for_that(trunk):
    stream = trunk.starts()
    for _ in range(60):
        stream.say({"event": "media", "streamSid": "MZ1", "media": {"payload": "/w=="}})
        trunk.wait(0.1)
    assert stream.closed is None
