"""Takes the media streams that Twilio opens to this node, and finds out whose each is.

A handshake must be signed for our account; the first message of the stream must name that account
and bring the token of one of our calls. Does not know what that call is, or whether it wants the
stream.
"""

from __future__ import annotations

from gateway.carriers.twilio.hooks import NodeHooks
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.media import StreamStart
from gateway.carriers.twilio.signature import SIGNATURE_HINT
from gateway.heartbeat.ticker import Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.ports import (
    Acceptance,
    BindStream,
    CarrierListener,
    HandshakeRequest,
    MediaConnection,
    Refusal,
    SignatureVerifier,
)


class TwilioStreams:
    """The media streams of one node; `gateway.ports.CarrierStreams`."""

    def __init__(
        self,
        hooks: NodeHooks,
        verifier: SignatureVerifier,
        ticker: Ticker,
        *,
        account_sid: str,
        start_timeout_s: int,
    ) -> None:
        """Take the streams of this account; each has to start in time."""
        self._hooks = hooks
        self._verifier = verifier
        self._ticker = ticker
        self._account_sid = account_sid
        self._start_timeout_ns = start_timeout_s * SECOND_NS
        self.path = hooks.stream_path
        self.signature_hint = SIGNATURE_HINT

    def route(self, request: HandshakeRequest, bind: BindStream) -> Acceptance | Refusal:
        """Accept a handshake that Twilio has signed for our account."""
        # The address that we gave to Twilio, not the one that arrived: a proxy may have changed it.
        url = self._hooks.stream_url
        if request.query:
            url += "?" + request.query
        signature = request.headers.get("x-twilio-signature")
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        if not self._verifier.verify(url, {}, signature, settings):
            return Refusal(403, "The signature of the handshake is missing or wrong.")
        # Signed is authenticated: the socket takes no stranger's place.
        return Acceptance(lambda connection: self._attach(connection, bind), is_authenticated=True)

    def _attach(self, connection: MediaConnection, bind: BindStream) -> None:
        leg = TwilioLeg(connection, bind=lambda leg, start: self._bind(leg, start, bind))
        due_ns = self._ticker.clock_ns() + self._start_timeout_ns
        # By what has been read, not by the clock: a start that lies unread is not late.
        self._ticker.when_read(
            due_ns, lambda: None if leg.stream_sid else leg.close(1008, "no start")
        )

    def _bind(self, leg: TwilioLeg, start: StreamStart, bind: BindStream) -> CarrierListener | None:
        """Find the call that a stream belongs to, by the secret that only its order held."""
        detail = start.start
        # The signature of the handshake does not cover what is said in the stream.
        if detail.account_sid != self._account_sid:
            return None
        call_id = self._hooks.call_of(detail.custom_parameters.get("token", ""))
        return bind(leg, call_id, detail.call_sid) if call_id else None
