"""The HTTP application: its routes, and the error table applied to them. Takes all it needs."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from billing.errors import BillingError
from gateway.errors import RequestRefusedError
from gateway.http import problems


def create_app(routes: Iterable[BaseRoute]) -> Starlette:
    """Return the application that serves these routes."""
    return Starlette(
        routes=list(routes),
        exception_handlers={
            RequestRefusedError: problems.on_refusal,
            BillingError: problems.on_billing_error,
            HTTPException: problems.on_http_error,
            Exception: problems.on_fault,
        },
    )
