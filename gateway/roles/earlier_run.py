"""Waits for the processes that a killed supervisor of a machine has left: they end their calls.

Each process of a machine holds one lock, which it has inherited from its supervisor; the supervisor
holds another one for itself. Until the last has ended they have the ports and the leases.
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
"""Longer than a process lives without its supervisor, and is busy before it notices."""
_LOOK_S: Final = 0.1


def hold_own(settings: Settings) -> int:
    """Return a descriptor by which this process is known as the machine's supervisor.

    Raises EndedError where there is one.
    """
    own = try_lock(_own(settings))
    if own is None:
        text = f"Another supervisor serves port {settings.port} out of {settings.data_dir}."
        process.complain(text, f"End it, or choose another {PREFIX}PORT.")
        raise EndedError(EXIT_UNAVAILABLE)
    return own


async def hold_shared(settings: Settings) -> int:
    """Return a descriptor that every process of the machine is to inherit; wait until it is free.

    Raises EndedError where processes of an earlier run do not end, and names them.
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
    """Return once nothing of an earlier run has the ports, where its supervisor was killed.

    Raises EndedError, StoreUnavailableError.
    """
    if not _shared(settings).exists():
        return
    own = try_lock(_own(settings))
    # A supervisor that lives has not left them: its port is in use, as is found next.
    if own is None:
        return
    try:
        async with contextlib.AsyncExitStack() as stack:
            shared = try_lock(_shared(settings))
            if shared is None:
                if not settings.redis_url:
                    # The bundled one has ended with the supervisor, and calls are settled there.
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
    """Return the processes of this user that have a file open, but for this one."""
    found = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        # Of others it cannot be read; some end meanwhile.
        with contextlib.suppress(OSError):
            if descriptor.samefile(path):
                found.add(int(descriptor.parts[2]))
    return sorted(found - {os.getpid()})
