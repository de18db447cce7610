"""Says whether a mail domain gives addresses away for minutes, by a list that was installed.

The list is never imported, because it would stay: a megabyte in a process that carries audio, for a
question that is asked in the days after a person's first payment. Knows no person.
"""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Final

_PACKAGE: Final = "disposable_email_domains"


async def is_disposable(domain: str) -> bool:
    """Return whether a domain, in ASCII, or one that it lies below, is on the list.

    False where no list is installed: it is one sign among others.
    """
    # Off the loop: a file of 200 KB is read and searched.
    return await asyncio.to_thread(_is_listed, domain.lower())


def _is_listed(domain: str) -> bool:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        return False
    # Its source is a set of quoted names, one to a line.
    source = Path(found.origin).read_bytes()
    labels = domain.split(".")
    # The last label alone is nobody's domain.
    parents = (".".join(labels[start:]) for start in range(len(labels) - 1))
    return any(f"'{parent}',".encode() in source for parent in parents)
