"""Hands a carrier's verified callbacks to the call they are about.

Any process answers for any node: callbacks for another one are forwarded. A callback that shows a
carrier's call to be running proves that it was placed for the call in its URL. If that call is not
on it, the carrier's call is ended by the process that gets the callback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from gateway.calls import carrier_news
from gateway.errors import RequestRefusedError
from gateway.fleet.messages import CarrierNews
from gateway.http.velocity import address_of
from gateway.logs.refused_signatures import RefusedSignatures
from gateway.ports import CarrierCallbacks


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Delivers callbacks to the calls of this process, and to other nodes."""

    node: str
    """The node of this process; empty if it holds no calls."""
    calls: CarrierCallbacks | None
    """The calls of this process; None if it holds none."""
    refused_signatures: RefusedSignatures
    end_unmatched: Callable[[str, str, str], None]
    """Ends a carrier's call unless a call here is on it: its id there, the id of the call here that
    it was placed for, and that call's node."""
    tell_elsewhere: Callable[[str, CarrierNews], None]
    """Notifies another node, which may be gone."""

    def refused(self, request: Request, hint: str) -> RequestRefusedError:
        """Log a wrong signature, with what the operator should check; return the refusal."""
        self.refused_signatures.note(address_of(request), "callback", hint)
        return RequestRefusedError("bad_signature")

    def reached(self) -> None:
        """Record a verified callback: it proves that the carrier reaches the public origin."""
        if self.calls is not None:
            self.calls.carrier_reached()

    def deliver(self, node: str, news: CarrierNews) -> None:
        """Tell a node what the carrier reports about its call."""
        if self.calls is None or node != self.node:
            self.tell_elsewhere(node, news)
            return
        carrier_news.take(self.calls, news)
        if news.is_running:
            self.end_unmatched(news.carrier_call_id, news.call_id, node)
