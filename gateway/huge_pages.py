"""The heap in huge pages, where Linux has them.

A frame touches dozens of objects, which lie all over the heap. With hundreds of calls a processor
cannot remember where all those pages of 4 KiB are, and looks it up again, in a virtual machine by
way of two tables, for each frame. Linux gathers memory that is in use into pages of 2 MiB when it
is asked to, which nobody does for Python. Only what is nearly full is gathered, so that it takes no
more memory.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from mmap import PAGESIZE
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

INTERVAL_S: Final = 10.0
"""How often to look: calls make the heap grow."""

MADV_COLLAPSE: Final = 25
"""madvise(2); Linux 6.1. Gathers at once, within about half a millisecond for each huge page."""
PRESENT_BIT: Final = 63
"""Of an entry of /proc/self/pagemap, one for each page, proc_pid_pagemap(5): it is in memory."""
ENTRY_BYTES: Final = 8
FULL: Final = 0.9
"""Part of a huge page that must be in use, or gathering it would cost memory."""

SETTINGS: Final = Path("/sys/kernel/mm/transparent_hugepage")
SELF: Final = Path("/proc/self")


def gather(settings: Path = SETTINGS) -> int:
    """Gather what is in use of the heap; return how many bytes are in huge pages after that.

    Done again, it takes a millisecond or two. Call it off the loop: what is being gathered cannot
    be touched for half a millisecond. Returns 0 where the kernel has no huge pages, or is told to
    use none.
    """
    if sys.platform != "linux":
        return 0
    try:
        if "[never]" in (settings / "enabled").read_text():
            return 0
        size = int((settings / "hpage_pmd_size").read_text())
        with (SELF / "pagemap").open("rb", buffering=0) as pagemap:
            starts = [start for start in _candidates(size) if _is_full(pagemap, start, size)]
    except (OSError, ValueError):
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    gathered = [start for start in starts if madvise(start, size, MADV_COLLAPSE) == 0]
    return size * len(gathered)


def _candidates(size: int) -> Iterator[int]:
    """Yield where whole huge pages of the heap would begin: private, writable, of no file."""
    for line in (SELF / "maps").read_text().splitlines():
        extent, access, _offset, _device, inode, *name = line.split(maxsplit=5)
        if access != "rw-p" or inode != "0" or name not in ([], ["[heap]"]):
            continue
        start, end = (int(address, 16) for address in extent.split("-"))
        yield from range(-(-start // size) * size, end - size + 1, size)


def _is_full(pagemap: BinaryIO, start: int, size: int) -> bool:
    """Tell whether nearly all of these bytes have been used."""
    pages = size // PAGESIZE
    pagemap.seek(start // PAGESIZE * ENTRY_BYTES)
    entries = np.frombuffer(pagemap.read(pages * ENTRY_BYTES), np.uint64)
    return int(np.count_nonzero(entries >> PRESENT_BIT)) >= FULL * pages
