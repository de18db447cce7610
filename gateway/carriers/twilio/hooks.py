"""Builds the addresses at which Twilio reaches a node, and the secrets of its media streams.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from gateway.carriers.twilio.stream_token import call_of, stream_token


@dataclass(frozen=True, slots=True)
class CallHooks:
    """What Twilio is given for one call: where it reports, and where it brings the audio."""

    stream_url: str
    stream_status_url: str
    status_url: str
    reattach_url: str
    """What follows when the media stream has closed is asked for here."""
    token: str
    """Secret of this call; its media stream must bring it back."""


def unreachable(origin: str) -> str:
    """Return why Twilio would not come to an https origin, as a sentence; empty where it would.

    Source: Twilio, "Media Streams Configuration" (TCP port 443) and error 21609 (no underscores).
    """
    parts = urlsplit(origin)
    if parts.port not in (None, 443):
        return (
            f"names port {parts.port}, and Twilio opens media sockets on port 443 only. Put a proxy"
            " on port 443 in front, and leave the port out."
        )
    if "_" in (parts.hostname or ""):
        return (
            f"names the host {parts.hostname}, and Twilio calls back to no host with an underscore."
            " Give it a name of letters, digits and hyphens."
        )
    return ""


class NodeHooks:
    """The addresses of one node."""

    def __init__(self, *, origin: str, media_origin: str, node: str, secret: str) -> None:
        """Take the public origins for HTTP and for WebSockets; `secret` signs the calls' tokens."""
        self._base = f"{origin}/n/{node}/twilio"
        self._secret = secret
        self.stream_path = f"/n/{node}/media/carrier"
        self.stream_url = media_origin + self.stream_path

    def of_call(self, call_id: str) -> CallHooks:
        """Return the addresses and the token of one call."""
        # The call's id is in the path, so that a callback is about the call whose order held
        # it.
        name = quote(call_id)
        return CallHooks(
            stream_url=self.stream_url,
            stream_status_url=f"{self._base}/stream/{name}",
            status_url=f"{self._base}/status/{name}",
            reattach_url=f"{self._base}/reattach/{name}",
            token=stream_token(self._secret, call_id),
        )

    def call_of(self, token: str) -> str:
        """Return the id of the call that a genuine token is of; empty for any other text."""
        return call_of(self._secret, token)
