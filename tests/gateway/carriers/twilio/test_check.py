"""What is said of the carrier's account, its number and the countries that it may call."""

import contextlib
import dataclasses

import pytest

from gateway.carriers.twilio import check as carrier_check
from gateway.carriers.twilio.account import CALL_RIGHTS, NUMBER_RIGHTS, AccountStatus, Number
from gateway.carriers.twilio.check import (
    account_finding,
    number_finding,
    permissions_finding,
    refused,
)
from gateway.carriers.twilio.dialing import Country
from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.secret import Secret
from gateway.settings_variables import from_mapping
from simulators.carrier.service import SimulatorService, SimulatorSettings

SID = "AC" + "0" * 32
US = Country("US", low_risk_numbers_enabled=True)
DE = Country("DE", low_risk_numbers_enabled=True)
CU = Country("CU", low_risk_numbers_enabled=False)
LV = Country("LV", high_risk_tollfraud_numbers_enabled=True)
GB = Country("GB", low_risk_numbers_enabled=True, high_risk_special_numbers_enabled=True)


@contextlib.asynccontextmanager
async def settings_on(**options):
    carrier = SimulatorService(SimulatorSettings(account_sid=SID, auth_token="secret", **options))
    await carrier.start()
    environ = {
        "CALLER_CARRIER_URL": carrier.url,
        "CALLER_TWILIO_ACCOUNT_SID": SID,
        "CALLER_TWILIO_AUTH_TOKEN": "secret",
        "CALLER_CALLER_ID": "+15005550111",
    }
    try:
        yield from_mapping(environ)
    finally:
        await carrier.stop()


def test_an_account_that_places_no_calls_is_fatal():
    for status in ("suspended", "closed"):
        finding = account_finding(AccountStatus(status, is_trial=False))
        assert (finding.is_away, f"The account is {status}" in finding.text) == (True, True)
    assert account_finding(AccountStatus("active", is_trial=False)).verdict == "ok"


def test_what_a_trial_cannot_do_is_said():
    finding = account_finding(AccountStatus("active", is_trial=True))
    assert finding.verdict == "warning"
    for words in ("verified numbers only", "10 minutes", "announces itself", "Upgrade"):
        assert words in finding.text


@pytest.mark.parametrize(
    ("number", "verdict", "words"),
    [
        (Number.OWN, "ok", "is a number of the account"),
        (Number.VERIFIED, "ok", "is verified"),
        (Number.MUTE, "failed", "no voice"),
        (Number.FOREIGN, "failed", "Buy one, or verify it"),
    ],
)
def test_each_kind_of_number(number, verdict, words):
    finding = number_finding(number)
    assert (finding.verdict, words in finding.text) == (verdict, True)


@pytest.mark.parametrize(
    ("countries", "home", "verdict", "words"),
    [
        ([US, DE, CU], (), "ok", "May be called: DE, US; switched off: CU."),
        ([US, DE], ("US",), "ok", "switched off: none."),
        ([CU, LV], (), "failed", "No country may be called. Switch some on: Twilio's console"),
        ([US, CU], ("CU", "US"), "warning", "CALLER_HOME_COUNTRIES names CU: switch them on"),
        ([US, GB, LV], (), "warning", "are open in GB, LV: switch them off"),
    ],
)
def test_the_countries(countries, home, verdict, words):
    finding = permissions_finding(countries, home)
    assert (finding.verdict, words in finding.text) == (verdict, True), finding.text


def test_many_countries_are_counted():
    codes = [f"A{chr(65 + place)}" for place in range(20)]
    many = [Country(code, low_risk_numbers_enabled=True) for code in codes]
    assert permissions_finding(many, ()).text == "May be called: 20 countries; switched off: none."


@pytest.mark.parametrize(
    ("status", "by_key", "words"),
    [
        (401, False, "(HTTP 401): CALLER_TWILIO_ACCOUNT_SID and CALLER_TWILIO_AUTH_TOKEN."),
        (401, True, "CALLER_TWILIO_API_KEY_SID and CALLER_TWILIO_API_KEY_SECRET."),
        (503, False, "Check CALLER_CARRIER_URL (HTTP 503)"),
        (0, True, "Check CALLER_CARRIER_URL, and whether this machine reaches it."),
    ],
)
def test_what_to_correct_is_named(status, by_key, words):
    error = CarrierError("It failed.", cause=Cause.NETWORK_OUT_OF_ORDER, status=status)
    assert words in refused(error, by_key=by_key)


async def test_all_of_it_on_a_carrier():
    options = {"own_numbers": ("+15005550111",), "countries_off": ("DE",), "high_risk_on": ("GB",)}
    async with settings_on(**options) as settings:
        assert [each.verdict for each in await carrier_check.account(settings)] == ["ok"]
        assert (await carrier_check.caller_id(settings)).verdict == "ok"
        finding = await carrier_check.permissions(settings)
        assert "17 countries; switched off: DE, LV" in finding.text
        assert "are open in GB" in finding.text
    async with settings_on(countries_off=("*",)) as settings:
        assert (await carrier_check.caller_id(settings)).verdict == "failed"
        assert (await carrier_check.permissions(settings)).is_away


async def test_a_carrier_that_is_gone_is_told_everywhere():
    async with settings_on() as settings:
        pass
    found = [
        *await carrier_check.account(settings),
        await carrier_check.caller_id(settings),
    ]
    assert [each.is_away for each in found] == [True, True]
    assert "secret" not in "".join(each.text for each in found)


def test_what_a_key_may_not_read_is_no_fault():
    for status, verdict in ((403, "warning"), (500, "failed")):
        error = CarrierError("No.", cause=Cause.NETWORK_OUT_OF_ORDER, status=status)
        assert carrier_check.unread("number", error).verdict == verdict


@pytest.mark.parametrize(
    ("secondary", "verdict", "words"),
    [("secret", "ok", "either auth token"), ("of before", "warning", "clear it")],
)
async def test_the_second_token_of_a_rotation_is_tried(secondary, verdict, words):
    async with settings_on() as settings:
        rotating = dataclasses.replace(settings, twilio_auth_token_secondary=Secret(secondary))
        _, finding = await carrier_check.account(rotating)
    assert (finding.subject, finding.verdict) == ("second token", verdict)
    assert words in finding.text


@pytest.mark.parametrize(("kind", "verdict"), [("Trial", "warning"), ("Full", "failed")])
async def test_a_number_that_is_assigned_on_trial_is_accepted(kind, verdict):
    async with settings_on(account_type=kind) as settings:
        finding = await carrier_check.caller_id(settings)
    assert finding.verdict == verdict
    assert ("assigned to the recipient" in finding.text) == (kind == "Trial")


async def test_the_right_that_a_restricted_key_lacks_is_named():
    key = {"api_key_sid": "SK" + "b" * 32, "api_key_secret": "k"}
    rights = CALL_RIGHTS[:2]
    async with settings_on(**key, api_key_rights=rights) as settings:
        by_key = dataclasses.replace(
            settings,
            twilio_api_key_sid=key["api_key_sid"],
            twilio_api_key_secret=Secret("k"),
        )
        (finding,) = await carrier_check.account(by_key)
        number = await carrier_check.caller_id(by_key)
    assert (finding.is_away, "/twilio/voice/calls/update" in finding.text) == (True, True)
    assert "calls/create" not in finding.text
    assert (number.verdict, NUMBER_RIGHTS[0] in number.text) == ("warning", True)
