"""Causes: each has its number, its name and its sentence."""

import pytest

from gateway.cause import Cause, from_sip


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_sentence_for_a_person(cause):
    assert cause.message.endswith(".")
    assert cause.name not in cause.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNALLOCATED_NUMBER", 1),
        ("NORMAL_CLEARING", 16),
        ("USER_BUSY", 17),
        ("NO_ANSWER", 19),
        ("CALL_REJECTED", 21),
        ("INVALID_NUMBER_FORMAT", 28),
        ("NETWORK_OUT_OF_ORDER", 38),
        ("NORMAL_TEMPORARY_FAILURE", 41),
        ("PROTOCOL_ERROR", 111),
        ("ORIGINATOR_CANCEL", 487),
        ("ALLOTTED_TIMEOUT", 602),
        ("MEDIA_TIMEOUT", 604),
        ("GATEWAY_DOWN", 609),
    ],
)
def test_numbers_are_those_of_q_850_and_freeswitch(name, value):
    assert Cause[name] == value


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (404, Cause.UNALLOCATED_NUMBER),
        (480, Cause.NO_USER_RESPONSE),
        (484, Cause.INVALID_NUMBER_FORMAT),
        (486, Cause.USER_BUSY),
        (503, Cause.NORMAL_CIRCUIT_CONGESTION),
        (600, Cause.USER_BUSY),
        (603, Cause.CALL_REJECTED),
        (0, None),
        (200, None),
        (499, None),
    ],
)
def test_sip_responses_are_translated_where_they_are_known(response, cause):
    """RFC 3398 section 8.2.6.1."""
    assert from_sip(response) is cause
