"""Passes the carrier's callbacks to the calls of this node, and on to the nodes they belong to.

Callbacks have already been parsed and their signatures checked.
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
"""Nodes that can be notified at once: as many as there can be questions waiting for answers."""
Ask = Callable[[str, Question], Awaitable[Reply]]
"""Asks a node; raises NodeSilentError, StoreUnavailableError."""

log = structlog.get_logger(__name__)


def take(calls: CarrierCallbacks, news: CarrierNews) -> None:
    """Apply news to the call it is about, if this node has it."""
    calls.carrier_reached()
    if news.status is not None:
        calls.carrier_status(news.call_id, news.status)
    if news.has_stream_failed:
        calls.stream_failed(news.call_id, news.carrier_call_id, news.refusal)


class Elsewhere:
    """Passes on callbacks that belong to other nodes, once the carrier has its reply.

    A node that does not hear of one (it is gone, frozen, or unreachable) finds out by itself: it
    asks the carrier about calls without news, and so does any node that settles them for it. The
    running carrier call is noted then, so that it is ended unless its node lives.
    """

    def __init__(self, ask: Ask, end_unmatched: Callable[[str, str, str], None]) -> None:
        """`end_unmatched` takes a carrier call's id, the id of our call, and its node."""
        self._ask = ask
        self._end_unmatched = end_unmatched
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, node: str, news: CarrierNews) -> None:
        """Notify a node, in the background."""
        # Only what the carrier has signed gets here: a full list means that we are cut off.
        if len(self._telling) >= TELLING_MAX:
            self._not_heard(node, news)
            return
        # The loop holds tasks weakly.
        task = asyncio.get_running_loop().create_task(self._tell(node, news))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def stop(self) -> None:
        """Wait until all nodes have been notified; each only briefly."""
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _tell(self, node: str, news: CarrierNews) -> None:
        try:
            await self._ask(node, news)
        except (NodeSilentError, StoreUnavailableError):
            self._not_heard(node, news)

    def _not_heard(self, node: str, news: CarrierNews) -> None:
        log.info("carrier's news not passed on", of_node=node, call_id=news.call_id)
        if news.is_running:
            self._end_unmatched(news.carrier_call_id, news.call_id, node)
