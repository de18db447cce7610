"""Builds the adapters that the settings ask for; `serve` composes them.

Those that the drainer needs too are in `storage`, so that it imports nothing more.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.carriers.twilio.account import TwilioAccount
from gateway.carriers.twilio.hooks import NodeHooks
from gateway.carriers.twilio.rest import TwilioCarrier
from gateway.carriers.twilio.streams import TwilioStreams
from gateway.errors import SettingsError
from gateway.heartbeat.ticker import Ticker
from gateway.limits.velocity import effective
from gateway.ports import SignatureVerifier
from gateway.settings import Settings
from gateway.stores.opened import Stores
from gateway.stores.velocity import RedisVelocity


def require_carrier(settings: Settings) -> None:
    """Raise SettingsError naming what is missing of the carrier's account."""
    for name in ("twilio_account_sid", "twilio_auth_token", "caller_id"):
        if not getattr(settings, name):
            raise SettingsError(f"CALLER_{name.upper()} is missing; `caller demo` needs none.")


def build_carrier(settings: Settings) -> TwilioCarrier:
    """Return the carrier. Raises SettingsError naming what is missing."""
    require_carrier(settings)
    return TwilioCarrier(
        base_url=settings.carrier_origin,
        account_sid=settings.twilio_account_sid,
        # Falls back to the auth token, which is needed for signatures anyway.
        username=settings.twilio_api_key_sid or settings.twilio_account_sid,
        password=(settings.twilio_api_key_secret or settings.twilio_auth_token).reveal(),
        caller_id=settings.caller_id,
        timeout_s=settings.carrier_timeout_ms / 1000,
        hooks=_node_hooks(settings).of_call,
    )


def build_account(
    settings: Settings, *, by_key: bool = False, is_secondary: bool = False
) -> TwilioAccount:
    """Return the carrier's account as its API key sees it, or as one of its auth tokens does."""
    sid = settings.twilio_account_sid
    token = settings.twilio_auth_token_secondary if is_secondary else settings.twilio_auth_token
    return TwilioAccount(
        base_url=settings.carrier_origin,
        account_sid=sid,
        username=settings.twilio_api_key_sid if by_key else sid,
        password=(settings.twilio_api_key_secret if by_key else token).reveal(),
        timeout_s=settings.carrier_timeout_ms / 1000,
    )


def build_streams(settings: Settings, verifier: SignatureVerifier, ticker: Ticker) -> TwilioStreams:
    """Return the acceptor of the carrier's media streams."""
    return TwilioStreams(
        _node_hooks(settings),
        verifier,
        ticker,
        account_sid=settings.twilio_account_sid,
        start_timeout_s=settings.start_timeout_s,
    )


def _node_hooks(settings: Settings) -> NodeHooks:
    """Return the callback and stream addresses that are given to the carrier."""
    return NodeHooks(
        origin=settings.origin,
        media_origin=settings.media_origin,
        node=settings.node,
        secret=settings.twilio_auth_token.reveal(),
    )


def build_velocity(
    settings: Settings, stores: Stores, clock_ns: Callable[[], int]
) -> RedisVelocity:
    """Return the velocity limits that the settings ask for.

    Their subjects are hashed under the carrier's token, a secret shared by all nodes.
    """
    # Keyed hashes, because phone numbers and addresses are few enough to be guessed.
    limits = effective(settings.velocity_limits)
    secret = settings.twilio_auth_token.reveal()
    return RedisVelocity(stores.redis, limits, secret=secret, clock_ns=clock_ns)
