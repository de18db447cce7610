"""Publishes what the calls of this process do, and its warnings, for all who watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from database.errors import StoreUnavailableError
from gateway.heartbeat.periodic_task import cancelled
from gateway.heartbeat.ticker import BEATS_PER_SECOND, Ticker
from gateway.logs.warnings_kept import WarningsKept
from gateway.watching.rows import Batch, Warned, encode
from gateway.watching.watch_channel import RedisWatchChannel

SPEAKS_EVERY: Final = 10
"""Beats between two reports of a process about its calls: a fifth of a second."""
SPEAKS_PER_S: Final = BEATS_PER_SECOND // SPEAKS_EVERY
EVENT_CHARACTERS_MAX: Final = 256

log = structlog.get_logger(__name__)


class Speaker:
    """Publishes what the calls of this process do, and its warnings."""

    def __init__(
        self, name: str, channel: RedisWatchChannel, take_calls: Callable[[], Sequence[bytes]]
    ) -> None:
        """Publish under a name: that of a node, or of what else the process is."""
        self._name = name
        self._channel = channel
        self._take_calls = take_calls
        self._warnings = WarningsKept()
        self._beats = 0
        self._speaking: asyncio.Task[None] | None = None

    def start(self, ticker: Ticker) -> None:
        """Begin to publish at the beats of a ticker, and to collect warnings."""
        logging.getLogger().addHandler(self._warnings)
        for slot in range(0, BEATS_PER_SECOND, SPEAKS_EVERY):
            ticker.add_duty(slot, self._speak)

    async def stop(self) -> None:
        """Stop publishing."""
        logging.getLogger().removeHandler(self._warnings)
        if self._speaking is not None:
            await cancelled(self._speaking)

    def _speak(self, _now_ns: int) -> None:
        # The previous message is still on its way: the store is slow, and must not be given more.
        if self._speaking is not None and not self._speaking.done():
            return
        texts = list(self._take_calls())
        self._beats += 1
        if not texts and self._beats % SPEAKS_PER_S == 0:
            # So that listeners know that they are still connected.
            texts.append(encode(Batch(node=self._name)))
        if warnings := self._take_warnings():
            texts.append(encode(Batch(node=self._name, warnings=warnings)))
        if texts:
            self._speaking = asyncio.get_running_loop().create_task(self._say(texts))

    def _take_warnings(self) -> Sequence[Warned]:
        return [
            Warned(
                at=kept.at,
                node=self._name,
                level="error" if kept.is_error else "warning",
                event=kept.event[:EVENT_CHARACTERS_MAX],
                call_id=kept.call_id,
            )
            for kept in self._warnings.take()
        ]

    async def _say(self, texts: Sequence[bytes]) -> None:
        try:
            for text in texts:
                await self._channel.publish(text)
        except StoreUnavailableError:
            # Not logged here: others log that the store is away, and a second later all is sent
            # again.
            pass
        except Exception:
            log.exception("live calls not told")
