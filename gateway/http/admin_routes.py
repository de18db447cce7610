"""Creates the routes of operators: for keys of scope admin, from the networks that are accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute
from gateway.http.bearer import Authenticator
from gateway.http.operation import ApiRoute, handlers_of
from gateway.http.principal import Principal
from gateway.http.velocity import address_of
from gateway.operators import (
    REASON_MAX,
    Order,
)
from gateway.scopes import Scope

ADMIN: Final = "/v1/admin"

ACCOUNT: Final = f"{ADMIN}/accounts/{{account_id}}"

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_MAX)]
"""Why an operator does something."""


class ActRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Body of an act that needs only a reason."""

    reason: Reason


Handler = Callable[[Request, Principal], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AdminRoutes:
    """What all routes of operators have in common."""

    auth: Authenticator
    networks: Collection[str]
    """The networks from which operators' keys are accepted; empty: anywhere."""

    def serve(self, api: object) -> list[DeclaredRoute]:
        """Return the routes of the operations that the methods of `api` declare."""
        return [
            ApiRoute(self.auth.endpoint(self._guarded(handler), operation), operation)
            for operation, handler in handlers_of(api)
        ]

    def route(self, path: str, handler: Handler) -> DeclaredRoute:
        """Return a GET route outside the API, for keys of scope admin."""
        return self.auth.route(path, self._guarded(handler), Scope.ADMIN)

    async def admit(self, request: Request) -> None:
        """Return for a request with a key of scope admin, from where it is accepted.

        Raises RequestRefusedError for any other, StoreUnavailableError.
        """
        await self.auth.principal(request, Scope.ADMIN)
        self.check_network(request)

    def _guarded(self, handler: Handler) -> Handler:
        """Return a handler that checks the network; LookupError becomes an unknown account."""

        async def guarded(request: Request, principal: Principal) -> Response:
            self.check_network(request)
            try:
                return await handler(request, principal)
            except LookupError as error:
                # Subclasses of LookupError, but these would be bugs.
                if isinstance(error, KeyError | IndexError):
                    raise
                raise RequestRefusedError("account_not_found") from None

        return guarded

    def check_network(self, request: Request) -> None:
        """Refuse a key of scope admin from another network: it may have been stolen."""
        if not self.networks:
            return
        try:
            address = ip_address(address_of(request))
        except ValueError:
            raise RequestRefusedError("network_refused") from None
        plain = getattr(address, "ipv4_mapped", None) or address
        if not any(plain in ip_network(each) for each in self.networks):
            raise RequestRefusedError("network_refused")


def account_in(request: Request) -> str:
    """Return the account that a path names. Raises RequestRefusedError."""
    account_id: str = request.path_params["account_id"]
    # PostgreSQL cannot store NUL in text: the driver's error would become a 500.
    if "\0" in account_id:
        raise RequestRefusedError("account_not_found")
    return account_id


def operator_of(principal: Principal) -> str:
    """Return how the audit log names the holder of a key of scope admin."""
    # The key's id, because its label may change.
    return f"key {principal.account.key_id}"


def order_of(principal: Principal, reason: str) -> Order:
    """Return who acts and why. Raises RequestRefusedError for a reason that cannot be stored."""
    try:
        return Order(operator_of(principal), reason)
    except ValueError:
        raise RequestRefusedError("bad_request", field="reason") from None
