"""Who may use a route: each says so where it is made, and the application takes no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.scopes import Scope

Endpoint = Callable[[Request], Awaitable[Response]]


class Access(StrEnum):
    """Who may use a route that asks for no scope."""

    PUBLIC = "public"
    """Anybody."""
    SIGNED = "signed"
    """Whoever signs the request; its handler verifies that before all else."""
    KEY = "key"
    """Holders of any valid API key."""


class DeclaredRoute(Route):
    """A route that says who may use it.

    `public` and `signed` make those without a key, `Authenticator.route` those with one.
    """

    def __init__(
        self, path: str, endpoint: Endpoint, needs: Scope | Access, *, method: str
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.needs = needs


def public(path: str, endpoint: Endpoint) -> DeclaredRoute:
    """Return a route that anybody may read."""
    return DeclaredRoute(path, endpoint, Access.PUBLIC, method="GET")


def signed(path: str, endpoint: Endpoint) -> DeclaredRoute:
    """Return a route for those who post signed requests."""
    return DeclaredRoute(path, endpoint, Access.SIGNED, method="POST")
