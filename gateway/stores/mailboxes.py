"""Stores the mailboxes of processes in Valkey: bounded lists that expire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from accounts.stores.valkey import bounded

LETTERS_MAX: Final = 1000
"""Letters that may wait in one mailbox; more are refused."""
LAPSES_MS: Final = 10_000
"""How long a mailbox outlives its last letter, so that those of dead processes go away."""
TAKEN_MAX: Final = 64
"""Letters taken at once."""
WAIT_S: Final = 2
"""How long one look for a letter blocks: less than a connection may be silent."""
_PREFIX: Final = "caller:mailbox:1:"
_AWAY: Final = "the mailboxes of processes cannot be reached"
_SEND: Final = """
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""


class RedisMailboxes:
    """`fleet.exchange.Mailboxes` in Valkey or Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def send(self, to: str, letter: bytes) -> bool:
        """Put a letter into a mailbox; False where it is full."""
        sent = self._redis.eval(_SEND, 1, _PREFIX + to, letter, LETTERS_MAX, LAPSES_MS)
        async with bounded(_AWAY):
            return bool(await sent)

    async def receive(self, own: str) -> Sequence[bytes]:
        """Wait for letters, and take the first ones; empty if none arrives within `WAIT_S`."""
        # If letters are lost with the connection after they were taken, their senders ask again.
        taken = self._redis.execute_command(
            "BLMPOP", WAIT_S, 1, _PREFIX + own, "LEFT", "COUNT", TAKEN_MAX
        )
        async with bounded(_AWAY, waits_s=WAIT_S):
            found = await taken
        return [] if found is None else found[1]
