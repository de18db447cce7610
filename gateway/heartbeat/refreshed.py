"""Base class for a node's cached copy of shared data, refreshed regularly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final

import structlog

from billing.errors import BillingError
from database.errors import StoreUnavailableError

_AWAY: Final = (
    "SQL does not answer: `caller check` says why. What is in use stays, and it is tried again by"
    " itself."
)
_UNREADABLE: Final = (
    "What SQL holds cannot be read: import it again (`caller rates import`, `caller rates"
    " sync-high-risk`). What is in use stays."
)

log = structlog.get_logger(__name__)


class Refreshed(ABC):
    """A cached object, which is only ever replaced as a whole."""

    NAME: ClassVar[str]
    """Its name in the log."""

    def __init__(self) -> None:
        self._failure = ""

    @abstractmethod
    async def load(self) -> None:
        """Load the version in force, at start. Raises BillingError, StoreUnavailableError."""

    async def refresh(self) -> None:
        """Look for a newer version; keep the present one if there is none.

        Raises neither error: a failure is logged, once per outage.
        """
        failure = ""
        try:
            await self.load()
        except (BillingError, StoreUnavailableError) as error:
            failure = error.code
        # Another code means another fault: a store that is back may hold data that cannot be read.
        if failure and failure != self._failure:
            hint = _AWAY if failure == StoreUnavailableError.code else _UNREADABLE
            log.error("shared data not refreshed", what=self.NAME, code=failure, hint=hint)
        self._failure = failure
