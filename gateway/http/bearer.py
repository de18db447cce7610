"""Authenticates requests by API key or session, and checks scopes and the key's expiry.

An API key is a bearer token. Only its SHA-256 is stored, which is enough for a random key of 144
bits; looking it up by hash leaks nothing about it through timing.

Accounts of keys are cached within a key epoch (`heartbeat.cached`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.heartbeat.cached import Remembered
from gateway.http.access import Access, DeclaredRoute, Endpoint
from gateway.http.body import check_query, with_body_read
from gateway.http.holders import Holders
from gateway.http.idempotency import Wishes, answer_once
from gateway.http.operation import WITH_BODY, ApiRoute, Once, Operation, handlers_of
from gateway.http.principal import Principal
from gateway.http.velocity import address_of
from gateway.limits.velocity import Use, refuse, wrong_key_uses, wrong_session_uses
from gateway.ports import AccountStore, KeyEpochs, Velocity
from gateway.scopes import Scope

KEY_PREFIX = "ck_"
KEY_CHARS_MAX = 128
_CACHE_NS = 10_000_000_000
"""How long a cached account is used within one epoch. Bounds the delay of changes that end no
epoch: a row edited by hand, or an end of epoch that was lost in a failover of Redis."""
_CACHE_STALE_NS = 600_000_000_000
"""How long it is used while the store is unavailable, within one epoch."""
_CACHE_KEYS_MAX = 10_000


def new_api_key() -> str:
    """Return a fresh random key."""
    return KEY_PREFIX + secrets.token_urlsafe(18)


def key_hash(key: str) -> str:
    """Return the hash of a key that is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


Handler = Callable[[Request, Principal], Awaitable[Response]]
"""Answers an authorized request."""


