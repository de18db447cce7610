"""The error tree: stable codes, static texts."""

import pytest

from gateway.cause import Cause
from gateway.errors import (
    CarrierError,
    GatewayError,
    PeerProtocolError,
    RequestRefusedError,
    SettingsError,
    UnexpectedEventError,
)
from gateway.problems import PROBLEMS


def test_codes_are_unique_within_the_tree():
    kinds: list[type[GatewayError]] = [GatewayError, *GatewayError.__subclasses__()]
    codes = [kind.code for kind in kinds if kind is not RequestRefusedError]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_refusal_carries_its_words(code):
    error = RequestRefusedError(code, field="destination")
    assert (error.code, error.field, str(error)) == (code, "destination", PROBLEMS[code].message)


def test_a_refusal_without_words_is_a_mistake():
    with pytest.raises(KeyError):
        RequestRefusedError("no such code")


def test_data_travels_in_attributes_not_in_texts():
    error = UnexpectedEventError("NEW", "Settled")
    assert (error.state, error.event) == ("NEW", "Settled")
    assert "NEW" not in str(error)
    assert PeerProtocolError("x").close_code == 4400
    assert PeerProtocolError("x", close_code=1009).close_code == 1009


def test_a_carriers_failure_is_final_and_certain_unless_said_otherwise():
    error = CarrierError("x", cause=Cause.USER_BUSY)
    assert (error.retryable, error.ambiguous, error.carrier_code, error.status) == (
        False,
        False,
        0,
        0,
    )
    assert issubclass(SettingsError, GatewayError)
