"""The payment service's webhook: verified first, then looked up at the service.

An event is trusted only for which object it is about.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute, signed
from gateway.http.body import read_body
from gateway.http.problems import payment_errors
from gateway.http.velocity import address_of
from gateway.logs.refused_signatures import PAYMENTS_HINT, RefusedSignatures
from gateway.payments.events import subject
from gateway.payments.signature import is_signed
from gateway.secret import Secret

WEBHOOK_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class StripeWebhook:
    """Handler of the payment service's signed events, snapshot and thin."""

    secrets: tuple[Secret, ...]
    book_object: Callable[[str, str], Awaitable[Any]]
    """`Payments.book_object`."""
    clock_s: Callable[[], float]
    """Wall clock, in Unix seconds."""
    refused_signatures: RefusedSignatures

    def routes(self) -> list[DeclaredRoute]:
        """Return the webhook's route."""
        return [signed("/stripe/webhook", self.receive)]

    async def receive(self, request: Request) -> Response:
        """Verify an event, then look up what it is about.

        The service stops repeating after a success, so that is sent only when all is booked.
        """
        header = request.headers.get("stripe-signature", "")
        # Nothing is read of a request without a signature.
        body = await read_body(request, WEBHOOK_BYTES_MAX) if header else b""
        if not header or not is_signed(header, body, self.secrets, self.clock_s()):
            self.refused_signatures.note(address_of(request), "payment event", PAYMENTS_HINT)
            raise RequestRefusedError("bad_signature")
        about = subject(body)
        # Other events succeed too: a refused event would be sent again for three days.
        if about is not None:
            # A failure becomes a 503, so that the event is sent again; booking is idempotent.
            with payment_errors():
                await self.book_object(*about)
        return Response(status_code=200)
