"""The carrier's callbacks: nothing unsigned is believed, nothing odd does harm."""

from urllib.parse import urlencode

import httpx
import pytest
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from gateway.call.carrier_status import CarrierState, CarrierStatus
from gateway.call.machine import State
from gateway.carriers.callbacks import Callbacks
from gateway.carriers.twilio.markup import hangup_twiml
from gateway.carriers.twilio.refusals import refusal
from gateway.carriers.twilio.signature import TwilioSignatureVerifier
from gateway.carriers.twilio.webhooks import TwilioWebhooks
from gateway.cause import Cause
from gateway.fleet.messages import CarrierNews
from tests.gateway.calls.test_live import Node
from tests.gateway.stage import SETTINGS

FORM_TYPE = "application/x-www-form-urlencoded"
STATUS = [
    ("CallSid", "CA1"),
    ("CallStatus", "ringing"),
    ("AccountSid", SETTINGS.twilio_account_sid),
]


class Hooks:
    """The webhooks of a node with one call, and the carrier's own way of calling them."""

    def __init__(self, node):
        self.node = node
        self.running = []
        """What the callbacks have shown to be running: carrier call, call, node."""
        self.told = []
        """What other nodes were told."""
        self.client: httpx.AsyncClient

    def routes(self, name="n1", calls=None):
        callbacks = Callbacks(
            name,
            calls,
            self.node.calls.refused_signatures,
            lambda *call: self.running.append(call),
            lambda *news: self.told.append(news),
        )
        verifier = TwilioSignatureVerifier(["secret"])
        webhooks = TwilioWebhooks(SETTINGS.origin, verifier, callbacks)
        return webhooks.routes()

    @property
    def call_id(self):
        return self.node.bridge.call_id

    async def post(
        self, kind, fields=(), *, call_id=None, node="n1", query="", token="secret", **headers
    ):
        path = f"/n/{node}/twilio/{kind}/{call_id or self.call_id}{query}"
        form = {}
        for name, value in fields:
            form.setdefault(name, []).append(value)
        validator = RequestValidator(token)
        signed = "".join(n + v for n in sorted(form) for v in sorted(set(form[n])))
        signature = validator.compute_signature(SETTINGS.origin + path + signed, {})
        sent = {"content-type": FORM_TYPE, "x-twilio-signature": signature, **headers}
        return await self.client.post(path, content=urlencode(list(fields)), headers=sent)


@pytest.fixture
async def hooks(stage, client_of):
    node = Node(stage)
    await node.starts()
    hooks = Hooks(node)
    async with client_of(hooks.routes(calls=node.calls)) as hooks.client:
        yield hooks


@pytest.fixture
async def hooks_of_no_node(stage, client_of):
    """The webhooks of a process of pages, and a call that is elsewhere."""
    hooks = Hooks(Node(stage))
    await hooks.node.starts()
    async with client_of(hooks.routes(name="")) as hooks.client:
        yield hooks


async def test_a_status_reaches_its_call(hooks):
    assert (await hooks.post("status", STATUS)).status_code == 204
    assert hooks.node.bridge.call.state is State.RINGING


@pytest.mark.parametrize("kind", ["status", "stream", "reattach"])
async def test_at_debug_level_each_genuine_callback_is_a_line(hooks, kind):
    with capture_logs() as lines:
        await hooks.post(kind, [*STATUS, ("To", "+15005551000")])
        await hooks.post(kind, STATUS, token="other")
    (line,) = [line for line in lines if line["event"] == "carrier called back"]
    assert line == {
        "event": "carrier called back",
        "log_level": "debug",
        "what": kind,
        "state": "RINGING",
        "call_id": hooks.call_id,
        "carrier_call_id": "CA1",
    }


@pytest.mark.parametrize("kind", ["status", "stream", "reattach"])
async def test_nothing_forged_is_believed(hooks, kind):
    forged = await hooks.post(kind, STATUS, token="other")
    unsigned = await hooks.post(kind, STATUS, **{"x-twilio-signature": ""})
    for reply in (forged, unsigned):
        assert (reply.status_code, reply.json()["code"]) == (403, "bad_signature")
    assert hooks.node.bridge.call.state is State.DIALLING


@pytest.mark.parametrize("query", [b"\xff", b"a=%ff&b=\xe2", b"#", b"?"])
@pytest.mark.parametrize("host", [b"[", b"evil.example/n/n1", b""])
async def test_bytes_that_are_no_text_are_forged_too(hooks, caplog, query, host):
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [
        (b"host", host),
        (b"content-type", FORM_TYPE.encode()),
        (b"x-twilio-signature", b"a"),
    ]
    path = f"/n/n1/twilio/status/{hooks.call_id}"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query}
    await hooks.client._transport.app({**scope, "headers": headers}, receive, send)
    assert sent[0]["status"] == 403
    # Only the refusal is logged.
    told = [line for line in caplog.records if "signature refused" not in line.getMessage()]
    assert told == []
    assert not any(line.exc_info for line in caplog.records)


