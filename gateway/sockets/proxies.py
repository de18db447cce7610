"""Who is at the other end of a media connection when a proxy stands between.

Knows no connection. The rule is uvicorn's, so that media and requests name the same client: of the
addresses in X-Forwarded-For the last one that is not a trusted proxy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.ports import Acceptance, HandshakeRequest, MediaConnection, Refusal, Router


def behind_proxies(router: Router, trusted: Sequence[str]) -> Router:
    """Return a router that is told the client of a trusted proxy instead of the proxy.

    Args:
        router: Decides; what it accepts carries the client's address too.
        trusted: Addresses and networks of the proxies; with none of them, nothing is believed.

    """
    if not trusted:
        return router
    proxies = ProxyHeadersMiddleware(cast("Any", None), list(trusted)).trusted_hosts

    def client_of(request: HandshakeRequest) -> str:
        forwarded_for = request.headers.get("x-forwarded-for", "")
        if not forwarded_for or request.peer.rpartition(":")[0].strip("[]") not in proxies:
            return request.peer
        host, port = proxies.get_trusted_client_address(forwarded_for)
        try:
            address = ip_address(host)
        except ValueError:  # not an address that the proxy has seen, so not for logs
            return request.peer
        return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"

    def route(request: HandshakeRequest) -> Acceptance | Refusal:
        peer = client_of(request)
        verdict = router(replace(request, peer=peer))
        if isinstance(verdict, Refusal):
            return verdict
        attach = verdict.attach

        def attach_named(connection: MediaConnection) -> None:
            connection.peer = peer
            attach(connection)

        return Acceptance(attach_named)

    return route
