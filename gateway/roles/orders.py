"""Runs a gateway process that a supervisor has started: it serves until it is told to drain or end.

Knows no role.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.roles.children import DRAIN, END_NOW, give_sign, give_step, parent_gone
from gateway.roles.process import Stop

if TYPE_CHECKING:
    from gateway.roles.serve import Gateway


async def obey(stop: Stop) -> None:
    """Set `stop` by what the parent writes; when the parent is gone, end what runs as well."""

    def on_order(order: bytes) -> None:
        if order in (DRAIN, END_NOW):
            stop.set()
        if order == END_NOW:
            stop.end_now.set()

    await parent_gone(on_order)
    stop.set()
    stop.end_now.set()


async def run(gateway: Gateway) -> None:
    """Start a gateway, tell the parent that it serves, and stop it when that is asked for."""
    stop = Stop()
    obeying = asyncio.ensure_future(obey(stop))
    try:
        if not await stop.covers(gateway.start(give_step)):
            give_sign()
            await stop.wait()
            await gateway.stop(stop.end_now)
    finally:
        obeying.cancel()
        await asyncio.gather(obeying, return_exceptions=True)
