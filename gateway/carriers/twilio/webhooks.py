"""Takes Twilio's callbacks: each is verified first, then handed to the call it is about.

A callback about a call that is not here is answered with success, so that it is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.call.carrier_status import CarrierStatus
from gateway.carriers.callbacks import Callbacks
from gateway.carriers.twilio.markup import hangup_twiml
from gateway.carriers.twilio.refusals import of_stream
from gateway.carriers.twilio.signature import SIGNATURE_HINT
from gateway.carriers.twilio.status import from_callback
from gateway.cause import CarrierRefusal
from gateway.errors import RequestRefusedError
from gateway.fleet.messages import CarrierNews
from gateway.http.access import DeclaredRoute, signed
from gateway.http.body import read_body
from gateway.ports import SignatureVerifier

log = structlog.get_logger(__name__)

_BODY_BYTES_MAX = 64 * 1024
_ID_MAX = 64
"""How much of an id is logged; Twilio's have 34 characters."""
_FIELDS_MAX = 200
"""Twilio sends about forty fields and may add more."""


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """Handlers of Twilio's callbacks; all run on the loop and wait only for the body."""

    origin: str
    """The public origin, which is part of what is signed."""
    verifier: SignatureVerifier
    callbacks: Callbacks

    def routes(self) -> list[DeclaredRoute]:
        """Return the callbacks' routes, including those of other nodes, which may be gone."""
        base = "/n/{node}/twilio"
        return [
            signed(base + "/status/{call_id}", self.status),
            signed(base + "/stream/{call_id}", self.stream),
            signed(base + "/reattach/{call_id}", self.reattach),
        ]

    async def status(self, request: Request) -> Response:
        """Take a call's status."""
        status = from_callback(await self._verified(request, "status"))
        self._deliver(
            request, status.carrier_call_id, status=status, is_running=not status.is_terminal
        )
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        """Take a stream's status: the only place where a failed media handshake shows."""
        form = await self._verified(request, "stream")
        event = form.get("StreamEvent")
        refusal = None
        if event == "stream-error":
            refusal = of_stream(form.get("StreamError", ""))
            log.warning(
                "media stream failed",
                call_id=request.path_params["call_id"],
                carrier_code=refusal.code,
                reason=refusal.text,
            )
        # When a stream fails, the carrier's call itself goes on.
        if refusal is not None or event == "stream-started":
            self._deliver(request, form.get("CallSid", ""), is_running=True, stream_error=refusal)
        return Response(status_code=204)

    async def reattach(self, request: Request) -> Response:
        """Return what follows when a media socket has closed: nothing, the call is over."""
        form = await self._verified(request, "reattach")
        self._deliver(request, form.get("CallSid", ""), is_running=True)
        return Response(hangup_twiml(), media_type="text/xml")

    def _deliver(
        self,
        request: Request,
        carrier_call_id: str,
        *,
        is_running: bool,
        status: CarrierStatus | None = None,
        stream_error: CarrierRefusal | None = None,
    ) -> None:
        """Tell the node in the URL what the carrier reports about its call."""
        news = CarrierNews(
            call_id=request.path_params["call_id"],
            carrier_call_id=carrier_call_id,
            is_running=is_running,
            status=status,
            has_stream_failed=stream_error is not None,
            refusal=stream_error,
        )
        self.callbacks.deliver(request.path_params["node"], news)

    async def _verified(self, request: Request, what: str) -> Mapping[str, str]:
        # Twilio signs the public URL; the request's scheme and Host may be a proxy's.
        url = self.origin + request.scope["path"]
        if query := request.scope["query_string"]:
            # Unchanged bytes: decoding and encoding again could differ from what was signed.
            url += "?" + query.decode("latin-1")
        signature = request.headers.get("x-twilio-signature")
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        # Nothing is read of a request without a signature.
        form = await _form(request) if signature else None
        if form is None or not self.verifier.verify(url, form, signature, settings):
            raise self.callbacks.refused(request, SIGNATURE_HINT)
        self.callbacks.reached()
        log.debug(
            "carrier called back",
            # Only those fields that contain no number.
            what=what,
            state=from_callback(form).state.name,
            call_id=request.path_params["call_id"],
            carrier_call_id=form.get("CallSid", "")[:_ID_MAX],
        )
        return form


class _Form(Mapping[str, str]):
    """The fields of a form; the last value of a repeated one counts, but all are signed."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._values[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getlist(self, name: str) -> list[str]:
        """Return all values of a field, as Twilio's validator requires."""
        return self._values[name]


async def _form(request: Request) -> _Form:
    # The signature covers form fields only: another content type would be accepted unsigned.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RequestRefusedError("bad_request")
    body = await read_body(request, _BODY_BYTES_MAX)
    try:
        # Blank fields are signed too.
        pairs = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise RequestRefusedError("bad_request") from None
    return _Form(pairs)
