"""One setting names the carrier; one that is not known, or that lacks a secret, stops the start."""

from dataclasses import replace

import pytest

from gateway.carriers.known import CARRIERS, chosen
from gateway.carriers.twilio.carrier import CARRIER as TWILIO
from gateway.errors import SettingsError
from gateway.roles.carrier import require_carrier
from gateway.settings_variables import from_mapping

OTHER = replace(TWILIO, name="other", require=lambda _settings: None)
BOTH = (TWILIO, OTHER)


def test_twilio_is_the_carrier_unless_another_is_named():
    assert chosen(from_mapping({})) is TWILIO
    assert chosen(from_mapping({"CALLER_CARRIER": "other"}), BOTH) is OTHER


def test_a_carrier_that_is_not_known_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(SettingsError, match=r"CALLER_CARRIER .* twilio, other\."):
        chosen(from_mapping({"CALLER_CARRIER": "othr"}), BOTH)
    with pytest.raises(SettingsError, match="CALLER_CARRIER must be the name of a carrier"):
        from_mapping({"CALLER_CARRIER": "Other Ltd"})


def test_names_are_unique_and_those_of_the_folders():
    names = [carrier.name for carrier in CARRIERS]
    assert len(set(names)) == len(names)
    for carrier in CARRIERS:
        assert carrier.client.__module__ == f"gateway.carriers.{carrier.name}.carrier"


def test_a_carrier_without_a_token_of_its_own_needs_a_shared_secret():
    given = {"CALLER_CARRIER": "other"}
    with pytest.raises(SettingsError, match="CALLER_FLEET_SECRET is missing"):
        require_carrier(from_mapping(given), BOTH)
    require_carrier(
        from_mapping({**given, "CALLER_FLEET_SECRET": "long and random, as such keys are"}), BOTH
    )


def test_what_was_hashed_before_stays_hashed_under_the_auth_token():
    token = {"CALLER_TWILIO_AUTH_TOKEN": "token"}
    assert from_mapping(token).shared_secret == "token"
    own = "o" * 32
    assert from_mapping({**token, "CALLER_FLEET_SECRET": own}).shared_secret == own


def test_a_shared_secret_that_can_be_guessed_is_refused_without_being_shown():
    with pytest.raises(
        SettingsError, match="CALLER_FLEET_SECRET must be at least 32 char"
    ) as refused:
        from_mapping({"CALLER_FLEET_SECRET": "hunter2" * 4})
    assert "hunter2" not in str(refused.value)
