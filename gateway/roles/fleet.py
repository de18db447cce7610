"""Composes a process's view of the other nodes, and its means to ask them.

A process that holds no calls has one too, but is asked nothing.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from billing.clock import utc_now, utc_text
from billing.ports import SpendGate
from billing.stores.redis import RedisSpendGate
from database.errors import StoreUnavailableError
from gateway.calls import answers
from gateway.calls.answers import HeldCalls
from gateway.calls.draining import NOTICE_S
from gateway.calls.fleet import FleetLiveCalls
from gateway.fleet.control import FleetControl
from gateway.fleet.exchange import Exchange
from gateway.fleet.messages import (
    CarrierNews,
    Done,
    Failed,
    LogLevel,
    NotStartedAgain,
    Question,
    Reply,
    Restart,
    SetLogLevel,
)
from gateway.fleet.roster import NodeFacts, Roster
from gateway.fleet.shared_secret import SecretWatch, proof_of
from gateway.heartbeat.ticker import Ticker
from gateway.logs import formats
from gateway.logs.node_log_level import NodeLogLevel
from gateway.ports import LiveCalls, NodeLoad
from gateway.roles.membership import Membership
from gateway.roles.release import release
from gateway.roles.storage import open_redis_alone
from gateway.settings import Settings
from gateway.stores.mailboxes import RedisMailboxes
from gateway.stores.node_facts import RedisNodeDirectory
from gateway.stores.opened import Stores


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes, as one process sees and asks them."""

    roster: Roster
    exchange: Exchange
    gate: SpendGate
    secrets: SecretWatch = field(default_factory=lambda: SecretWatch(""))
    """Reports nodes with another secret than this process; by default nothing is reported."""

    async def look(self) -> None:
        """Report the own node, and look at the others. Raises StoreUnavailableError."""
        await self.roster.look()
        self.secrets.see(self.roster.nodes())

    @property
    def control(self) -> FleetControl:
        """What operators see of all nodes, and do with them."""
        return FleetControl(self.roster, self.exchange, self.gate)

    def choose_node(self) -> str | None:
        """Return the node that is to hold a new call; None if none takes any.

        Raises StoreUnavailableError briefly after an outage, until nodes have reported again.
        """
        if self.roster.is_unheard:
            raise StoreUnavailableError("no node has spoken since Valkey is back")
        facts = self.roster.choose()
        return None if facts is None else facts.node

    @property
    def has_node(self) -> bool:
        """Whether any known node takes calls."""
        return self.roster.choose() is not None

    def notice_s(self) -> float:
        """Return for how long others may still send calls to a node of this process that stops."""
        return NOTICE_S if len(self.roster.nodes()) > 1 else 0.0

    def calls(self, own: LiveCalls, node: str, stores: Stores) -> FleetLiveCalls:
        """Return the live calls of all nodes; `own` are those of this process, which is `node`."""
        return FleetLiveCalls(own, node, stores.gate, self.control)


def compose_fleet(
    settings: Settings,
    stores: Stores,
    membership: Membership,
    *,
    takes: Callable[[str], bool],
    facts: Callable[[], NodeFacts] | None = None,
    answer: Callable[[Question], Awaitable[Reply]] | None = None,
) -> Fleet:
    """Return a process's view of all nodes, not started yet.

    Args:
        settings: The operator's settings.
        stores: Those shared by all processes.
        membership: Names this process.
        takes: Whether connections for a node arrive there, as far as this process knows.
        facts: What its node reports about itself; None if it is not a node.
        answer: Answers questions to its node.
    """
    return Fleet(
        Roster(RedisNodeDirectory(stores.redis), settings.origin, facts, random.choice, takes),
        Exchange(RedisMailboxes(stores.redis), membership.instance, answer or _answer_nothing),
        stores.gate,
        SecretWatch(proof_of(settings.shared_secret)),
    )


@asynccontextmanager
async def open_fleet(settings: Settings) -> AsyncIterator[Fleet]:
    """Open the view for a command: it looks at all nodes once, and may ask them.

    Raises StoreUnavailableError, SettingsError.
    """
    async with open_redis_alone(settings) as redis:
        roster = Roster(RedisNodeDirectory(redis), settings.origin, None, random.choice)
        exchange = Exchange(RedisMailboxes(redis), secrets.token_hex(8), _answer_nothing)
        await roster.look()
        if roster.nodes():
            exchange.start()
        try:
            yield Fleet(roster, exchange, RedisSpendGate(redis))
        finally:
            await exchange.stop()


def of_node(
    settings: Settings,
    membership: Membership,
    load: NodeLoad,
    ticker: Ticker,
    logged: NodeLogLevel,
) -> Callable[[], NodeFacts]:
    """Return a function that reports the current state of a node."""
    started_at = utc_text(datetime.now(UTC))
    proof = proof_of(settings.shared_secret)

    def facts() -> NodeFacts:
        return NodeFacts(
            node=settings.node,
            process=membership.instance,
            origin=settings.origin,
            release=release(),
            started_at=started_at,
            calls=len(load),
            calls_max=settings.calls_max,
            is_draining=load.is_draining,
            lag_ms=round(ticker.lag_ns_max() / 1e6, 1),
            log_level=logged.level,
            log_level_until=None if logged.until is None else utc_text(logged.until),
            secret_proof=proof,
        )

    return facts


def new_log_level(settings: Settings) -> NodeLogLevel:
    """Return the log level of this process, on the running loop."""
    call_later = asyncio.get_running_loop().call_later
    return NodeLogLevel(settings.log_level, formats.set_level, call_later, utc_now)


def of_process(
    held: HeldCalls,
    charge_now: Callable[[str], Awaitable[None]],
    logged: NodeLogLevel,
    take: Callable[[CarrierNews], None],
    restart: Callable[[], Reply] = NotStartedAgain,
) -> Callable[[Question], Awaitable[Reply]]:
    """Return what answers questions about this process and its calls.

    `take` receives the carrier's news about them that arrived elsewhere; `restart` ends this
    process in good order, to be restarted.
    """

    async def answer(question: Question) -> Reply:
        if isinstance(question, CarrierNews):
            take(question)
            return Done()
        if isinstance(question, Restart):
            return restart()
        if isinstance(question, SetLogLevel):
            if question.level is LogLevel.SETTING:
                logged.restore()
            else:
                logged.set_for(question.level, question.minutes)
            return Done()
        return await answers.answer(held, charge_now, question)

    return answer


async def _answer_nothing(_question: Question) -> Reply:
    return Failed()
