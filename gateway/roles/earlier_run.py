"""Waits for the processes left behind by a killed supervisor of a machine: they end their calls.

All processes of a machine hold one lock, inherited from its supervisor; the supervisor holds a
second one alone. Until the last of them has ended they occupy the ports and the leases.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.errors import EXIT_UNAVAILABLE
from gateway.roles import process
from gateway.roles.process import EndedError, announce
from gateway.settings import PREFIX, Settings
from gateway.stores import private_files
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.file_lock import try_lock

PATIENCE_S: Final = 30.0
"""Longer than a process lives without its supervisor, plus the time until it notices."""
_LOOK_S: Final = 0.1


def hold_own(settings: Settings) -> int:
    """Return a descriptor whose lock marks this process as the machine's supervisor.

    Raises EndedError if there already is one.
    """
    own = try_lock(_own(settings))
    if own is None:
        text = f"Another supervisor serves port {settings.port} out of {settings.data_dir}."
        process.complain(text, f"End it, or choose another {PREFIX}PORT.")
        raise EndedError(EXIT_UNAVAILABLE)
    return own


async def hold_shared(settings: Settings) -> int:
    """Return a descriptor for every process of the machine to inherit; wait until it is free.

    Raises EndedError, naming them, if processes of an earlier run do not end.
    """
    shared = try_lock(_shared(settings))
    if shared is not None:
        return shared
    announce(
        f"Waiting up to {PATIENCE_S:.0f} s until the processes of an earlier run have ended their"
        " calls."
    )
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await asyncio.sleep(_LOOK_S)
                if (shared := try_lock(_shared(settings))) is not None:
                    return shared
    pids = " ".join(map(str, _holders(_shared(settings))))
    process.complain(
        f"Processes of an earlier run have not ended within {PATIENCE_S:.0f} s: {pids}.",
        f"`kill -9 {pids}` ends them; what their calls cost is settled at the next start.",
    )
    raise EndedError(EXIT_UNAVAILABLE)


async def ended(settings: Settings) -> None:
    """Return once nothing of an earlier run whose supervisor was killed occupies the ports.

    Raises EndedError, StoreUnavailableError.
    """
    if not _shared(settings).exists():
        return
    own = try_lock(_own(settings))
    # A live supervisor did not leave them behind: its port is in use, which is found next.
    if own is None:
        return
    try:
        async with contextlib.AsyncExitStack() as stack:
            shared = try_lock(_shared(settings))
            if shared is None:
                if not settings.redis_url:
                    # The bundled one ended with the supervisor, and calls are settled there.
                    valkey = EmbeddedValkey(settings.data_dir / private_files.VALKEY)
                    stack.push_async_callback(valkey.stop)
                    await valkey.start()
                shared = await hold_shared(settings)
            os.close(shared)
    finally:
        os.close(own)


def _shared(settings: Settings) -> Path:
    return settings.data_dir / f"machine-{settings.port}.lock"


def _own(settings: Settings) -> Path:
    return settings.data_dir / f"supervisor-{settings.port}.lock"


def _holders(path: Path) -> Sequence[int]:
    """Return the processes of this user that have a file open, except this one."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        # Those of others cannot be read; some end meanwhile.
        with contextlib.suppress(OSError):
            if descriptor.samefile(path):
                found.add(int(descriptor.parts[2]))
    return sorted(found - {os.getpid()})
