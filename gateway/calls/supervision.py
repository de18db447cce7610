"""Lets supervisors into the calls of a node: by a grant, audited before they hear anything.

Their permission is checked again at intervals while they are there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from database.errors import StoreUnavailableError
from gateway.browser import messages as wire
from gateway.browser.leg import BrowserLeg
from gateway.call.machine import TALKING
from gateway.call.supervision import Grant, Mode, Rule
from gateway.calls.bridge import Bridge
from gateway.charging.context import Spawn
from gateway.errors import RequestRefusedError
from gateway.heartbeat.ticker import Deadline, Ticker
from gateway.nanoseconds import SECOND_NS
from gateway.sound.directions import FRAME_BYTES

SUPERVISORS_MAX: Final = 16
"""In all calls of a node together: each costs half as much as a call."""
LOOK_NS: Final = 5 * SECOND_NS
"""How often it is checked that a supervisor may still do what they do."""

log = structlog.get_logger(__name__)


class Grants(Protocol):
    """Stores grants and checks what they rest on. Every method raises StoreUnavailableError."""

    async def redeem(self, token: str) -> Grant | None:
        """Return the grant of a token and delete it; None for a wrong, used or expired one."""

    async def rule(self, grant: Grant) -> Rule:
        """Return what the account allows now.

        Raises RequestRefusedError if the grant no longer allows anything.
        """

    async def note(self, grant: Grant, mode: Mode) -> None:
        """Write into the audit log of the call's account what is about to be done."""


class Supervisor:
    """One supervisor in one call."""

    def __init__(
        self,
        leg: BrowserLeg,
        grant: Grant,
        rule: Rule,
        call: Bridge,
        *,
        ask: Callable[[Supervisor], None],
        left: Callable[[Supervisor], None],
    ) -> None:
        """Take a part in the call's sound; `enter` begins it.

        `ask` is called when another mode is requested, `left` once the supervisor is out.
        """
        self.leg = leg
        self.grant = grant
        self.rule = rule
        self.call = call
        self.wanted = Mode.LISTEN
        """The mode requested last."""
        self.sound = call.media.supervise(
            leg.connection, announces=rule.announces, on_over=self._over, on_stuck=self._stuck
        )
        self.is_in = self.is_asking = False
        """Whether they are in the call, and whether a change of mode is in progress."""
        self.look: Deadline | None = None
        self._ask, self._left = ask, left

    def enter(self) -> None:
        """Begin to listen."""
        self.is_in = True
        self.leg.listener = self
        self.leg.take_audio(self._frame)
        self.leg.send(
            wire.SupervisionReady(
                version=wire.VERSION,
                call_id=self.call.call_id,
                frame_bytes=FRAME_BYTES,
                most=self.rule.most or Mode.LISTEN,
                announced=self.rule.announces,
            )
        )
        self.tell_mode()

    def tell_mode(self) -> None:
        """Send the current mode to the supervisor, and to the caller if it is announced."""
        self.leg.send(wire.Supervise(mode=self.sound.mode))
        self._tell_caller(self.sound.mode)

    def _tell_caller(self, mode: Mode | None) -> None:
        if self.rule.announces:
            self.call.tell(wire.Supervised(mode=mode))

    def browser_message(self, message: wire.ClientMessage) -> None:
        """Act on a message of the supervisor."""
        if isinstance(message, wire.Hangup):
            self.leg.close(1000, "left")
            self.leave()
        elif isinstance(message, wire.Supervise):
            self.wanted = message.mode
            self._ask(self)

    def browser_closed(self, _code: int) -> None:
        """Note that the supervisor is gone."""
        self.leave()

    def refuse(self, code: str) -> None:
        """Remove the supervisor, and tell them why."""
        self.leg.refuse(code)
        self.leave()

    def leave(self) -> None:
        """Leave the call; repeating this is harmless."""
        if self.is_in:
            self.is_in = False
            self.leg.listener = None
            self.leg.take_audio(None)
            self.call.media.supervise_no_more()
            self._tell_caller(None)
            if self.look is not None:
                self.look.cancel()
            self._left(self)

    def _over(self) -> None:
        self.refuse("call_ended")

    def _stuck(self) -> None:
        """Give the caller their place back when the supervisor who took it sends nothing."""
        self.wanted = Mode.LISTEN
        self.call.media.set_mode(Mode.LISTEN)
        self.tell_mode()

    def _frame(self, payload: bytes) -> None:
        # One size only: frames of another size are another codec, which would be noise.
        if len(payload) == FRAME_BYTES:
            self.sound.voice(payload)
        else:
            self.refuse("bad_message")


