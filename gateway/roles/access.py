"""Composes access control: keys, sessions, call tokens, velocity limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from billing.clock import utc_now
from gateway.buttons.store import SqlButtons
from gateway.calls.redemption import Redemption, no_people
from gateway.http.admin_routes import AdminRoutes
from gateway.http.bearer import Authenticator
from gateway.http.holders import Holders
from gateway.limits.velocity import effective
from gateway.ports import CallTokens
from gateway.settings import Settings
from gateway.stores.opened import Stores
from gateway.stores.tokens import RedisCallTokens
from gateway.stores.velocity import RedisVelocity
from gateway.stores.wishes import RedisWishes


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Access control; all state is in stores, so every process of a deployment decides alike."""

    velocity: RedisVelocity
    auth: Authenticator
    admin_routes: AdminRoutes
    tokens: CallTokens


def compose_access(
    settings: Settings, stores: Stores, holders: Holders | None = None
) -> AccessControl:
    """Return access control; a call token is valid only while its key or person may place calls.

    Without `holders` no one can be signed in.
    """
    # Monotonic time for intervals in this process, UTC for the expiry of keys.
    velocity = build_velocity(settings, stores, time.monotonic_ns)
    auth = Authenticator(
        stores.accounts,
        stores.key_epochs,
        velocity,
        time.monotonic_ns,
        utc_now,
        holders=holders,
        wishes=RedisWishes(stores.redis, secret=settings.shared_secret),
    )
    redemption = Redemption(
        stores.accounts,
        stores.key_epochs,
        SqlButtons(stores.engine, stores.key_epochs.invalidate),
        utc_now,
        people=no_people if holders is None else holders.caller,
    )
    tokens = RedisCallTokens(
        stores.redis, ttl_s=settings.token_ttl_s, at_redemption=redemption.redeem
    )
    return AccessControl(velocity, auth, AdminRoutes(auth, settings.admin_networks), tokens)


def build_velocity(
    settings: Settings, stores: Stores, clock_ns: Callable[[], int]
) -> RedisVelocity:
    """Return the velocity limits that the settings ask for.

    Their subjects are hashed under the secret that all nodes share.
    """
    # Keyed hashes, because phone numbers and addresses are few enough to be guessed.
    limits = effective(settings.velocity_limits)
    secret = settings.shared_secret
    return RedisVelocity(stores.redis, limits, secret=secret, clock_ns=clock_ns)
