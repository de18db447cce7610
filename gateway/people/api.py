"""Serves `GET /v1/key`: what the key or session in the request may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import Access, DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.operation import operation
from gateway.http.principal import Principal
from gateway.http.problems import Json
from gateway.scopes import Scope


class KeyView(msgspec.Struct, kw_only=True):
    """A key as its holder sees it. Times are RFC 3339 in UTC."""

    id: str
    """Empty for a signed-in person."""
    account: str
    scopes: list[str]
    expires_at: datetime | None
    takes_feedback: bool
    """Whether feedback on calls is stored: not if the person objects to it."""


@dataclass(frozen=True, slots=True)
class KeysApi:
    """Handler of keys."""

    auth: Authenticator

    def routes(self) -> list[DeclaredRoute]:
        """Return the resource's route."""
        return self.auth.serve(self)

    # Needs no scope: a page must find out what its key allows before it can show anything.
    @operation("GET /v1/key", Access.KEY, KeyView)
    async def show_key(self, _request: Request, principal: Principal) -> Response:
        """Return whose key this is and what it may do."""
        account = principal.account
        return Json(
            KeyView(
                id=account.key_id,
                account=account.id,
                # In enum order; the principal's scopes are an unordered set.
                scopes=[scope for scope in Scope if scope in principal.scopes],
                expires_at=account.key_expires_at,
                takes_feedback=account.keeps_quality,
            )
        )
