"""Runs a gateway process started by a supervisor: it serves until ordered to drain or end."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import structlog

from gateway.roles.children import (
    DRAIN,
    END_NOW,
    RESTART_CODE,
    end_within,
    give_sign,
    give_step,
    parent_gone,
)
from gateway.roles.process import EndedError, StopSignal
from gateway.roles.stopping import STOPPING_S

if TYPE_CHECKING:
    from gateway.roles.serve import Gateway

log = structlog.get_logger(__name__)


class ChildStop(StopSignal):
    """Set when the process is to end: for good, or to be restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.is_restart = False

    def restart(self) -> bool:
        """End in good order, to be restarted; return False if the process is ending for good."""
        if not self.is_set():
            log.info("told to restart")
            self.is_restart = True
            self.set()
        return self.is_restart

    def end(self) -> None:
        """End for good."""
        self.is_restart = False
        self.set()


async def obey(stop: ChildStop) -> None:
    """Set `stop` as the parent orders; when the parent is gone, end what runs as well."""

    def on_order(order: bytes) -> None:
        if order in (DRAIN, END_NOW):
            stop.end()
        if order == END_NOW:
            stop.end_now.set()

    await parent_gone(on_order)
    stop.end()
    stop.end_now.set()


async def run(gateway: Gateway, stop: ChildStop) -> None:
    """Start a gateway, tell the parent that it serves, and stop it when asked to.

    Raises EndedError if the parent is to restart it.
    """
    obeying = asyncio.ensure_future(obey(stop))
    try:
        if not await stop.covers(gateway.start(give_step)):
            give_sign()
            await stop.wait()
            if stop.is_restart:
                # The parent did not ask it to end, so it will not enforce the end.
                end_within(math.ceil(gateway.settings.drain_timeout_s + STOPPING_S))
            await gateway.stop(stop.end_now)
    finally:
        obeying.cancel()
        await asyncio.gather(obeying, return_exceptions=True)
    if stop.is_restart:
        raise EndedError(RESTART_CODE)
