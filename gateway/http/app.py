"""The HTTP application: its routes, and the error table applied to them. Takes all it needs."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from billing.errors import BillingError
from gateway.errors import RequestRefusedError
from gateway.http import problems
from gateway.http.access import DeclaredRoute


def create_app(routes: Iterable[DeclaredRoute]) -> Starlette:
    """Return the application that serves these routes.

    Raises TypeError for a route that does not declare who may use it.
    """
    served = list(routes)
    for route in served:
        if not isinstance(route, DeclaredRoute):
            raise TypeError(f"{route} does not declare who may use it")
    return Starlette(
        routes=served,
        exception_handlers={
            RequestRefusedError: problems.on_refusal,
            BillingError: problems.on_billing_error,
            HTTPException: problems.on_http_error,
            Exception: problems.on_fault,
        },
    )
