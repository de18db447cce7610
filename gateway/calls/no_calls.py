"""Replaces the live calls in a process that holds none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from gateway.ports import LiveCall


class NoCalls:
    """`ports.LiveCalls` and `ports.NodeLoad` with no calls."""

    def __init__(self) -> None:
        self.is_draining = False
        """Whether the process is about to stop."""

    def __len__(self) -> int:
        return 0

    async def of_account(
        self,
        account_id: str,  # noqa: ARG002
        since: datetime | None = None,  # noqa: ARG002
    ) -> Sequence[LiveCall]:
        """Return no calls."""
        return ()

    async def show(self, account_id: str, call_id: str) -> LiveCall | None:  # noqa: ARG002
        """Return None."""
        return None

    async def drain(
        self,
        timeout_s: float,  # noqa: ARG002
        end_now: asyncio.Event | None = None,  # noqa: ARG002
        *,
        notice_s: float = 0.0,  # noqa: ARG002
    ) -> None:
        """Note that the process is stopping; there is nothing to wait for."""
        self.is_draining = True

    async def end(self, account_id: str, call_id: str) -> LiveCall | None:  # noqa: ARG002
        """Return None: there is nothing to end."""
        return None
