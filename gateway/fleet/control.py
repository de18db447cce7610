"""What operators see of all nodes, and do with them. The caller checks permissions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from billing.ports import SpendGate
from database.errors import StoreUnavailableError
from gateway.fleet.exchange import Exchange, NodeSilentError
from gateway.fleet.messages import (
    CallsReply,
    EndCall,
    FindCalls,
    LogLevel,
    NotStartedAgain,
    Question,
    Reply,
    Restart,
    Restarting,
    SetLogLevel,
    Stopping,
    TakeCalls,
)
from gateway.fleet.roster import NodeFacts, Roster
from gateway.ports import LiveCall


class NodeStoppingError(Exception):
    """A node is about to stop, and no longer takes new calls."""


class NotStartedAgainError(Exception):
    """No one would restart the node if it ended."""


@dataclass(frozen=True, slots=True)
class FoundCalls:
    """Live calls of all nodes, newest first."""

    calls: Sequence[LiveCall]
    more: int
    """How many were left out because their node has too many."""
    silent: Sequence[str]
    """Nodes that may hold such calls and did not answer: their calls are missing."""


@dataclass(frozen=True, slots=True)
class FleetControl:
    """All nodes, for an operator. Every method raises StoreUnavailableError."""

    roster: Roster
    exchange: Exchange
    gate: SpendGate
    """Tells whose calls are open; those of a lost node are open until they are settled."""

    async def calls(
        self, *, account_id: str | None = None, call_id: str | None = None
    ) -> FoundCalls:
        """Return the live calls of an account or of all, or a single one."""
        question = FindCalls(account_id=account_id, call_id=call_id)

        async def ask(facts: NodeFacts) -> CallsReply | None:
            try:
                reply = await self.exchange.ask(facts.process, question)
            except NodeSilentError:
                return None
            return reply if isinstance(reply, CallsReply) else None

        nodes = self.roster.nodes()
        replies = await asyncio.gather(*map(ask, nodes))
        found = [reply for reply in replies if reply is not None]
        calls = [call for reply in found for call in reply.calls]
        silent = [facts.node for facts, reply in zip(nodes, replies, strict=True) if reply is None]
        # If the requested call was found, nothing can be missing.
        holders = await self._holders(account_id, call_id) if call_id is None or not calls else ()
        gone = set(holders) - {facts.node for facts in nodes}
        return FoundCalls(
            sorted(calls, key=lambda call: call.opened.created_at, reverse=True),
            sum(reply.more for reply in found),
            sorted([*silent, *gone]),
        )

    async def _holders(self, account_id: str | None, call_id: str | None) -> Collection[str]:
        """Return the nodes that hold the requested calls, or some of them."""
        try:
            if account_id is not None:
                held = await self.gate.nodes_of(account_id)
            else:
                held = {call.call_id: call.node for call in await self.gate.open_calls()}
        except StoreUnavailableError:
            # A part of the gate is away: that must not hold back what nodes have answered.
            return ()
        return {node for held_id, node in held.items() if call_id in (None, held_id)}

    async def ask(self, node: str, question: Question) -> Reply:
        """Return a node's answer. Raises NodeSilentError."""
        facts = self.roster.find(node)
        if facts is None:
            # It is gone, or started within the last second.
            raise NodeSilentError
        return await self.exchange.ask(facts.process, question)

    async def end(self, call: LiveCall) -> None:
        """End a call that was found. Raises NodeSilentError."""
        await self.ask(call.opened.node, EndCall(call_id=call.opened.call_id))

    async def take_calls(self, node: str, *, takes: bool) -> None:
        """Make a node take new calls, or none until the next such order or a restart.

        Raises LookupError for no such node, NodeStoppingError, NodeSilentError.
        """
        self.require(node)
        reply = await self.ask(node, TakeCalls(takes=takes))
        if isinstance(reply, Stopping):
            raise NodeStoppingError

    async def restart(self, node: str) -> Restarting:
        """Make a node end once its calls have ended, and be restarted.

        Raises LookupError for no such node, NodeStoppingError for one that ends for good,
        NotStartedAgainError, NodeSilentError, also for a release that does not support it.
        """
        self.require(node)
        match await self.ask(node, Restart()):
            case Restarting() as reply:
                return reply
            case Stopping():
                raise NodeStoppingError
            case NotStartedAgain():
                raise NotStartedAgainError
            case _:
                raise NodeSilentError

    async def set_log_level(self, node: str, level: LogLevel, minutes: int) -> None:
        """Make a node log from a level on, for at most `LEVEL_MINUTES_MAX`, or as configured.

        Raises LookupError for no such node, NodeSilentError, also for a release that does not
        support it.
        """
        self.require(node)
        await self.ask(node, SetLogLevel(level=level, minutes=minutes))

    def require(self, node: str) -> None:
        """Raise LookupError for a node that is not running."""
        if self.roster.find(node) is None:
            raise LookupError(node)
