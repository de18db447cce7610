"""The list of events is what is told: examples have the fields, and bodies the form, that leave."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.calls.call_view import CallView
from gateway.payments.service import event_data as payment_fields
from gateway.post.notices import NOTICES
from gateway.problems import PROBLEMS
from gateway.webhooks.events import (
    BODY_BYTES_MAX,
    CALL_ENDED,
    EVENT_TYPES,
    OF_ACCOUNTS,
    OF_OPERATOR,
    TEST,
    body_of,
    event_id,
    read_types,
)
from gateway.webhooks.target import Unfit

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_a_body_has_the_three_fields_of_the_specification():
    body = body_of(TEST, AT, {"account_id": "é"})
    assert json.loads(body) == {
        "type": "webhook.test",
        "timestamp": "2026-11-28T12:00:00Z",
        "data": {"account_id": "é"},
    }


def test_a_body_is_shorter_than_20_kb():
    room = BODY_BYTES_MAX - len(body_of(TEST, AT, ""))
    assert len(body_of(TEST, AT, "x" * (room - 1))) == BODY_BYTES_MAX - 1
    with pytest.raises(ValueError, match="too long"):
        body_of(TEST, AT, "x" * room)


def test_every_example_fits():
    for each in EVENT_TYPES.values():
        assert json.loads(body_of(each.name, AT, each.example))["type"] == each.name


def test_the_example_of_an_ended_call_is_what_the_api_shows():
    example = EVENT_TYPES[CALL_ENDED].example
    view = msgspec.convert(example, CallView)
    assert msgspec.to_builtins(view).keys() == example.keys()


def test_the_examples_of_payments_have_the_fields_that_are_told():
    class Payment:
        account_id, id, kind, currency = "alice", "pay_1", "checkout", "EUR"

    fields = payment_fields(Payment(), 5, "payment:pay_1").keys()
    for name in ("received", "refunded", "refund_failed", "disputed", "dispute_won"):
        assert EVENT_TYPES[f"payment.{name}"].example.keys() == fields


def test_accounts_and_the_operator_have_lists_of_their_own():
    assert CALL_ENDED in OF_ACCOUNTS
    assert CALL_ENDED not in OF_OPERATOR
    assert set(OF_ACCOUNTS) | set(OF_OPERATOR) == set(EVENT_TYPES)
    assert not any(name.startswith("alarm.") for name in OF_ACCOUNTS)


def test_a_filter_is_stored_in_one_order_and_names_what_there_is():
    assert read_types([]) == ""
    assert read_types(["call.cut_off", "call.ended", "call.ended"]) == "call.ended call.cut_off"
    # All of them fit into the column.
    assert len(read_types(OF_ACCOUNTS)) <= 1_000
    for wrong in ("call", "alarm.raised", "", "call.ended "):
        with pytest.raises(ValueError, match="no such type"):
            read_types([wrong])


def test_ids_follow_from_facts_and_have_no_full_stop():
    ids = {event_id("a", "b"), event_id("ab"), event_id("a", "c"), event_id("a\0b", "")}
    assert len(ids) == 4
    assert event_id("a", "b") == event_id("a", "b")
    assert all("." not in each and len(each) <= 64 for each in ids)


def test_what_is_refused_has_words():
    assert "webhook_refused" in PROBLEMS
    assert {word.isidentifier() for word in Unfit} == {True}
    assert NOTICES["webhook_disabled"].values == {"label", "why"}
