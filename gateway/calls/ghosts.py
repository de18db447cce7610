"""Ends the carrier's calls that ring or talk with no one on our side.

A ghost is a carrier call that has proved to be ours, by a signed callback at the address of one of
our calls or by the token of its media stream, although our call is over, unknown, or uses another
carrier call. It is ended, repeatedly, until the carrier confirms it. Ghosts are kept in a list that
all nodes share, so that they outlive this process. Only the node that a call belongs to knows
whether it is live: that node decides while it is alive itself, the others once it is gone. The
address may name another call, or another node, than the one that uses the carrier call: one that a
living node holds according to the spend gate is not a ghost. Callbacks come late and out of order,
so the carrier is first asked whether there is still anything to end. Ending is idempotent, so two
nodes that end the same ghost do no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog

from billing.ports import OpenCall
from database.errors import StoreUnavailableError
from gateway.call.ghost import GHOSTS_MAX, Ghost, GhostStore
from gateway.charging.node_watch import NodeWatch
from gateway.errors import CarrierError
from gateway.ports import Carrier

INTERVAL_S = 1.0
"""How often the shared list is read; it is nearly always empty."""
AT_ONCE_MAX = 10
"""Concurrent requests to the carrier."""
ATTEMPT_S = 10.0
"""How long one attempt may take, the adapter's retries included."""
_READ_S = 5.0
"""How much of that the first question may take: calls are ended even if reads get no answer."""
_PAUSE_S_MAX = 60.0
OVER_MAX = 1_000
"""Carrier calls known to be over that are remembered, so that late callbacks cause no request."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ids allowed in a request to the carrier and in the shared list."""

log = structlog.get_logger(__name__)


