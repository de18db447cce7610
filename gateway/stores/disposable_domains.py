"""Says whether a mail domain hands out disposable addresses, according to an installed list.

The list is never imported, because it would stay in memory: a megabyte in a process that carries
audio, for a question asked only in the days after a person's first payment.
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Final

_PACKAGE: Final = "disposable_email_domains"


async def is_disposable(domain: str) -> bool:
    """Return whether a domain, in ASCII, or one of its parent domains, is on the list.

    False if no list is installed: it is one sign among others.
    """
    # Off the loop: a file of 200 KB is read and searched.
    return await asyncio.to_thread(_is_listed, domain.lower())


def _is_listed(domain: str) -> bool:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return False
    # Its source is a set of quoted names, one per line.
    source = Path(found.origin).read_bytes()
    labels = domain.split(".")
    # The top-level label alone belongs to no one.
    parents = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return any(f"'{parent}',".encode() in source for parent in parents)
