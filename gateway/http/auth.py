"""Who sends a request: API keys, checked against their hashes.

An API key is a bearer token. Only its SHA-256 is stored, which is enough for a random key of 144
bits; looking it up by hash leaks nothing of it through time.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from billing.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.ports import Account, AccountStore

KEY_PREFIX = "ck_"
_CACHE_NS = 10_000_000_000
"""How long a key's account is believed without asking: a revoked key works this long at most."""
_CACHE_STALE_NS = 600_000_000_000
"""How long it is believed while the store is away."""
_CACHE_KEYS_MAX = 10_000


def new_api_key() -> str:
    """Return a fresh random key."""
    return KEY_PREFIX + secrets.token_urlsafe(18)


def key_hash(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class Authenticator:
    """Finds the account of a request's API key."""

    def __init__(self, accounts: AccountStore, clock_ns: Callable[[], int]) -> None:
        self._accounts = accounts
        self._clock_ns = clock_ns
        self._known: OrderedDict[str, tuple[int, Account]] = OrderedDict()

    async def account(self, request: Request) -> Account:
        """Return the sender's account. Raises RequestRefusedError, StoreUnavailableError."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(KEY_PREFIX) or len(key) > 128:
            raise RequestRefusedError("unauthorized")
        account = await self._lookup(key_hash(key))
        if account is None:
            raise RequestRefusedError("unauthorized")
        return account

    async def _lookup(self, digest: str) -> Account | None:
        now_ns = self._clock_ns()
        asked_ns, known = self._known.get(digest, (0, None))
        if known is not None and now_ns - asked_ns < _CACHE_NS:
            return known
        try:
            account = await self._accounts.account_by_key_hash(digest)
        except StoreUnavailableError:
            if known is not None and now_ns - asked_ns < _CACHE_STALE_NS:
                return known
            raise
        self._remember(digest, account, now_ns)
        return account

    def _remember(self, digest: str, account: Account | None, now_ns: int) -> None:
        self._known.pop(digest, None)
        if account is not None:
            self._known[digest] = (now_ns, account)
            if len(self._known) > _CACHE_KEYS_MAX:
                self._known.popitem(last=False)