class Ghosts:
    """The ghosts that one node has found, and those it ends for other nodes."""

    def __init__(
        self,
        store: GhostStore,
        watch: NodeWatch,
        carrier: Carrier,
        *,
        owns: Callable[[str, str], bool],
        open_calls: Callable[[], Awaitable[Sequence[OpenCall]]],
        lifetime_s: float,
        wall_clock_s: Callable[[], float],
    ) -> None:
        """Work for a node.

        Args:
            store: the shared list.
            watch: which node this is, and which others are gone.
            carrier: ends calls.
            owns: takes a call id and a carrier call id; whether a live call here uses the latter.
            open_calls: the calls of all nodes that the spend gate holds credit for.
            lifetime_s: how long a carrier call can last at most, including queue and ringing.
            wall_clock_s: a clock on which all nodes agree within a few seconds.

        """
        self._store = store
        self._watch = watch
        self._carrier = carrier
        self._node = watch.node
        self._owns = owns
        self._open_calls = open_calls
        self._lifetime_s = lifetime_s
        self._clock_s = wall_clock_s
        self._unnoted: dict[str, Ghost] = {}
        """Those that the shared list could not take yet, by carrier call id."""
        self._noted: dict[str, Ghost] = {}
        """This node's own that are in the shared list, which may lose all its data."""
        self._certain: set[str] = set()
        """Those of `_unnoted` that this node knows no other node uses, whatever the gate has."""
        self._over: dict[str, None] = {}
        """Carrier calls that the carrier has shown to be over, oldest first."""
        self._listing: asyncio.Task[Mapping[str, set[str]]] | None = None
        """The running listing of the carrier calls that the gate's open calls use."""
        self._trying: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def found(self, carrier_call_id: str, call_id: str, node: str = "") -> None:
        """Take a carrier call that has proved to be ours; end it unless a live call uses it.

        `node` is the node of the call it was made for; empty for this one. The spend gate is asked
        whether another node's call uses it; while the gate is away, nothing is ended.
        """
        owner = node or self._node
        if not all(_ID.fullmatch(text) for text in (carrier_call_id, call_id, owner)):
            return
        if carrier_call_id in self._over or self._owns(call_id, carrier_call_id):
            return
        # Every further callback of a ghost ends up here; one attempt at a time is enough.
        if carrier_call_id in self._trying or carrier_call_id in self._unnoted:
            return
        if len(self._unnoted) >= GHOSTS_MAX:
            log.error("ghost dropped", carrier_call_id=carrier_call_id, call_id=call_id)
            return
        now_s = self._clock_s()
        ghost = Ghost(call_id=call_id, node=owner, noted_s=now_s, due_s=now_s)
        # Before the task runs: the next callback must find it.
        self._unnoted[carrier_call_id] = ghost
        task = asyncio.get_running_loop().create_task(self._begin(carrier_call_id, ghost))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def left(self, carrier_call_id: str, call_id: str) -> None:
        """End a carrier call that a call here ordered or used and no longer needs.

        It is ended even while the spend gate is away.
        """
        self.found(carrier_call_id, call_id)
        if carrier_call_id in self._unnoted:
            self._certain.add(carrier_call_id)

    async def _begin(self, carrier_call_id: str, ghost: Ghost) -> None:
        """Note a ghost, then try to end it: once noted it outlives this process."""
        try:
            ghost = await self._note(carrier_call_id, ghost)
        except StoreUnavailableError:
            log.warning(
                "ghost not noted yet", carrier_call_id=carrier_call_id, call_id=ghost.call_id
            )
        # A ghost of another node is left to that node, which finds it in the list.
        if ghost.node == self._node:
            # The next round tries it again.
            with contextlib.suppress(StoreUnavailableError):
                await self._work_off(carrier_call_id, ghost)

    async def _note(self, carrier_call_id: str, ghost: Ghost) -> Ghost:
        noted = await self._store.note(carrier_call_id, ghost)
        if noted is None:
            # It stays in `_unnoted`: this node ends it from memory.
            log.error("ghost list full", carrier_call_id=carrier_call_id, call_id=ghost.call_id)
            return ghost
        self._unnoted.pop(carrier_call_id, None)
        self._certain.discard(carrier_call_id)
        if noted.node == self._node:
            self._noted[carrier_call_id] = noted
        return noted

    async def note(self) -> None:
        """Note the ghosts that the shared list has not taken yet. Raises StoreUnavailableError.

        A process that is not a node does only this: it cannot judge any.
        """
        for carrier_call_id, ghost in tuple(self._unnoted.items()):
            await self._note(carrier_call_id, ghost)
            if carrier_call_id in self._unnoted:
                # The list is full, for those after it as well.
                break

    async def round(self) -> int:
        """End the due ghosts of this node and of nodes that are gone; return how many were tried.

        Raises StoreUnavailableError after the ghosts known here have been tried.
        """
        outage: StoreUnavailableError | None = None
        judged: Mapping[str, Ghost] = {}
        try:
            await self.note()
            # Taken before the list is read: a ghost that is noted meanwhile is not in the copy, and
            # would look like one that the list has lost.
            known = tuple(self._noted)
            listed = await self._store.all()
            self._note_lost([i for i in known if i not in listed])
            judged = await self._judged_here(listed)
        except StoreUnavailableError as error:
            # Kept until the end: phones ring whether the store is there or not.
            outage = error
        now_s = self._clock_s()
        own = {i: ghost for i, ghost in self._unnoted.items() if ghost.node == self._node}
        due = [
            (ghost.due_s, carrier_call_id, ghost)
            for carrier_call_id, ghost in {**own, **judged}.items()
            if ghost.due_s <= now_s and carrier_call_id not in self._trying
        ]
        queue = iter(sorted(due, key=lambda each: each[:2]))

        async def work() -> None:
            # All workers draw from one iterator: a slow carrier call holds up only its worker.
            for _, carrier_call_id, ghost in queue:
                await self._work_off(carrier_call_id, ghost)

        workers = [asyncio.ensure_future(work()) for _ in range(min(AT_ONCE_MAX, len(due)))]
        try:
            await asyncio.gather(*workers)
        finally:
            # `gather` raises the first error and lets the other workers run on.
            for worker in workers:
                worker.cancel()
        if outage is not None:
            raise outage
        return len(due)

    def _note_lost(self, carrier_call_ids: Sequence[str]) -> None:
        """Note again the ghosts that the list has lost; those being tried follow next time.

        One that other nodes ended while this one was thought gone is ended again, which is
        harmless.
        """
        for carrier_call_id in carrier_call_ids:
            if carrier_call_id in self._trying:
                continue
            if (ghost := self._noted.pop(carrier_call_id, None)) is not None:
                self._unnoted.setdefault(carrier_call_id, ghost)

    async def _judged_here(self, listed: Mapping[str, Ghost]) -> Mapping[str, Ghost]:
        """Return the ghosts of this node, and of nodes that are gone."""
        others = {ghost.node for ghost in listed.values()} - {self._node}
        lives = await self._watch.nodes() if others else {}
        judged = {self._node, *await self._watch.gone(self._watch.missed(lives, others))}
        return {i: ghost for i, ghost in listed.items() if ghost.node in judged}

    async def _work_off(self, carrier_call_id: str, ghost: Ghost) -> None:
        """Try once to end a ghost; forget it, or set when it is due again."""
        if carrier_call_id in self._trying:
            return
        self._trying.add(carrier_call_id)
        try:
            # Not due for as long as the attempt may take: other nodes leave it alone until then,
            # and take over if this one dies.
            claimed = msgspec.structs.replace(ghost, due_s=self._clock_s() + ATTEMPT_S)
            if not await self._put(carrier_call_id, ghost, claimed):
                return
            if await self._is_done(carrier_call_id, ghost):
                await self._forget(carrier_call_id)
            else:
                await self._put(carrier_call_id, claimed, _tried(claimed, self._clock_s()))
        finally:
            self._trying.discard(carrier_call_id)

    async def _put(self, carrier_call_id: str, seen: Ghost, ghost: Ghost) -> bool:
        if carrier_call_id in self._unnoted:
            self._unnoted[carrier_call_id] = ghost
            return True
        return await self._store.claim(carrier_call_id, seen, ghost)

    async def _forget(self, carrier_call_id: str) -> None:
        self._noted.pop(carrier_call_id, None)
        self._certain.discard(carrier_call_id)
        if self._unnoted.pop(carrier_call_id, None) is None:
            await self._store.forget(carrier_call_id)

    async def _is_done(self, carrier_call_id: str, ghost: Ghost) -> bool:
        # Another node may have noted it for a misdirected callback: its call is live here.
        if self._owns(ghost.call_id, carrier_call_id):
            return True
        try:
            async with asyncio.timeout(ATTEMPT_S):
                if await self._is_settled(carrier_call_id, ghost):
                    return True
        except (CarrierError, StoreUnavailableError, TimeoutError) as error:
            log.warning(
                "ghost not ended",
                carrier_call_id=carrier_call_id,
                call_id=ghost.call_id,
                reason=str(error) or "no answer",
            )
        # After that the carrier has ended it by the time limit that it was placed with.
        if self._clock_s() - ghost.noted_s <= self._lifetime_s:
            return False
        log.error("ghost given up", carrier_call_id=carrier_call_id, call_id=ghost.call_id)
        return True

    async def _is_settled(self, carrier_call_id: str, ghost: Ghost) -> bool:
        """Ask the carrier and the gate about a ghost, end it; return if nothing is left to do."""
        if await self._is_over(carrier_call_id):
            self._over[carrier_call_id] = None
            if len(self._over) > OVER_MAX:
                del self._over[next(iter(self._over))]
            return True
        try:
            is_held = await self._is_held(carrier_call_id)
        except StoreUnavailableError:
            # A misdirected callback must not end the live call of another node.
            if carrier_call_id not in self._certain:
                raise
            is_held = False
        # Asked again: the reply that tells our call its id may have come meanwhile.
        if is_held or self._owns(ghost.call_id, carrier_call_id):
            return True
        status = await self._carrier.hang_up(carrier_call_id)
        if status.is_terminal:
            log.info("ghost ended", carrier_call_id=carrier_call_id, call_id=ghost.call_id)
        return status.is_terminal

    async def _is_over(self, carrier_call_id: str) -> bool:
        try:
            async with asyncio.timeout(_READ_S):
                return (await self._carrier.fetch(carrier_call_id)).is_terminal
        except (CarrierError, TimeoutError):
            # Ending one that is over does no harm.
            return False

    async def _is_held(self, carrier_call_id: str) -> bool:
        """Whether a call of another node that may be live uses a carrier call.

        Raises StoreUnavailableError.
        """
        # One listing at a time, however many ghosts: it asks every partition.
        if self._listing is None or self._listing.done():
            self._listing = asyncio.ensure_future(self._list_nodes())
        # Shielded, because others wait for it too.
        nodes = (await asyncio.shield(self._listing)).get(carrier_call_id, set())
        if not nodes:
            return False
        missed = self._watch.missed(await self._watch.nodes(), nodes)
        return bool(nodes - set(await self._watch.gone(missed)))

    async def _list_nodes(self) -> Mapping[str, set[str]]:
        """Return the carrier calls in use -> the other nodes that use them, as the gate has it."""
        nodes: dict[str, set[str]] = {}
        for call in await self._open_calls():
            if call.node != self._node:
                nodes.setdefault(call.carrier_call_id, set()).add(call.node)
        return nodes

    async def stop(self) -> None:
        """Leave the noted ghosts to the other nodes, and to this node's next run."""
        tasks = [*self._tasks, *([self._listing] if self._listing else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tried(ghost: Ghost, now_s: float) -> Ghost:
    """Return a ghost with its next attempt: after half its age, at least 1 s, at most a minute."""
    pause_s = min(max(1.0, (now_s - ghost.noted_s) / 2), _PAUSE_S_MAX)
    return msgspec.structs.replace(ghost, due_s=now_s + pause_s)