class Authenticator:
    """Finds out whom a request is from, and creates the routes that need to know."""

    def __init__(
        self,
        accounts: AccountStore,
        epochs: KeyEpochs,
        velocity: Velocity,
        clock_ns: Callable[[], int],
        utc_now: Clock,
        *,
        holders: Holders | None = None,
        wishes: Wishes | None = None,
    ) -> None:
        """Take where keys are looked up; without `holders` no one can be signed in.

        Without `wishes` no idempotency key is compared with earlier ones.
        """
        self._accounts = accounts
        self._velocity = velocity
        self._clock_ns = clock_ns
        self._utc_now = utc_now
        self._holders = holders
        self._wishes = wishes
        self._known: Remembered[Principal] = Remembered(epochs, _CACHE_KEYS_MAX)

    def serve(self, api: object) -> list[DeclaredRoute]:
        """Return the routes of the operations that the methods of `api` declare."""
        return [
            ApiRoute(self.endpoint(handler, operation), operation)
            for operation, handler in handlers_of(api)
        ]

    def endpoint(self, handler: Handler, operation: Operation) -> Endpoint:
        """Return an endpoint that calls an operation's handler for authorised requests.

        See `route`.
        """

        async def checked(request: Request, principal: Principal) -> Response:
            if not operation.judges_query:
                check_query(request, operation)
            if self._wishes is None or operation.once is Once.NO:
                return await handler(request, principal)
            return await answer_once(
                request,
                principal.account.id,
                operation.body,
                self._wishes,
                lambda: handler(request, principal),
            )

        return self._endpoint(
            checked,
            operation.needs,
            operation.method,
            step_up=operation.step_up,
            before_terms=operation.before_terms,
        )

    def route(
        self,
        path: str,
        handler: Handler,
        needs: Scope | Access,
        *,
        method: str = "GET",
        step_up: bool = False,
        before_terms: bool = False,
    ) -> DeclaredRoute:
        """Return a route outside the API, for those with the required scope.

        `Access.KEY` admits every valid key, and signed-in persons. With `step_up` a signed-in
        person needs a recent step-up; a key proves itself with each request. A person who has not
        accepted the terms in force may only look and end things, except where `before_terms` allows
        more; programs need not accept them.
        """
        endpoint = self._endpoint(
            handler, needs, method, step_up=step_up, before_terms=before_terms
        )
        return DeclaredRoute(path, endpoint, needs, method=method, step_up=step_up)

    def _endpoint(
        self,
        handler: Handler,
        needs: Scope | Access,
        method: str,
        *,
        step_up: bool,
        before_terms: bool,
    ) -> Endpoint:
        needs_terms = method in WITH_BODY and not before_terms

        async def endpoint(request: Request) -> Response:
            # Before the body is read, so that strangers cannot make the process buffer anything.
            principal = await self.principal(request, needs)
            if method in WITH_BODY:
                request = await with_body_read(request)
                # Checked again: the key may have been revoked while the body arrived.
                principal = await self.principal(request, needs)
            is_person = principal.signed_in is not None
            if step_up and is_person and not principal.is_stepped_up(self._utc_now()):
                raise RequestRefusedError("step_up_needed")
            if needs_terms and not principal.has_accepted:
                raise RequestRefusedError("terms_changed")
            return await handler(request, principal)

        return endpoint

    async def principal(self, request: Request, needs: Scope | Access) -> Principal:
        """Return whom a request is from. Raises RequestRefusedError, StoreUnavailableError."""
        if self._holders is not None and self._holders.has_cookie(request):
            holder = await self._holders.principal(request)
            if holder is None:
                refuse(await self._velocity.hit(wrong_session_uses(address_of(request))))
                raise RequestRefusedError("unauthorized")
            principal = holder
        else:
            principal = await self._program(request)
        # 403 and not 401: the sender is known, so they may learn which scope is missing.
        if isinstance(needs, Scope) and needs not in principal.scopes:
            raise RequestRefusedError("scope_missing", scope=needs)
        return principal

    async def _program(self, request: Request) -> Principal:
        # With two headers a proxy may have looked at the other one, so neither is accepted.
        given = request.headers.getlist("authorization")
        scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            raise RequestRefusedError("unauthorized")
        tried = wrong_key_uses(address_of(request))
        # Malformed keys cost no query, but count as wrong ones.
        is_key = key.startswith(KEY_PREFIX) and len(key) <= KEY_CHARS_MAX
        program = await self._lookup(key_hash(key), tried) if is_key else None
        if program is None or self._is_past(program.account.key_expires_at):
            # Counted only on failure. Expired and revoked keys count as wrong.
            refuse(await self._velocity.hit(tried))
            raise RequestRefusedError("unauthorized")
        if program.account.is_locked:
            # The key may be a thief's, older than what the lock took back: it may not read anything
            # either.
            raise RequestRefusedError("account_frozen")
        return program

    def _is_past(self, at: datetime | None) -> bool:
        # Checked at every use, because the passing of time ends no epoch.
        return at is not None and at <= self._utc_now()

    async def _lookup(self, digest: str, tried: Sequence[Use]) -> Principal | None:
        """Return whose key this is; None if no one's.

        Raises RequestRefusedError for a new key after too many wrong ones: a known key keeps
        working beside someone at the same address who tries others.
        """
        now_ns = self._clock_ns()
        epoch = await self._known.epoch()
        program = self._known.find(digest, epoch, now_ns, _CACHE_NS)
        if program is not None:
            return program
        # From another epoch, a cached entry only proves that the key was valid once.
        if digest not in self._known:
            # Checks without counting, so that valid keys use nothing up. Beyond the limit, wrong
            # keys cost no query.
            refuse(await self._velocity.look(tried))
        try:
            account = await self._accounts.account_by_key_hash(digest)
        except StoreUnavailableError:
            program = self._known.find(digest, epoch, now_ns, _CACHE_STALE_NS)
            if program is None:
                raise
            return program
        if account is None:
            # A revoked key counts as unknown from now on.
            self._known.forget(digest)
            return None
        program = Principal(account, epoch, account.scopes)
        self._known.keep(digest, program, epoch, now_ns)
        return program