async def test_a_changed_field_is_forged(hooks):
    path = f"/n/n1/twilio/status/{hooks.call_id}"
    signature = RequestValidator("secret").compute_signature(SETTINGS.origin + path, dict(STATUS))
    headers = {"content-type": FORM_TYPE, "x-twilio-signature": signature}
    changed = urlencode([*STATUS[:1], ("CallStatus", "completed"), *STATUS[2:]])
    assert (await hooks.client.post(path, content=changed, headers=headers)).status_code == 403


async def test_the_query_is_signed_too(hooks):
    assert (await hooks.post("status", STATUS, query="?a=1")).status_code == 204


async def test_fields_of_the_future_repeated_and_empty_do_no_harm(hooks):
    odd = [*STATUS, ("New", "1"), ("New", "2"), ("Empty", ""), ("Ünï", "çödé +&="), ("Emoji", "☎")]
    assert (await hooks.post("status", odd)).status_code == 204
    assert hooks.node.bridge.call.state is State.RINGING


async def test_of_a_repeated_field_the_last_value_counts(hooks):
    fields = [("CallStatus", "busy"), *STATUS]
    assert (await hooks.post("status", fields)).status_code == 204
    assert hooks.node.bridge.call.state is State.RINGING


@pytest.mark.parametrize("fields", [[], [("CallStatus", "unheard-of"), ("CallSid", "CA1")]])
async def test_a_status_that_says_nothing_changes_nothing(hooks, fields):
    assert (await hooks.post("status", fields)).status_code == 204
    assert hooks.node.bridge.call.state is State.DIALLING


async def test_a_call_that_is_gone_is_no_failure(hooks):
    """A failure would be repeated, and put into the account's error log."""
    assert (await hooks.post("status", STATUS, call_id="gone")).status_code == 204


async def test_a_failed_stream_is_logged(hooks):
    fields = [("StreamEvent", "stream-error"), ("StreamError", "31920 handshake"), ("CallSid", "1")]
    with capture_logs() as logs:
        assert (await hooks.post("stream", fields)).status_code == 204
    (line,) = [each for each in logs if each["event"] == "media stream failed"]
    assert (line["carrier_code"], line["reason"]) == (31920, "31920 handshake")
    assert line["call_id"] == hooks.call_id
    assert hooks.node.bridge.call.is_live, "of another carrier call"
    with capture_logs() as logs:
        assert (await hooks.post("stream", [("StreamEvent", "stream-started")])).status_code == 204
    assert {each["log_level"] for each in logs} == {"debug"}


async def test_a_failed_stream_ends_its_call(hooks):
    fields = [("StreamEvent", "stream-error"), ("StreamError", "31902"), ("CallSid", "CA1")]
    assert (await hooks.post("stream", fields, call_id="gone")).status_code == 204
    assert hooks.node.bridge.call.is_live
    assert (await hooks.post("stream", fields)).status_code == 204
    assert hooks.node.bridge.call.cause is Cause.BEARERCAPABILITY_NOTAVAIL
    assert hooks.node.bridge.call.carrier_refusal == refusal(31902, "31902")


async def test_words_without_a_code_are_kept_without_a_number_of_a_person(hooks):
    words = "Stream - WebSocket - Handshake Error, called +14155550123"
    fields = [("StreamEvent", "stream-error"), ("StreamError", words), ("CallSid", "CA1")]
    assert (await hooks.post("stream", fields)).status_code == 204
    kept = hooks.node.bridge.call.carrier_refusal
    assert (kept.code, kept.text) == (0, "Stream - WebSocket - Handshake Error, called …")
    assert "sound" in kept.told["en"]


