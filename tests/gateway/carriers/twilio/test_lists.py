"""Lists of the carrier are read by its credentials, at the host of their API."""

import pytest

from gateway.carriers.twilio.lists import build_reader
from gateway.errors import SettingsError
from gateway.settings_variables import from_mapping

TWILIO = {"CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "CALLER_TWILIO_AUTH_TOKEN": "hush"}


@pytest.mark.parametrize("missing", TWILIO)
def test_without_credentials_both_are_named(missing):
    given = {name: value for name, value in TWILIO.items() if name != missing}
    with pytest.raises(SettingsError, match=r"CALLER_TWILIO_ACCOUNT_SID and .*_AUTH_TOKEN"):
        build_reader(from_mapping(given), "pricing", "prices")


async def test_no_secret_is_shown_by_what_reads():
    async with build_reader(from_mapping(TWILIO), "pricing", "prices") as reader:
        assert "hush" not in repr(reader)
