"""Twilio's documents, from the npm package that carries them, and a simulated carrier.

`requirements/env.sh test-all` installs the package; nothing of it is run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.carrier.service import SimulatorService, SimulatorSettings

from .document import Document, Json

ACCOUNT = "AC" + "a" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
CALLER_ID = "+15005550006"
OTHER_NUMBER = "+442071838750"
OWN_NUMBER = "+18089255327"
MUTE_NUMBER = "+18089255328"

ONE_ACCOUNT = "/2010-04-01/Accounts/{AccountSid}"
_API = (
    "/2010-04-01/Accounts/{Sid}.json",
    f"{ONE_ACCOUNT}/Calls.json",
    f"{ONE_ACCOUNT}/Calls/{{Sid}}.json",
    f"{ONE_ACCOUNT}/Tokens.json",
    f"{ONE_ACCOUNT}/OutgoingCallerIds.json",
    f"{ONE_ACCOUNT}/IncomingPhoneNumbers.json",
)
_VOICE = (
    "/v1/DialingPermissions/Countries",
    "/v1/DialingPermissions/Countries/{IsoCode}",
    "/v1/DialingPermissions/Countries/{IsoCode}/HighRiskSpecialPrefixes",
)
_PRICING = ("/v2/Voice/Numbers/{DestinationNumber}",)

_FOLDER = Path(__file__).parent / "node_modules/@twilio/cli-core/src/services/twilio-api"


def _read(name: str) -> Json:
    path = _FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("the npm package @twilio/cli-core is not installed in tests/contract")
    return dict(json.loads(path.read_text("utf-8")))


@pytest.fixture(scope="session")
def whole_api() -> Json:
    """The document of the main API, as Twilio publishes it."""
    return _read("twilio_api_v2010")


@pytest.fixture(scope="session")
def api(whole_api: Json) -> Document:
    """Accounts, calls, tokens and caller ids."""
    return Document(whole_api, _API)


@pytest.fixture(scope="session")
def voice() -> Document:
    """Permissions to call countries."""
    return Document(_read("twilio_voice_v1"), _VOICE)


@pytest.fixture(scope="session")
def pricing() -> Document:
    """Prices of calls."""
    return Document(_read("twilio_pricing_v2"), _PRICING)


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    """Run a simulated carrier whose calls last tenths of a second; return its URL."""
    settings = SimulatorSettings(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        caller_ids=(CALLER_ID, OTHER_NUMBER),
        own_numbers=(OWN_NUMBER,),
        mute_numbers=(MUTE_NUMBER,),
        account_type="Trial",
        countries_off=("DE",),
        high_risk_on=("GB",),
        cps=1000,
        dispatch_delay_s=0.01,
        ring_s=0.1,
        price_delay_s=0.05,
    )
    service = SimulatorService(settings)
    await service.start()
    try:
        yield service.url
    finally:
        await service.stop()