@dataclass(slots=True)
class SupervisorDesk:
    """The supervisors of a node."""

    grants: Grants
    find: Callable[[str], Bridge | None]
    """Finds a call of this node by its id."""
    ticker: Ticker
    spawn: Spawn
    node: str
    _entering: set[str] = field(default_factory=set, init=False)
    """Ids of calls that a supervisor is about to enter."""
    _supervisors: set[Supervisor] = field(default_factory=set, init=False)

    async def begin(self, leg: BrowserLeg, token: str) -> None:
        """Let the holder of a token into its call, or tell them why not.

        Raises StoreUnavailableError.
        """
        grant = await self.grants.redeem(token)
        if grant is None or (grant.origin and grant.origin != leg.origin):
            leg.refuse("bad_token")
            return
        leg.mark_authenticated()
        if refusal := self._refusal(grant):
            leg.refuse(refusal)
            return
        self._entering.add(grant.call_id)
        try:
            await self._enter(leg, grant)
        finally:
            self._entering.discard(grant.call_id)

    def _refusal(self, grant: Grant) -> str:
        call = self.find(grant.call_id)
        if call is None or call.call.state not in TALKING:
            return "call_not_found"
        if grant.call_id in self._entering or not call.media.can_supervise:
            return "already_supervised"
        is_full = len(self._supervisors) + len(self._entering) >= SUPERVISORS_MAX
        return "gateway_full" if is_full else ""

    async def _enter(self, leg: BrowserLeg, grant: Grant) -> None:
        try:
            rule = await self.grants.rule(grant)
        except RequestRefusedError as refused:
            leg.refuse(refused.code)
            return
        if rule.most is None:
            leg.refuse("supervision_refused")
            return
        # First, so that no one hears anything that is not in the audit log.
        await self.grants.note(grant, Mode.LISTEN)
        call = self.find(grant.call_id)
        if leg.is_closed:
            return
        if call is None or not call.media.can_supervise:
            leg.refuse("call_ended")
            return
        supervisor = Supervisor(leg, grant, rule, call, ask=self._ask, left=self._left)
        self._supervisors.add(supervisor)
        supervisor.enter()
        self._look_later(supervisor)
        call_id, account = grant.call_id, grant.account_id
        log.info("supervisor entered", call_id=call_id, account=account, node=self.node)

    def _left(self, supervisor: Supervisor) -> None:
        self._supervisors.discard(supervisor)
        call_id, account = supervisor.grant.call_id, supervisor.grant.account_id
        log.info("supervisor left", call_id=call_id, account=account, node=self.node)

    def _ask(self, supervisor: Supervisor) -> None:
        """Change a supervisor's mode, once that is audited; the last request wins."""
        if not supervisor.is_asking:
            supervisor.is_asking = True
            self.spawn(self._change(supervisor))

    async def _change(self, supervisor: Supervisor) -> None:
        sound = supervisor.sound
        try:
            while supervisor.is_in and supervisor.wanted is not sound.mode:
                wanted = supervisor.wanted
                # A lesser mode was audited with the greater one, and needs no permission.
                if not sound.mode.allows(wanted):
                    rule = await self.grants.rule(supervisor.grant)
                    if rule.most is None or not rule.most.allows(wanted):
                        supervisor.wanted = sound.mode
                        break
                    await self.grants.note(supervisor.grant, wanted)
                if supervisor.is_in:
                    supervisor.call.media.set_mode(wanted)
                    call_id, node = supervisor.call.call_id, self.node
                    log.info("supervisor changed", call_id=call_id, node=node, mode=wanted.value)
        except (StoreUnavailableError, RequestRefusedError):
            supervisor.wanted = sound.mode
        finally:
            supervisor.is_asking = False
        if supervisor.is_in:
            supervisor.tell_mode()

    def _look_later(self, supervisor: Supervisor) -> None:
        supervisor.look = self.ticker.at(
            self.ticker.clock_ns() + LOOK_NS, lambda: self.spawn(self._look(supervisor))
        )

    async def _look(self, supervisor: Supervisor) -> None:
        """Remove a supervisor who may no longer be there."""
        try:
            rule = await self.grants.rule(supervisor.grant)
        except StoreUnavailableError:
            # Keep the last known rule: the call continues as well.
            rule = supervisor.rule
        except RequestRefusedError as refused:
            if supervisor.is_in:
                supervisor.refuse(refused.code)
            return
        except Exception:
            # A bug of ours, after which permission would never be checked again.
            supervisor.refuse("internal_error")
            raise
        if not supervisor.is_in:
            return
        began_with = supervisor.rule
        if rule.most is None or not rule.most.allows(supervisor.sound.mode):
            supervisor.refuse("supervision_refused")
            return
        # They may come back, with a tone.
        if rule.announces and not began_with.announces:
            supervisor.refuse("supervision_changed")
            return
        # Announced supervision stays announced: who heard it begin also hears it end.
        supervisor.rule = Rule(rule.most, began_with.silent_reason)
        self._look_later(supervisor)
