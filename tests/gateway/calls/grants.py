"""Grants to supervise calls, in memory."""

import asyncio

from database.errors import StoreUnavailableError
from gateway.call.supervision import Grant, Mode, Rule
from gateway.errors import RequestRefusedError


class Grants:
    """`gateway.calls.supervision.Grants` in memory."""

    def __init__(self):
        self.tokens = {}
        self.allowed = Rule(Mode.TAKE_OVER)
        """What every account allows."""
        self.refusal = ""
        """Why whoever asks may nothing, if so."""
        self.noted = []
        self.is_away = False
        self.fault = None
        """What goes wrong that nobody expects."""
        self.begun = 0
        self.gate = asyncio.Event()
        """Whether a note is written at once."""
        self.gate.set()

    def issue(self, call_id, **changes):
        token = f"sg_{len(self.tokens)}"
        grant = {
            "account_id": "alice",
            "reason": "training",
            "operator": "kim",
            "key_id": "k1",
        } | changes
        self.tokens[token] = Grant(call_id=call_id, **grant)
        return token

    async def redeem(self, token):
        self._reach()
        return self.tokens.pop(token, None)

    async def rule(self, grant):
        self._reach()
        if self.refusal:
            raise RequestRefusedError(self.refusal)
        return self.allowed

    async def note(self, grant, mode):
        self.begun += 1
        await self.gate.wait()
        self._reach()
        self.noted.append((grant.call_id, mode))

    def _reach(self):
        if self.is_away:
            raise StoreUnavailableError("away")
        if self.fault is not None:
            raise self.fault
