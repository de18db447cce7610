"""What Twilio's client is built from: its credentials, each named where it is missing."""

from typing import Any

import pytest

from gateway.carriers.twilio.carrier import CARRIER
from gateway.errors import SettingsError
from gateway.settings_variables import from_mapping

TWILIO = {
    "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "CALLER_TWILIO_AUTH_TOKEN": "secret",
    "CALLER_CALLER_ID": "+15005550006",
}


@pytest.mark.parametrize("missing", TWILIO)
async def test_a_carrier_needs_its_credentials_and_says_which(missing):
    given = {name: value for name, value in TWILIO.items() if name != missing}
    with pytest.raises(SettingsError, match=missing):
        CARRIER.client(from_mapping(given))


async def test_an_api_key_takes_the_place_of_the_auth_token():
    given = {
        **TWILIO,
        "CALLER_TWILIO_API_KEY_SID": "SK" + "1" * 32,
        "CALLER_TWILIO_API_KEY_SECRET": "key secret",
    }
    for environ, expected in (
        (TWILIO, (TWILIO["CALLER_TWILIO_ACCOUNT_SID"], "secret")),
        (given, ("SK" + "1" * 32, "key secret")),
    ):
        carrier: Any = CARRIER.client(from_mapping(environ))
        assert (carrier._client.username, carrier._client.password) == expected
        await carrier.close()