async def test_a_closed_media_socket_is_followed_by_a_hang_up(hooks):
    reply = await hooks.post("reattach", STATUS)
    assert reply.headers["content-type"].startswith("text/xml")
    assert reply.text == hangup_twiml()


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "application/json", ""])
async def test_another_kind_of_body_is_not_read(hooks, kind):
    reply = await hooks.post("status", STATUS, **{"content-type": kind})
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_beyond_reason_is_refused(hooks, announced):
    async def parts():
        for _ in range(70):
            yield b"a" * 1024

    path = f"/n/n1/twilio/status/{hooks.call_id}"
    headers = {"content-type": FORM_TYPE, "x-twilio-signature": "x"}
    body = b"a" * 70 * 1024 if announced else parts()
    reply = await hooks.client.post(path, content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (413, "payload_too_large")


async def test_what_is_unsigned_is_not_even_read(hooks):
    path = f"/n/n1/twilio/status/{hooks.call_id}"
    headers = {"content-type": FORM_TYPE}
    reply = await hooks.client.post(path, content=b"a" * 70 * 1024, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "bad_signature")


async def test_fields_beyond_reason_are_refused(hooks):
    reply = await hooks.post("status", [(f"f{n}", "1") for n in range(201)])
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")


async def test_only_posts_are_taken(hooks):
    assert (await hooks.client.get(f"/n/n1/twilio/status/{hooks.call_id}")).status_code == 405


# What comes for other nodes.


@pytest.fixture(params=["hooks", "hooks_of_no_node"])
def anywhere(request):
    return request.getfixturevalue(request.param)


async def test_what_comes_for_another_node_is_passed_on_to_it(anywhere):
    hooks = anywhere
    ended = [("CallSid", "CA1"), ("CallStatus", "completed"), ("CallDuration", "7")]
    assert (await hooks.post("status", STATUS, node="n2")).status_code == 204
    assert (await hooks.post("status", ended, node="n2")).status_code == 204
    failed = [("CallSid", "CA1"), ("StreamEvent", "stream-error"), ("StreamError", "31902")]
    assert (await hooks.post("stream", failed, node="n2")).status_code == 204
    assert (await hooks.post("reattach", STATUS, node="n2")).text == hangup_twiml()
    assert [node for node, _ in hooks.told] == ["n2"] * 4
    about = {"call_id": hooks.call_id, "carrier_call_id": "CA1"}
    assert [news for _, news in hooks.told] == [
        CarrierNews(**about, is_running=True, status=CarrierStatus("CA1", CarrierState.RINGING)),
        CarrierNews(
            **about, is_running=False, status=CarrierStatus("CA1", CarrierState.COMPLETED, 7)
        ),
        CarrierNews(
            **about, is_running=True, has_stream_failed=True, refusal=refusal(31902, "31902")
        ),
        CarrierNews(**about, is_running=True),
    ]
    # That node judges for itself.
    assert hooks.running == []
    assert hooks.node.bridge.call.state is State.DIALLING


async def test_what_is_forged_is_not_passed_on(anywhere):
    forged = await anywhere.post("status", STATUS, node="n2", token="other")
    assert (forged.status_code, anywhere.told) == (403, [])


async def test_what_is_a_node_s_own_is_told_to_nobody(hooks):
    await hooks.post("status", STATUS)
    assert hooks.told == []


# What shows that a call of the carrier is running.


async def test_a_callback_shows_a_running_call_wherever_it_comes(hooks):
    """Whose it is, and whether it lives, others judge."""
    for node in ("n1", "n2"):
        assert (await hooks.post("status", STATUS, call_id="gone", node=node)).status_code == 204
    assert hooks.running == [("CA1", "gone", "n1")]
    assert [(node, news.call_id, news.is_running) for node, news in hooks.told] == [
        ("n2", "gone", True)
    ]
    assert hooks.node.bridge.call.state is State.DIALLING


async def test_a_callback_of_another_nodes_call_is_not_taken_for_ours(hooks):
    await hooks.post("status", STATUS, node="n2")
    assert hooks.node.bridge.call.state is State.DIALLING


@pytest.mark.parametrize("status", ["completed", "busy", "no-answer", "failed", "canceled"])
async def test_a_call_that_has_ended_need_not_be_ended(hooks, status):
    await hooks.post("status", [("CallSid", "CA7"), ("CallStatus", status)], call_id="gone")
    assert hooks.running == []


@pytest.mark.parametrize(
    ("event", "shows"),
    [("stream-started", True), ("stream-error", True), ("stream-stopped", False)],
)
async def test_a_stream_shows_a_running_call(hooks, event, shows):
    fields = [("CallSid", "CA7"), ("StreamEvent", event)]
    assert (await hooks.post("stream", fields, call_id="gone")).status_code == 204
    assert hooks.running == [("CA7", "gone", "n1")] * shows


async def test_a_question_what_follows_shows_a_running_call(hooks):
    reply = await hooks.post("reattach", [("CallSid", "CA7")], call_id="gone")
    assert reply.text == hangup_twiml()
    assert hooks.running == [("CA7", "gone", "n1")]


@pytest.mark.parametrize("kind", ["status", "stream", "reattach"])
async def test_what_is_forged_shows_nothing(hooks, kind):
    fields = [*STATUS, ("StreamEvent", "stream-started")]
    for node in ("n1", "n2"):
        forged = await hooks.post(kind, fields, call_id="gone", node=node, token="other")
        assert forged.status_code == 403
    assert hooks.running == []
