"""Events point at an object, whatever their shape; what proves nothing is left alone."""

import json

import pytest
from structlog.testing import capture_logs

from gateway.payments.events import EVENT_TYPES, KINDS, subject


def snapshot(kind, event_type, **changes):
    fields = {
        "object": "event",
        "type": event_type,
        "data": {"object": {"object": kind, "id": "x_1"}},
    }
    return json.dumps(fields | changes).encode()


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [
        ("checkout.session", "checkout.session.completed"),
        ("payment_intent", "payment_intent.succeeded"),
        ("charge", "charge.refunded"),
        ("refund", "refund.failed"),
        ("dispute", "charge.dispute.closed"),
    ],
)
def test_an_event_points_at_its_object(kind, event_type):
    assert subject(snapshot(kind, event_type)) == (kind, "x_1")
    thin = {
        "object": "v2.core.event",
        "type": f"v1.{event_type}",
        "related_object": {"id": "x_1", "type": kind, "url": "/v1/x"},
    }
    assert subject(json.dumps(thin).encode()) == (kind, "x_1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"type": 7}',
        b"[" * 100_000,
        b"\xff",
        snapshot("payment_intent", "payment_intent.created"),
        snapshot("customer", "payment_intent.succeeded"),
        snapshot("payment_intent", "payment_intent.succeeded", data={}),
        snapshot("payment_intent", "payment_intent.succeeded", data=None),
        snapshot("payment_intent", "payment_intent.succeeded", data={"object": None}),
        snapshot("payment_intent", "payment_intent.succeeded", data={"object": {}}),
        snapshot("payment_intent", "payment_intent.succeeded", related_object={"id": "x"}),
    ],
)
def test_what_proves_nothing_is_left_alone(body):
    assert subject(body) is None


@pytest.mark.parametrize(
    "object_id",
    ["../../v1/refunds", "pi_1/cancel", "pi_1?x=1", "pi 1", "pi_1\n", "pi_\u00e9", "p" * 256],
)
def test_what_is_no_id_is_logged_and_left_alone(object_id):
    thin = {"type": "v1.refund.failed", "related_object": {"id": object_id, "type": "refund"}}
    full = {"type": "refund.failed", "data": {"object": {"object": "refund", "id": object_id}}}
    for event in (thin, full):
        with capture_logs() as logs:
            assert subject(json.dumps(event).encode()) is None
        (told,) = logs
        assert (told["event"], told["kind"]) == ("payment event names no object", "refund")
        assert object_id not in str(told)


def test_every_type_can_be_listed_at_once():
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES)) <= 20
    assert {"refund", "dispute"} < KINDS
