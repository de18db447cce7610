"""Follows a restarting node by what the roster shows of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from gateway.fleet.roster import NodeFacts

BACK_S_MAX: Final = 120.0
"""How long to wait for a node that has ended: several starts, each of which may fail."""


class Stage(Enum):
    """The progress of a node's restart."""

    ENDING = "ending"
    LATE = "late"
    """It has not ended in time."""
    STARTING = "starting"
    MISSING = "missing"
    """It has ended, and has not come back in time."""
    BACK = "back"


@dataclass(slots=True)
class Following:
    """One restart; all times are seconds of one clock."""

    process: str
    """The process that is to end."""
    due_s: float
    """When it should have ended."""
    _gone_s: float | None = field(default=None, init=False)
    """Since when the node has shown nothing of itself."""

    def see(self, facts: NodeFacts | None, now_s: float) -> Stage:
        """Return the progress, given what the node reports now; None: nothing."""
        if facts is None:
            if self._gone_s is None:
                self._gone_s = now_s
            return Stage.STARTING if now_s - self._gone_s < BACK_S_MAX else Stage.MISSING
        # It may have been silent only for a moment.
        self._gone_s = None
        if facts.process != self.process:
            return Stage.BACK
        return Stage.ENDING if now_s < self.due_s else Stage.LATE
