"""Asks the operator's own check whether a person is calling, and refuses if it does not confirm.

Fails closed: no answer means no.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.errors import RequestRefusedError, SettingsError

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0
AT_ONCE_MAX: Final = 100
"""Concurrent checks of this process; checks that hang hold up no more than these."""


@dataclass(frozen=True, slots=True)
class HumanRequest:
    """Who is asking for a call."""

    button_key: str
    """The publishable key."""
    address: str
    """The visitor's network address."""


VerifyHuman = Callable[[HumanRequest, str], Awaitable[bool]]
"""Takes the request and what the check gave the page. It is cancelled after `TIMEOUT_S`."""


class HumanCheck:
    """The operator's check, bounded."""

    def __init__(self, verify: VerifyHuman) -> None:
        self._verify = verify
        self._running = 0

    async def require(self, response: str, request: HumanRequest) -> None:
        """Raise RequestRefusedError unless the check says that a person is calling."""
        if not response:
            raise RequestRefusedError("human_check_failed")
        if self._running >= AT_ONCE_MAX:
            raise RequestRefusedError("human_check_unavailable")
        self._running += 1
        try:
            async with asyncio.timeout(TIMEOUT_S):
                is_human = await self._verify(request, response)
        except Exception as error:
            # The error's type only: its text may contain the response, or the operator's secret.
            log.warning("human check failed", kind=type(error).__name__)
            raise RequestRefusedError("human_check_unavailable") from None
        finally:
            self._running -= 1
        # A value that is merely truthy, such as an unread response object, is not a yes.
        if is_human is not True:
            raise RequestRefusedError("human_check_failed")


def load(path: str) -> HumanCheck | None:
    """Return the check that `package.module:name` names; None for an empty text.

    Raises SettingsError.
    """
    if not path:
        return None
    module, _, name = path.partition(":")
    try:
        verify = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"CALLER_HUMAN_CHECK: {path} cannot be loaded ({type(error).__name__}); name an async "
            "function that the gateway's Python can import, as package.module:function"
        ) from None
    if not inspect.iscoroutinefunction(verify):
        raise SettingsError(f"CALLER_HUMAN_CHECK: {path} is no async function; see docs/buttons.md")
    return HumanCheck(verify)
