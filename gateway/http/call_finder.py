"""Finds the live call that a request names, on any node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from gateway.errors import RequestRefusedError
from gateway.fleet.control import FleetControl
from gateway.http.admin_routes import ADMIN
from gateway.ports import LiveCall

CALLS = f"{ADMIN}/live-calls"


class EndedCalls(Protocol):
    """Finds calls that have ended. Raises StoreUnavailableError."""

    async def is_over(self, call_id: str, account_id: str | None) -> bool:
        """Return whether there was such a call, of one account or of anyone."""


@dataclass(frozen=True, slots=True)
class CallFinder:
    """Finds live calls, on any node."""

    control: FleetControl
    ended: EndedCalls

    async def find(self, request: Request, account_id: str | None = None) -> LiveCall:
        """Return the live call that a request names, of one account or of anyone.

        Raises RequestRefusedError, with a separate code for a call that is over;
        StoreUnavailableError.
        """
        call_id = request.path_params["call_id"]
        found = await self.control.calls(account_id=account_id, call_id=call_id)
        if found.calls:
            return found.calls[0]
        if found.silent:
            raise RequestRefusedError("node_silent")
        # PostgreSQL cannot look for text with NUL, and no call has such an id.
        is_over = "\0" not in call_id and await self.ended.is_over(call_id, account_id)
        raise RequestRefusedError("call_ended" if is_over else "call_not_found")
