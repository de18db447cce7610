"""Whom a request counts for in the velocity limits."""

from __future__ import annotations

from starlette.requests import Request

from gateway.ports import Account


def address_of(request: Request) -> str:
    """Return the client's address: of a trusted proxy's client, for the server looked at that."""
    return request.client.host if request.client is not None else ""


def who(request: Request, account: Account) -> tuple[str, str, str]:
    """Return account, key and address that a request counts for."""
    return account.id, account.key_id, address_of(request)
