"""The carrier's callbacks: verified first, then handed to the call they are about.

A callback that shows a call of the carrier to be running proves that it was made for the call in
its address. Where that call does not live on it, the carrier's call is ended; whichever node gets
the callback sees to that. Such a callback is answered with success, so that it is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute, signed
from gateway.http.body import read_body
from gateway.http.velocity import address_of
from gateway.logs.refused_signatures import CARRIER_HINT, RefusedSignatures
from gateway.ports import CarrierCallbacks, SignatureVerifier
from gateway.settings import Settings
from gateway.twilio.status import from_callback

log = structlog.get_logger(__name__)

_BODY_BYTES_MAX = 64 * 1024
_ID_MAX = 64
"""As much of an id as is logged; Twilio's have 34 characters."""
_FIELDS_MAX = 200
"""Twilio sends about forty fields and may add more."""


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """Handlers of Twilio's callbacks; all run on the loop and wait for nothing but the body."""

    settings: Settings
    calls: CarrierCallbacks
    verifier: SignatureVerifier
    refused_signatures: RefusedSignatures
    reattach_reply: str
    """TwiML that tells the carrier what to do once a media socket has closed."""
    stray: Callable[[str, str, str], None]
    """Ends a call of the carrier unless a call lives on it: its id there, the id here of the call
    that it was made for, and the node of that one."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the callbacks' routes, those of other nodes as well, which may be gone."""
        base = "/n/{node}/twilio"
        return [
            signed(base + "/status/{call_id}", self.status),
            signed(base + "/stream/{call_id}", self.stream),
            signed(base + "/reattach/{call_id}", self.reattach),
        ]

    async def status(self, request: Request) -> Response:
        """Take a call's status."""
        status = from_callback(await self._verified(request, "status"))
        # A balancer may send a dead node's callbacks to any other node, which does not know the
        # call.
        if self._is_for_this_node(request):
            self.calls.carrier_status(request.path_params["call_id"], status)
        if not status.is_terminal:
            self._is_running(request, status.carrier_call_id)
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        """Take a stream's status: the only place where a failed media handshake shows."""
        form = await self._verified(request, "stream")
        event = form.get("StreamEvent")
        if event == "stream-error":
            log.warning(
                "media stream failed",
                call_id=request.path_params["call_id"],
                # Twilio's own text, of unknown length.
                reason=form.get("StreamError", "")[:200],
            )
            if self._is_for_this_node(request):
                self.calls.stream_failed(request.path_params["call_id"], form.get("CallSid", ""))
        # When a stream fails, the carrier's call itself goes on.
        if event in ("stream-started", "stream-error"):
            self._is_running(request, form.get("CallSid", ""))
        return Response(status_code=204)

    async def reattach(self, request: Request) -> Response:
        """Say what follows when a media socket has closed: nothing, the call is over."""
        form = await self._verified(request, "reattach")
        self._is_running(request, form.get("CallSid", ""))
        return Response(self.reattach_reply, media_type="text/xml")

    def _is_for_this_node(self, request: Request) -> bool:
        return bool(request.path_params["node"] == self.settings.node)

    def _is_running(self, request: Request, carrier_call_id: str) -> None:
        place = request.path_params
        self.stray(carrier_call_id, place["call_id"], place["node"])

    async def _verified(self, request: Request, what: str) -> Mapping[str, str]:
        # Twilio signs the public URL; the request's scheme and Host may be a proxy's.
        url = self.settings.origin + request.scope["path"]
        if query := request.scope["query_string"]:
            # Unchanged bytes: decoding and encoding again could differ from what was signed.
            url += "?" + query.decode("latin-1")
        signature = request.headers.get("x-twilio-signature")
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        # Nothing is read of a request that bears no signature.
        form = await _form(request) if signature else None
        if form is None or not self.verifier.verify(url, form, signature, settings):
            self.refused_signatures.note(address_of(request), "callback", CARRIER_HINT)
            raise RequestRefusedError("bad_signature")
        # Any verified callback proves that the carrier can reach the public origin.
        self.calls.carrier_reached()
        log.debug(
            "carrier called back",
            # Of the form only what names no number.
            what=what,
            state=from_callback(form).state.name,
            call_id=request.path_params["call_id"],
            carrier_call_id=form.get("CallSid", "")[:_ID_MAX],
        )
        return form


class _Form(Mapping[str, str]):
    """The fields of a form; where one is repeated its last value counts, but all are signed."""

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
        """Return all values of a field; Twilio's validator asks for them so."""
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
