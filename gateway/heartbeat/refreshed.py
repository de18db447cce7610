"""What a node keeps in use of what all nodes share, and looks for anew now and then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import structlog

from billing.errors import BillingError

log = structlog.get_logger(__name__)


class Refreshed(ABC):
    """A thing in use; another replaces it whole."""

    NAME: ClassVar[str]
    """What it is called in the log."""

    def __init__(self) -> None:
        self._failure = ""

    @abstractmethod
    async def load(self) -> None:
        """Take what is in force into use, at a node's start. Raises BillingError."""

    async def refresh(self) -> None:
        """Look for another one; one that cannot be had leaves the present one in use.

        Never raises BillingError: it is logged, once until it has passed.
        """
        failure = ""
        try:
            await self.load()
        except BillingError as error:
            failure = error.code
        if failure and failure != self._failure:
            log.error(f"{self.NAME} in force cannot be used", code=failure)
        self._failure = failure
