"""Joins the live calls of all nodes: those of this process, and those that other nodes report.

The spend gate says which node holds a call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from billing.ports import SpendGate
from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.fleet.control import FleetControl
from gateway.fleet.exchange import NodeSilentError
from gateway.fleet.messages import CallsReply, ChargeNow, EndCall, FindCalls
from gateway.ports import LiveCall, LiveCalls


@dataclass(frozen=True, slots=True)
class FleetLiveCalls:
    """`ports.LiveCalls` of every node. Every method raises StoreUnavailableError."""

    own: LiveCalls
    node: str
    """The node whose calls `own` holds; empty for none."""
    gate: SpendGate
    control: FleetControl
    """Asks the other nodes."""

    async def of_account(
        self, account_id: str, since: datetime | None = None
    ) -> Sequence[LiveCall]:
        """Return an account's calls, or those since a time; none of a node that does not answer.

        While the store is away only this process's own calls are returned.
        """
        own = await self.own.of_account(account_id, since)
        others = await self._nodes_elsewhere(account_id)
        asked = FindCalls(account_id=account_id, since=since)
        return [*own, *await self._gather(others, asked)]

    async def show(self, account_id: str, call_id: str) -> LiveCall | None:
        """Return one of an account's calls; None if there is none, or its node does not answer."""
        own = await self.own.show(account_id, call_id)
        node = None if own else await self._node_elsewhere(account_id, call_id)
        if node is None:
            return own
        found = await self._gather({node}, FindCalls(account_id=account_id, call_id=call_id))
        return found[0] if found else None

    async def end(self, account_id: str, call_id: str) -> LiveCall | None:
        """End one of an account's calls and return its state; None if there is none.

        Raises RequestRefusedError where its node does not answer.
        """
        own = await self.own.end(account_id, call_id)
        node = None if own else await self._node_elsewhere(account_id, call_id)
        if node is None:
            return own
        try:
            reply = await self.control.ask(node, EndCall(account_id=account_id, call_id=call_id))
        except NodeSilentError:
            raise RequestRefusedError("node_silent") from None
        return reply.calls[0] if isinstance(reply, CallsReply) and reply.calls else None

    async def charge_elsewhere(self, account_id: str) -> None:
        """Make the other nodes charge an account's calls now; silent ones do so soon anyway."""

        async def charge(node: str) -> None:
            with suppress(NodeSilentError, StoreUnavailableError):
                await self.control.ask(node, ChargeNow(account_id=account_id))

        await asyncio.gather(*map(charge, await self._nodes_elsewhere(account_id)))

    async def _nodes_elsewhere(self, account_id: str) -> Collection[str]:
        """Return the other nodes that hold an account's calls; none while the store is away."""
        try:
            return {*(await self.gate.nodes_of(account_id)).values()} - {self.node}
        except StoreUnavailableError:
            return ()

    async def _node_elsewhere(self, account_id: str, call_id: str) -> str | None:
        node = (await self.gate.nodes_of(account_id)).get(call_id)
        return None if node == self.node else node

    async def _gather(self, nodes: Collection[str], question: FindCalls) -> Sequence[LiveCall]:
        async def found(node: str) -> Sequence[LiveCall]:
            try:
                reply = await self.control.ask(node, question)
            except (NodeSilentError, StoreUnavailableError):
                return ()
            return reply.calls if isinstance(reply, CallsReply) else ()

        each = await asyncio.gather(*(found(node) for node in nodes))
        return [call for calls in each for call in calls]
