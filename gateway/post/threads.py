"""Runs blocking work in a thread that the end of the process does not wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[[], _Result], name: str) -> _Result:
    """Run the work; a caller that is cancelled leaves it behind.

    Not in the loop's own threads: name look-ups and transactions share them, and a stop waits for
    them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def tell(note: Callable[[], None]) -> None:
        # The loop is closed if no one waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if done.done() else note())

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001, RUF100
            failure = error
            tell(lambda: done.set_exception(failure))
        else:
            tell(lambda: done.set_result(result))

    threading.Thread(target=run, daemon=True, name=name).start()
    return await done
