"""Turns refusals and failures into `application/problem+json` (RFC 9457).

Codes, texts and statuses come from the one table of `gateway.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from billing.clock import utc_text
from billing.errors import BillingError
from database.errors import StoreUnavailableError
from gateway.errors import PaymentError, RequestRefusedError, TooFastError
from gateway.problems import PROBLEMS

_CODE_OF_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
}


class Json(Response):
    """A JSON reply, encoded by msgspec."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Encode the content."""
        return msgspec.json.encode(content)


class ProblemBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a request was refused, or failed (RFC 9457)."""

    type: str
    title: str
    """What happened, for people."""
    status: int
    code: str
    """Stable: for programs to check."""
    action: str
    """What to do, for people."""
    retry: bool
    """Whether the same request may succeed later."""
    field: str = ""
    """The field, parameter or header that is wrong."""
    reason: str = ""
    """A code for what is wrong with the field."""
    opens_at: str = ""
    """When a closed button opens: RFC 3339, in UTC."""
    scope: str = ""
    """The scope that the key lacks."""


def problem(
    code: str,
    *,
    field: str = "",
    scope: str = "",
    opens_at: datetime | None = None,
    reason: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the reply for a code of the table."""
    entry = PROBLEMS[code]
    body = ProblemBody(
        type=f"urn:caller:problem:{code}",
        title=entry.message,
        status=entry.status,
        code=code,
        action=entry.action,
        retry=entry.retry,
        field=field,
        reason=reason,
        opens_at=utc_text(opens_at) if opens_at else "",
        scope=scope,
    )
    extra = dict(headers or {})
    if scope:
        # RFC 6750, 3.1.
        extra["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{scope}"'
    if entry.status in (429, 503):
        # If it is unknown when, as when all places are taken until someone leaves.
        extra.setdefault("Retry-After", "5")
    if entry.status == 401:
        # RFC 9110, 15.5.2: a 401 names the authentication scheme.
        extra.setdefault("WWW-Authenticate", "Bearer")
    return Response(
        msgspec.json.encode(body), entry.status, extra, media_type="application/problem+json"
    )


async def on_refusal(_request: Request, error: Exception) -> Response:
    """Reply to a request that was refused for a reason its sender can act on."""
    if not isinstance(error, RequestRefusedError):
        # Registered for this type only, so any other error is a bug in the registration.
        raise error
    wait = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    if isinstance(error, TooFastError) and error.limit:
        # draft-ietf-httpapi-ratelimit-headers, 3 and 4.
        wait["RateLimit-Policy"] = f'"{error.limit}";q={error.amount};w={error.window_s}'
        wait["RateLimit"] = f'"{error.limit}";r=0;t={error.retry_after_s}'
    return problem(
        error.code,
        field=error.field,
        scope=error.scope,
        opens_at=error.opens_at,
        reason=error.reason,
        headers=wait,
    )


async def on_failure(_request: Request, error: Exception) -> Response:
    """Reply when a store is unavailable."""
    # An error without a public code is a fault on our side, logged and answered like any other.
    if not isinstance(error, BillingError | StoreUnavailableError) or error.code not in PROBLEMS:
        raise error
    return problem(error.code)


@contextmanager
def payment_errors() -> Iterator[None]:
    """Turn a refusal or an outage of the payment service into a refusal of the request."""
    try:
        yield
    except PaymentError as error:
        # The service has limits of its own, known only from its answer.
        is_amount = error.service_code in ("amount_too_small", "amount_too_large")
        raise RequestRefusedError(
            "amount_out_of_range" if is_amount else "payment_unavailable"
        ) from None


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Reply to requests that the router itself refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    # Keeps `Allow`, which RFC 9110, 15.5.6 requires in a 405.
    return problem(_CODE_OF_STATUS.get(status, "bad_request"), headers=headers)
