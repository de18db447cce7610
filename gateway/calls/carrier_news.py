"""Gives what the carrier has called back to the calls of a node, and to other nodes theirs.

Knows no HTTP: which callbacks there are, and whether they are genuine, is found out before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from database.errors import StoreUnavailableError
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import CarrierNews, Question, Reply
from gateway.ports import CarrierCallbacks

TELLING_MAX: Final = 1000
"""Nodes that are being told at once: as many as questions wait for their answers."""
Ask = Callable[[str, Question], Awaitable[Reply]]
"""Asks a node; raises NodeSilentError, StoreUnavailableError."""

log = structlog.get_logger(__name__)


def take(calls: CarrierCallbacks, news: CarrierNews) -> None:
    """Take news of a call that is of this node, if of any."""
    calls.carrier_reached()
    if news.status is not None:
        calls.carrier_status(news.call_id, news.status)
    if news.has_stream_failed:
        calls.stream_failed(news.call_id, news.carrier_call_id, news.refusal)


class Elsewhere:
    """Tells other nodes what has come here and is theirs, behind the answer to the carrier.

    A node that does not hear, because it is gone, stands still or cannot be asked, finds out by
    itself: it asks the carrier for what it has had no news of, and whoever settles its calls does,
    too. What runs at the carrier is noted then, so that it is ended unless the node lives.
    """

    def __init__(self, ask: Ask, stray: Callable[[str, str, str], None]) -> None:
        """Take what notes a call of the carrier: its id there, the id here, the call's node."""
        self._ask = ask
        self._stray = stray
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, node: str, news: CarrierNews) -> None:
        """Tell a node."""
        # Only what the carrier has signed comes here: to be full is to be cut off.
        if len(self._telling) >= TELLING_MAX:
            self._not_heard(node, news)
            return
        # The loop holds tasks weakly.
        task = asyncio.get_running_loop().create_task(self._tell(node, news))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def stop(self) -> None:
        """Wait until all has been told; each node is waited for a moment only."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _tell(self, node: str, news: CarrierNews) -> None:
        try:
            await self._ask(node, news)
        except (NodeSilentError, StoreUnavailableError):
            self._not_heard(node, news)

    def _not_heard(self, node: str, news: CarrierNews) -> None:
        log.info("carrier's news not passed on", of_node=node, call_id=news.call_id)
        if news.is_running:
            self._stray(news.carrier_call_id, news.call_id, node)
