"""The carrier's callbacks: verified first, then handed to the call they are about.

A callback about a call that this node no longer holds is answered with success, so that the carrier
does not repeat it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from gateway.engine.calls import Calls
from gateway.errors import RequestRefusedError
from gateway.http.access import DeclaredRoute, signed
from gateway.http.body import read_body
from gateway.ports import SignatureVerifier
from gateway.settings import Settings
from gateway.twilio_status import from_callback

log = logging.getLogger(__name__)

_BODY_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 200
"""Twilio sends about forty fields and may add more."""


@dataclass(frozen=True, slots=True)
class TwilioWebhooks:
    """Handlers of what Twilio calls."""

    settings: Settings
    calls: Calls
    verifier: SignatureVerifier
    reattach_reply: str
    """What the carrier is to do when a media socket has closed."""

    def routes(self) -> list[DeclaredRoute]:
        """Return the callbacks' routes."""
        base = f"/n/{self.settings.node}/twilio"
        return [
            signed(base + "/status/{call_id}", self.status),
            signed(base + "/stream/{call_id}", self.stream),
            signed(base + "/reattach/{call_id}", self.reattach),
        ]

    async def status(self, request: Request) -> Response:
        """Take a call's status."""
        form = await self._verified(request)
        call = self.calls.find(request.path_params["call_id"])
        if call is not None:
            call.carrier_status(from_callback(form))
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        """Take a stream's status: the only place where a failed media handshake shows."""
        form = await self._verified(request)
        if form.get("StreamEvent") == "stream-error":
            log.warning(
                "The carrier's media stream of call %s failed: %.200s",
                *(request.path_params["call_id"], form.get("StreamError", "")),
            )
        return Response(status_code=204)

    async def reattach(self, request: Request) -> Response:
        """Say what follows when a media socket has closed: nothing, the call is over."""
        await self._verified(request)
        return Response(self.reattach_reply, media_type="text/xml")

    async def _verified(self, request: Request) -> Mapping[str, str]:
        url = self.settings.origin + request.url.path
        if request.url.query:
            url += "?" + request.url.query
        signature = request.headers.get("x-twilio-signature")
        if not signature:
            raise RequestRefusedError("bad_signature")
        form = await _form(request)
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        if not self.verifier.verify(url, form, signature, settings):
            raise RequestRefusedError("bad_signature")
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
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise RequestRefusedError("bad_request")
    body = await read_body(request, _BODY_BYTES_MAX)
    try:
        pairs = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS_MAX
        )
    except ValueError:
        raise RequestRefusedError("bad_request") from None
    return _Form(pairs)
