"""Declares who may use each route; the application refuses routes without a declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.scopes import Scope

Endpoint = Callable[[Request], Awaitable[Response]]


class Access(StrEnum):
    """Who may use a route that needs no scope."""

    PUBLIC = "public"
    """Anyone."""
    FORM = "form"
    """Anyone, from a page of ours."""
    SIGNED = "signed"
    """A service that signs its requests; the handler verifies the signature first."""
    VISITOR = "visitor"
    """Anyone with a valid publishable key."""
    KEY = "key"
    """Holders of any valid API key, and signed-in persons."""
    HOLDER = "holder"
    """A signed-in person, from a page of ours if it changes something."""


class DeclaredRoute(Route):
    """A route with a declaration of who may use it.

    Created by `public` and `signed`, by `Authenticator.route`, which also checks the API key or the
    session, by `buttons.door.ButtonDoor`, which finds the button, or by `site.door.Door`, which
    checks where a form comes from and who is signed in.
    """

    def __init__(
        self,
        path: str,
        endpoint: Endpoint,
        needs: Scope | Access,
        *,
        method: str,
        step_up: bool = False,
    ) -> None:
        # One method per route, so that reading and changing a resource can need different scopes.
        super().__init__(path, endpoint, methods=[method])
        self.needs = needs
        self.step_up = step_up
        """Whether a signed-in person needs a recent step-up."""


def public(path: str, endpoint: Endpoint) -> DeclaredRoute:
    """Return a GET route for anyone."""
    return DeclaredRoute(path, endpoint, Access.PUBLIC, method="GET")


def signed(path: str, endpoint: Endpoint) -> DeclaredRoute:
    """Return a POST route for signed requests."""
    return DeclaredRoute(path, endpoint, Access.SIGNED, method="POST")
