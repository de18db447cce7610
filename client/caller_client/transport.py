"""Sends wishes by HTTP, again where that is harmless: for programs that wait, and on asyncio.

Streams are gone on with where they broke off.

Knows no operation.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing
from typing import Any, Final, Self

import httpx

from caller_client.errors import CallerError, UnexpectedAnswerError, UnreachableError
from caller_client.exchange import Wish, is_key, read_answer, wait_before_repeat
from caller_client.watching import SILENCE_S_MAX, Watch

TIMEOUT_S: Final = 10.0
RETRIES: Final = 2
ANSWER_S_MAX: Final = 60.0
"""Of one answer from its head to its end, however much of it comes in between."""
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""A page of 200 calls is a hundredth of that."""
_CUT_OFF: Final = "the stream was cut off"


class Transport:
    """A connection pool to one gateway. Close it, or use it in `with`."""

    def __init__(
        self,
        origin: str,
        key: str = "",
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Take where the gateway is, such as `https://calls.example.com`, and an API key.

        Args:
            origin: Scheme, host and port.
            key: Without one only what visitors of buttons may ask is answered.
            timeout_s: Of each part of an exchange: connecting, sending, each wait for an answer.
            retries: How often a request is sent again that may be.
            sleep: Waits before that.
            transport: Of httpx, in place of its own.

        """
        self._retries = retries
        self._sleep = sleep
        self._stream_timeout = _stream_timeout(timeout_s)
        self._http = httpx.Client(
            base_url=origin, headers=_headers(key), timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(self, wish: Wish) -> Any:
        """Return the answer to a wish. Raises CallerError."""
        repeats = 0
        while True:
            try:
                return self._ask_once(wish)
            except CallerError as error:
                wait_s = wait_before_repeat(wish, error, repeats)
                if repeats >= self._retries or wait_s is None:
                    raise
            repeats += 1
            self._sleep(wait_s)

    def pages(self, wish_of: Callable[[str | None], Wish], items: str) -> Iterator[Any]:
        """Yield the items of all pages."""
        before: str | None = None
        while True:
            page = self.ask(wish_of(before))
            yield from getattr(page, items)
            before = _following(before, page.next)
            if before is None:
                return

    def watch(self, wish: Wish) -> Generator[Any, None, None]:
        """Yield the events of a stream, which ends only where it fails. Raises CallerError.

        It is gone on with after whatever breaks it off, where that may help.
        """
        watch = Watch(wish, self._retries)
        while True:
            began_s = time.monotonic()
            error: CallerError = UnreachableError(_CUT_OFF)
            try:
                yield from self._watch_once(wish, watch)
            except CallerError as caught:
                error = caught
            self._sleep(watch.wait_after(error, time.monotonic() - began_s, _chance()))

    def _watch_once(self, wish: Wish, watch: Watch) -> Iterator[Any]:
        watch.connect()
        try:
            with self._http.stream(
                wish.method,
                wish.address,
                params=wish.parameters,
                headers=watch.headers,
                timeout=self._stream_timeout,
            ) as reply:
                if not reply.is_success:
                    answer = _Answer(reply.status_code)
                    for part in reply.iter_raw():
                        answer.take(part)
                    read_answer(wish, reply.status_code, reply.headers, bytes(answer.content))
                watch.check(reply.status_code, reply.headers)
                for part in reply.iter_raw():
                    yield from watch.take(part)
                    if watch.is_over:
                        return
        except httpx.TransportError as error:
            raise UnreachableError(type(error).__name__) from error

    def _ask_once(self, wish: Wish) -> Any:
        try:
            with self._http.stream(
                wish.method,
                wish.address,
                params=wish.parameters,
                content=wish.content,
                headers=wish.headers,
            ) as reply:
                answer = _Answer(reply.status_code)
                # Raw: nothing compressed was asked for, and it could be of any size.
                for part in reply.iter_raw():
                    answer.take(part)
        except httpx.TransportError as error:
            raise UnreachableError(type(error).__name__) from error
        return read_answer(wish, reply.status_code, reply.headers, bytes(answer.content))


class _Answer:
    """The body of an answer as it comes."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.content = bytearray()
        self._until = time.monotonic() + ANSWER_S_MAX

    def take(self, part: bytes) -> None:
        """Take some more. Raises UnexpectedAnswerError for more than any gateway answers."""
        self.content += part
        if len(self.content) > ANSWER_BYTES_MAX or time.monotonic() > self._until:
            raise UnexpectedAnswerError(self._status)


class AsyncTransport:
    """The same on asyncio."""

    def __init__(
        self,
        origin: str,
        key: str = "",
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take what `Transport` takes."""
        self._retries = retries
        self._sleep = sleep
        self._stream_timeout = _stream_timeout(timeout_s)
        self._http = httpx.AsyncClient(
            base_url=origin, headers=_headers(key), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(self, wish: Wish) -> Any:
        """Return the answer to a wish. Raises CallerError."""
        repeats = 0
        while True:
            try:
                return await self._ask_once(wish)
            except CallerError as error:
                wait_s = wait_before_repeat(wish, error, repeats)
                if repeats >= self._retries or wait_s is None:
                    raise
            repeats += 1
            await self._sleep(wait_s)

    async def pages(self, wish_of: Callable[[str | None], Wish], items: str) -> AsyncIterator[Any]:
        """Yield the items of all pages."""
        before: str | None = None
        while True:
            page = await self.ask(wish_of(before))
            for item in getattr(page, items):
                yield item
            before = _following(before, page.next)
            if before is None:
                return

    async def watch(self, wish: Wish) -> AsyncGenerator[Any, None]:
        """Yield what `Transport.watch` does. Raises CallerError."""
        watch = Watch(wish, self._retries)
        while True:
            began_s = time.monotonic()
            error: CallerError = UnreachableError(_CUT_OFF)
            try:
                async with aclosing(self._watch_once(wish, watch)) as once:
                    async for each in once:
                        yield each
            except CallerError as caught:
                error = caught
            await self._sleep(watch.wait_after(error, time.monotonic() - began_s, _chance()))

    async def _watch_once(self, wish: Wish, watch: Watch) -> AsyncGenerator[Any, None]:
        watch.connect()
        try:
            async with self._http.stream(
                wish.method,
                wish.address,
                params=wish.parameters,
                headers=watch.headers,
                timeout=self._stream_timeout,
            ) as reply:
                if not reply.is_success:
                    answer = _Answer(reply.status_code)
                    async for part in reply.aiter_raw():
                        answer.take(part)
                    read_answer(wish, reply.status_code, reply.headers, bytes(answer.content))
                watch.check(reply.status_code, reply.headers)
                async for part in reply.aiter_raw():
                    for each in watch.take(part):
                        yield each
                    if watch.is_over:
                        return
        except httpx.TransportError as error:
            raise UnreachableError(type(error).__name__) from error

    async def _ask_once(self, wish: Wish) -> Any:
        try:
            async with self._http.stream(
                wish.method,
                wish.address,
                params=wish.parameters,
                content=wish.content,
                headers=wish.headers,
            ) as reply:
                answer = _Answer(reply.status_code)
                async for part in reply.aiter_raw():
                    answer.take(part)
        except httpx.TransportError as error:
            raise UnreachableError(type(error).__name__) from error
        return read_answer(wish, reply.status_code, reply.headers, bytes(answer.content))


def _stream_timeout(timeout_s: float) -> httpx.Timeout:
    return httpx.Timeout(timeout_s, read=SILENCE_S_MAX)


def _chance() -> float:
    # S311: it spreads clients over time, and keeps no secret.
    return random.random()  # noqa: S311


def _headers(key: str) -> dict[str, str]:
    if key and not is_key(key):
        # Not shown: most of it may be right.
        raise ValueError("an API key has no spaces, and ASCII letters only")
    plain = {"Accept-Encoding": "identity"}
    return plain | ({"Authorization": f"Bearer {key}"} if key else {})


def _following(before: str | None, following: str | None) -> str | None:
    """Return where the next page begins. Raises UnexpectedAnswerError for one that led there."""
    if following is not None and following == before:
        raise UnexpectedAnswerError(200)
    return following
