"""Names the subjects that a request counts for in the velocity limits: account, key, address."""

from __future__ import annotations

from starlette.requests import Request

from gateway.ports import Account


def address_of(request: Request) -> str:
    """Return the client's address; behind a trusted proxy, that of the proxy's client."""
    # The server has evaluated X-Forwarded-For; read here, any client could choose its address.
    return request.client.host if request.client is not None else ""


def who(request: Request, account: Account) -> tuple[str, str, str]:
    """Return account, key and address that a request counts for."""
    return account.id, account.key_id, address_of(request)
