"""What an account is, and which numbers it may show; and replies that make no sense."""

import asyncio
import contextlib

import pytest

from gateway.carriers.twilio import account as twilio_account
from gateway.carriers.twilio.account import (
    CALL_RIGHTS,
    NUMBER_RIGHTS,
    AccountStatus,
    Number,
    TwilioAccount,
)
from gateway.errors import CarrierError
from tests.simulators.carrier.conftest import peer, start
from tests.simulators.carrier.peer import ACCOUNT, FROM, TOKEN
from tests.valkey import free_port

__all__ = ["peer", "start"]

OWN, MUTE, FOREIGN = "+15005550111", "+15005550112", "+15005550113"
KEY = "SK" + "0" * 32


@contextlib.asynccontextmanager
async def account_on(url, username=ACCOUNT, password=TOKEN, timeout_s=5):
    account = TwilioAccount(
        base_url=url,
        account_sid=ACCOUNT,
        username=username,
        password=password,
        timeout_s=timeout_s,
    )
    try:
        yield account
    finally:
        await account.close()


@pytest.mark.parametrize(
    ("shown", "standing"),
    [
        ({}, AccountStatus("active", is_trial=False)),
        ({"account_type": "Trial"}, AccountStatus("active", is_trial=True)),
        ({"account_status": "suspended"}, AccountStatus("suspended", is_trial=False)),
    ],
)
async def test_the_account_is_read(start, shown, standing):
    async with start(**shown) as simulated, account_on(simulated.service.url) as account:
        assert await account.standing() == standing


async def test_a_standard_key_is_proved_without_reading_the_account(start):
    """Twilio error 20003: such a key reads all but accounts and keys."""
    async with start(api_key_sid=KEY, api_key_secret="s", own_numbers=(OWN,)) as simulated:
        async with account_on(simulated.service.url, KEY, "s") as account:
            assert (await account.standing()).status == ""
            assert await account.number(OWN) is Number.OWN
        for username, password in ((KEY, "wrong"), (ACCOUNT, "wrong")):
            async with account_on(simulated.service.url, username, password) as account:
                with pytest.raises(CarrierError) as caught:
                    await account.standing()
            assert caught.value.status == 401
            assert "credentials" in str(caught.value)


async def test_each_number_is_told_from_the_others(start):
    numbers = {"own_numbers": (OWN,), "mute_numbers": (MUTE, FROM)}
    async with start(**numbers) as simulated, account_on(simulated.service.url) as account:
        assert await account.number(OWN) is Number.OWN
        assert await account.number(MUTE) is Number.MUTE
        assert await account.number(FOREIGN) is Number.FOREIGN
        # Twilio would dial from it all the same: it is verified.
        assert await account.number(FROM) is Number.VERIFIED


async def test_another_number_in_the_list_is_not_ours(service):
    """Twilio's filter takes patterns, and finds what only contains the number."""
    longer = {"phone_number": OWN + "1", "capabilities": {"voice": True}}
    keys = ("incoming_phone_numbers", "outgoing_caller_ids")
    service.replies = [{key: [longer], "next_page_uri": None} for key in keys]
    async with account_on(service.url) as account:
        assert await account.number(OWN) is Number.FOREIGN


async def test_what_passes_is_tried_again_and_nothing_else(service, monkeypatch):
    monkeypatch.setattr(twilio_account, "BACKOFF_S", 0.001)
    good = {"sid": ACCOUNT, "status": "active", "type": "Full"}
    busy, broken = (429, {"code": 20429}, {}), (503, {"code": 20503}, {})
    async with account_on(service.url) as account:
        service.replies = [busy, broken, good]
        assert (await account.standing()).status == "active"
        for reply, asked in ((broken, twilio_account.ATTEMPTS), ((404, {"code": 20404}, {}), 1)):
            service.replies, service.requests = [reply], []
            with pytest.raises(CarrierError):
                await account.standing()
            assert len(service.requests) == asked


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff", b'{"incoming_phone_numbers":7}'])
async def test_nonsense_is_an_error_of_the_carriers(service, body):
    service.replies = [(200, body, {})]
    async with account_on(service.url) as account:
        with pytest.raises(CarrierError):
            await account.number(OWN)


async def test_nobody_there():
    async with account_on(f"http://127.0.0.1:{free_port()}") as account:
        with pytest.raises(CarrierError, match="could not be connected"):
            await account.standing()


RIGHTS = (*CALL_RIGHTS, *NUMBER_RIGHTS)


@pytest.mark.parametrize(
    ("rights", "missing"),
    [(RIGHTS, ()), (RIGHTS[1:], RIGHTS[:1]), (RIGHTS[:1], RIGHTS[1:3])],
)
async def test_the_rights_that_a_restricted_key_lacks_are_named(start, rights, missing):
    key = {"api_key_sid": KEY, "api_key_secret": "s", "api_key_rights": rights}
    async with (
        start(**key) as simulated,
        account_on(simulated.service.url, KEY, "s") as account,
    ):
        assert await account.standing() == AccountStatus("", is_trial=False, missing=missing)
        # What tries the rights places no call.
        assert await asyncio.to_thread(simulated.client.calls.list) == []


async def test_a_key_without_any_right_is_refused(start):
    key = {"api_key_sid": KEY, "api_key_secret": "s", "api_key_rights": ()}
    async with (
        start(**key) as simulated,
        account_on(simulated.service.url, KEY, "s") as account,
    ):
        with pytest.raises(CarrierError) as caught:
            await account.standing()
    assert (caught.value.status, caught.value.carrier_code) == (403, 70051)
