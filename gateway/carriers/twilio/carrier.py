"""Declares Twilio as a carrier. Each part imports what it returns, when a process takes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

from gateway.carriers.port import (
    CarrierAdapter,
    CarrierClient,
    Explanation,
    HighRiskList,
    PriceList,
)
from gateway.carriers.twilio.configuration import (
    api_origin,
    credentials,
    is_genuine,
    require,
)
from gateway.setup_steps import Question, SetupStep

if TYPE_CHECKING:
    from gateway.carriers.callbacks import Callbacks
    from gateway.carriers.twilio.hooks import NodeHooks
    from gateway.carriers.twilio.signature import TwilioSignatureVerifier
    from gateway.finding import Finding
    from gateway.heartbeat.ticker import Ticker
    from gateway.http.access import DeclaredRoute
    from gateway.ports import CarrierStreams
    from gateway.settings import Settings

QUEUE_S_MAX: Final = 86_400
"""How long Twilio may queue a call before it dials or cancels it."""


ACCOUNT: Final = (
    Question("twilio_account_sid", "Twilio's Account SID (AC…)", is_needed=True),
    Question("twilio_auth_token", "Its auth token", is_needed=True),
    Question("twilio_region", "Region of the account, if not us1: ie1 or au1"),
    Question("twilio_api_key_sid", "SID of an API key (SK…), to place calls without the token"),
    Question(
        "twilio_api_key_secret",
        "Secret of that API key",
        is_needed=True,
        only_with="twilio_api_key_sid",
    ),
)
NUMBER: Final = (
    Question("caller_id", "Number that phones show, such as +15551234567", is_needed=True),
)


def _client(settings: Settings) -> CarrierClient:
    from gateway.carriers.twilio.rest import TwilioCarrier

    require(settings)
    username, password = credentials(settings)
    return TwilioCarrier(
        base_url=api_origin(settings),
        account_sid=settings.twilio_account_sid,
        username=username,
        password=password,
        caller_id=settings.caller_id,
        timeout_s=settings.carrier_timeout_ms / 1000,
        hooks=_hooks(settings).of_call,
    )


def _streams(settings: Settings, ticker: Ticker) -> CarrierStreams:
    from gateway.carriers.twilio.streams import TwilioStreams

    return TwilioStreams(
        _hooks(settings),
        _verifier(settings),
        ticker,
        account_sid=settings.twilio_account_sid,
        start_timeout_s=settings.start_timeout_s,
    )


def _callbacks(settings: Settings, callbacks: Callbacks) -> Sequence[DeclaredRoute]:
    from gateway.carriers.twilio.webhooks import TwilioWebhooks

    return TwilioWebhooks(settings.origin, _verifier(settings), callbacks).routes()


def _origin_fault(settings: Settings) -> str:
    from gateway.carriers.twilio.hooks import unreachable

    is_asked = is_genuine(settings) and settings.origin.startswith("https://")
    return unreachable(settings.origin) if is_asked else ""


async def _check_account(settings: Settings) -> list[Finding]:
    from gateway.carriers.twilio import check

    return await check.account(settings)


async def _check_number(settings: Settings) -> list[Finding]:
    from gateway.carriers.twilio import check

    return [await check.caller_id(settings), await check.permissions(settings)]


def _price_list(settings: Settings) -> AbstractAsyncContextManager[PriceList]:
    from gateway.carriers.twilio.lists import open_price_list

    return open_price_list(settings)


def _high_risk_list(settings: Settings) -> AbstractAsyncContextManager[HighRiskList]:
    from gateway.carriers.twilio.lists import open_high_risk_list

    return open_high_risk_list(settings)


def _explain(code: int) -> Explanation:
    from gateway.carriers.twilio.refusals import meaning_of

    return meaning_of(code)


def _hooks(settings: Settings) -> NodeHooks:
    """Return the addresses for callbacks and media streams that Twilio is given."""
    from gateway.carriers.twilio.hooks import NodeHooks

    return NodeHooks(
        origin=settings.origin,
        media_origin=settings.media_origin,
        node=settings.node,
        secret=settings.twilio_auth_token.reveal(),
    )


def _verifier(settings: Settings) -> TwilioSignatureVerifier:
    from gateway.carriers.twilio.signature import TwilioSignatureVerifier

    # Twilio signs webhooks with an auth token, even where REST uses an API key.
    tokens = (settings.twilio_auth_token, settings.twilio_auth_token_secondary)
    return TwilioSignatureVerifier(
        [token.reveal() for token in tokens if token],
        [key.reveal() for key in settings.twilio_webhook_keys],
    )


CARRIER: Final = CarrierAdapter(
    name="twilio",
    title="Twilio",
    queue_s_max=QUEUE_S_MAX,
    require=require,
    client=_client,
    streams=_streams,
    callbacks=_callbacks,
    api_origin=api_origin,
    origin_fault=_origin_fault,
    needs_https=is_genuine,
    steps=(
        SetupStep("The carrier", ACCOUNT, _check_account),
        SetupStep("The number", NUMBER, _check_number),
    ),
    price_list=_price_list,
    high_risk_list=_high_risk_list,
    explain=_explain,
)
