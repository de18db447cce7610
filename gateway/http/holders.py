"""Finds the person who is signed in by a request's cookie, and refuses what they did not mean."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.http.cookies import Cookies
from gateway.http.csrf import is_from_us
from gateway.http.principal import Principal
from gateway.http.sessions import BrowserSessions
from gateway.ports import Account
from gateway.scopes import PAGE

SHOWN_TO: Final = "caller-account"
"""Field in which a page's script names the account that the page was shown to, as forms do."""


@dataclass(frozen=True, slots=True)
class Holders:
    """The signed-in holders of accounts."""

    sessions: BrowserSessions
    cookies: Cookies
    own_origins: Collection[str]

    def has_cookie(self, request: Request) -> bool:
        """Return whether a request has a session cookie, valid or not."""
        return bool(self.cookies.session(request))

    def check_source(self, request: Request) -> None:
        """Refuse a change that another site requests. Raises RequestRefusedError."""
        sites = request.headers.getlist("sec-fetch-site")
        origins = request.headers.getlist("origin")
        if not is_from_us(request.method, sites, origins, self.own_origins):
            raise RequestRefusedError("cross_origin")

    async def principal(self, request: Request) -> Principal | None:
        """Return who is signed in; None if no one is, or the session is over.

        Raises RequestRefusedError, StoreUnavailableError. A request from a page that was shown to
        another account is refused: it may still be open when someone else signs in with the same
        browser, who must neither pay for what it does nor be shown in it.
        """
        secret = self.cookies.session(request)
        if not secret:
            return None
        # A proxy, or a log, may have looked at the other one, so neither is accepted.
        if "authorization" in request.headers:
            raise RequestRefusedError("two_credentials")
        self.check_source(request)
        who = await self.sessions.who(secret)
        if who is None:
            return None
        if any(named != who.account.id for named in request.headers.getlist(SHOWN_TO)):
            raise RequestRefusedError("form_of_another_account")
        return Principal(who.account, who.epoch, PAGE, who)

    async def goes_on(self, account_id: str, device_id: str, began_at: datetime) -> bool:
        """Return whether a session that began on a device at that time is still alive."""
        return await self.sessions.goes_on(account_id, device_id, began_at)

    async def caller(self, account_id: str, credentials_epoch: int) -> Account | None:
        """Return the account of a person who requested a call, if they may still place it."""
        return await self.sessions.caller(account_id, credentials_epoch)
