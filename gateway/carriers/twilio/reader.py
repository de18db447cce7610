"""Reads lists from Twilio's smaller APIs, with pagination, timeouts, retries and bounds.

Only reads, so any request may be retried. The user of a reader defines the resource.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from gateway.cause import Cause
from gateway.errors import CarrierError
from gateway.unreadable import UNREADABLE

ATTEMPTS = 5
BACKOFF_S = 0.5
"""Pause before the second attempt; doubled before each further one."""
RETRY_AFTER_MAX_S = 30.0
"""Longest pause that Twilio can ask for."""
PAGES_MAX = 50
BODY_BYTES_MAX = 4 * 1024 * 1024

_TOO_MANY_REQUESTS = 429
_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)


class Meta(msgspec.Struct):
    """What a page says about its list."""

    next_page_url: str | None
    """Null on the last page. A missing or empty value is an error: the list may be cut short."""


class _Page(Protocol):
    @property
    def meta(self) -> Meta: ...


_Reply = TypeVar("_Reply")
_PageReply = TypeVar("_PageReply", bound=_Page)


def origin_of(carrier_url: str, api: str) -> str:
    """Return the origin of an API such as `pricing`, given that of the carrier's REST API.

    Twilio has a host per API; a stand-in for it serves all of them at one address.
    """
    host = urlsplit(carrier_url).hostname or ""
    return f"https://{api}.twilio.com" if host.endswith(".twilio.com") else carrier_url


class TwilioReader:
    """Reads one kind of list of a Twilio account. An async context manager."""

    def __init__(
        self,
        what: str,
        *,
        base_url: str,
        username: str,
        password: str,
        timeout_s: float,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        """Take the name of the list, for messages, and where and how to ask for it."""
        self._what = what
        self._base_url = base_url.rstrip("/")
        # A header of our own, because aiohttp deprecates its `auth` argument.
        self._credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> TwilioReader:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers={"Authorization": f"Basic {self._credentials}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def pages(self, target: str, kind: type[_PageReply]) -> AsyncIterator[_PageReply]:
        """Yield the pages of a list, the first from `target`. Raises CarrierError."""
        for _ in range(PAGES_MAX):
            page = await self.get(target, kind)
            yield page
            if page.meta.next_page_url is None:
                return
            if not page.meta.next_page_url:
                raise self.nonsense("A page does not say where the next one is.")
            # Only the path, never the host: the request carries the credentials.
            following = urlsplit(page.meta.next_page_url)
            target = f"/{following.path.lstrip('/')}?{following.query}"
        # A list that leads back to itself would never end.
        raise self.nonsense()

    async def get(self, target: str, kind: type[_Reply]) -> _Reply:
        """Return a resource; retry while Twilio is busy, failing or silent.

        Raises CarrierError.
        """
        for attempt in range(ATTEMPTS):
            wait_s = self._backoff_s * 2**attempt
            try:
                status, retry_after, body = await self._ask(target)
            except (aiohttp.ClientError, OSError) as error:  # OSError includes TimeoutError
                if attempt == ATTEMPTS - 1:
                    raise _failure(f"The carrier's {self._what} gave no answer.") from error
            else:
                if status == 200:
                    return self._decoded(body, kind)
                # Anything else is about the request or the credentials, and stays so.
                is_passing = status == _TOO_MANY_REQUESTS or status >= 500
                if not is_passing or attempt == ATTEMPTS - 1:
                    raise _failure(f"The carrier refused to show its {self._what}.", status)
                # RFC 9110, 10.2.3 allows a date as well; then the pause is ours.
                if _SECONDS.fullmatch(retry_after):
                    wait_s = min(float(retry_after), RETRY_AFTER_MAX_S)
            await asyncio.sleep(wait_s)
        raise AssertionError

    async def _ask(self, target: str) -> tuple[int, str, bytes]:
        """Return status, Retry-After and body, read no further than its bound."""
        url = self._base_url + target
        # A redirect would carry the credentials to any host that it names.
        async with self._session.get(url, allow_redirects=False) as reply:
            body = bytearray()
            # Counted as it comes: neither a length that is announced nor a compressed body is
            # trusted.
            async for part in reply.content.iter_any():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise self.nonsense()
            return reply.status, reply.headers.get("Retry-After", "").strip(), bytes(body)

    def _decoded(self, body: bytes, kind: type[_Reply]) -> _Reply:
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE:
            raise self.nonsense() from None

    def nonsense(self, why: str = "") -> CarrierError:
        """Return the error for a reply that makes no sense; `why` is a sentence."""
        return _failure(f"The carrier's {self._what} could not be understood. {why}".rstrip())


def _failure(message: str, status: int = 0) -> CarrierError:
    return CarrierError(message, cause=Cause.NETWORK_OUT_OF_ORDER, status=status)
