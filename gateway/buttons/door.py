"""Opens routes to anyone with a valid publishable key.

The button and its account are cached within a key epoch, so that a request needs no SQL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import Clock
from database.errors import StoreUnavailableError
from gateway.buttons.admission import Visit
from gateway.embed.found_button import ButtonKeys, FoundButton
from gateway.embed.keys import mode_of
from gateway.errors import RequestRefusedError
from gateway.heartbeat.cached import Remembered
from gateway.http.access import Access, DeclaredRoute, Endpoint
from gateway.http.body import check_query, with_body_read
from gateway.http.operation import ApiRoute, Operation, handlers_of
from gateway.http.velocity import address_of
from gateway.limits.velocity import embed_uses, refuse, wrong_button_uses
from gateway.ports import Account, AccountStore, KeyEpochs, Velocity

Handler = Callable[[Request, Visit], Awaitable[Response]]
Missing = Callable[[Request], Awaitable[Response]]
"""Answers a visitor's request."""

_CACHE_NS: Final = 10_000_000_000
"""As long as accounts of keys are cached; see `bearer`."""
_CACHE_STALE_NS: Final = 600_000_000_000
_CACHE_KEYS_MAX: Final = 10_000

_Found = tuple[FoundButton, Account]


class ButtonDoor:
    """Finds the button that a request names, and creates the routes that need one."""

    def __init__(
        self,
        buttons: ButtonKeys,
        accounts: AccountStore,
        epochs: KeyEpochs,
        velocity: Velocity,
        *,
        own_origins: Collection[str],
        clock_ns: Callable[[], int],
        utc_now: Clock,
    ) -> None:
        self._buttons = buttons
        self._accounts = accounts
        self._velocity = velocity
        self._own_origins = own_origins
        self._clock_ns = clock_ns
        self._utc_now = utc_now
        self._known: Remembered[_Found] = Remembered(epochs, _CACHE_KEYS_MAX)

    def serve(self, api: object) -> list[DeclaredRoute]:
        """Return the routes of the operations of `api`: each path has a publishable `{key}`."""
        return [
            ApiRoute(self._endpoint(handler, operation), operation)
            for operation, handler in handlers_of(api)
        ]

    def _endpoint(self, handler: Handler, operation: Operation) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            # First of all: a node remembers who is over a limit, so that a flood costs no look-up.
            refuse(await self._velocity.hit(embed_uses(address_of(request))))
            if operation.has_body:
                self._require_own_page(request)
            visit = await self._visit(request)
            if operation.has_body:
                request = await with_body_read(request)
                # Looked up again: the button may have been paused while the body arrived.
                visit = await self._visit(request)
            check_query(request, operation)
            return await handler(request, visit)

        return endpoint

    def _require_own_page(self, request: Request) -> None:
        """Refuse requests from other pages: only the frame sends them. Programs name no page."""
        origin = origin_of(request)
        site = request.headers.get("sec-fetch-site", "same-origin")
        if site != "same-origin" or (origin and origin not in self._own_origins):
            raise RequestRefusedError("bad_origin")

    def page(self, path: str, handler: Handler, missing: Missing | None = None) -> DeclaredRoute:
        """Return the same for a page; an unknown button gets a page that says so.

        By `missing` with status 404, if given.
        """

        async def endpoint(request: Request) -> Response:
            address = address_of(request)
            refuse(await self._velocity.hit(embed_uses(address)))
            visit = await self.find(request.path_params["key"], address)
            if visit is None:
                if missing is None:
                    raise HTTPException(404)
                response = await missing(request)
                # A page that the browser has cached may still be shown.
                if response.status_code == 200:
                    response.status_code = 404
                return response
            return await handler(request, visit)

        return DeclaredRoute(path, endpoint, Access.VISITOR, method="GET")

    async def _visit(self, request: Request) -> Visit:
        address = address_of(request)
        visit = await self.find(request.path_params["key"], address)
        if visit is None:
            raise RequestRefusedError("button_not_found")
        return visit

    async def find(self, key: str, address: str) -> Visit | None:
        """Return the button of a key, for a client address; None if there is no valid one.

        Raises RequestRefusedError after too many unknown keys, and StoreUnavailableError.
        """
        wrong = wrong_button_uses(address)
        epoch = await self._known.epoch()
        # Malformed keys cost no query, but count as wrong ones.
        found = await self._lookup(key, epoch, address) if mode_of(key) is not None else None
        if found is None or self._is_past(found[0]):
            refuse(await self._velocity.hit(wrong))
            return None
        return Visit(*found, epoch, address)

    async def _lookup(self, key: str, epoch: str, address: str) -> _Found | None:
        now_ns = self._clock_ns()
        known = self._known.find(key, epoch, now_ns, _CACHE_NS)
        if known is not None:
            return known
        if key not in self._known:
            # Without counting: beyond the limit, wrong keys cost no query.
            refuse(await self._velocity.look(wrong_button_uses(address)))
        try:
            found = await self._read(key)
        except StoreUnavailableError:
            known = self._known.find(key, epoch, now_ns, _CACHE_STALE_NS)
            if known is None:
                raise
            return known
        if found is None:
            self._known.forget(key)
            return None
        self._known.keep(key, found, epoch, now_ns)
        return found

    async def _read(self, key: str) -> _Found | None:
        button = await self._buttons.by_key(key)
        if button is None:
            return None
        account = await self._accounts.account_by_key_id(button.key_id)
        return None if account is None else (button, account)

    def _is_past(self, button: FoundButton) -> bool:
        # Checked at every use, because the passing of time ends no epoch.
        return button.ends_at is not None and button.ends_at <= self._utc_now()


def origin_of(request: Request) -> str:
    """Return the origin of the requesting page; empty for a program."""
    return request.headers.get("origin", "")
