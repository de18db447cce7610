"""Writes a ZIP as a stream of chunks, with at most one chunk of it in memory.

ZIP64 with data descriptors (PKWARE APPNOTE 4.3.9 and 4.5.3): entries are written before their
length is known, and nothing is rewritten.
"""

from __future__ import annotations

import zipfile
from datetime import datetime
from typing import IO, Final

CHUNK_BYTES: Final = 1024 * 1024
LEVEL: Final = 1
"""The deflate level (RFC 1951): a quarter of the time of the usual 6, and a fifth more bytes."""
_FILE_MODE: Final = 0o100600 << 16
"""A regular file that only its owner can read, in the upper half of the external attributes."""


class _Sink:
    """The library's output: supports neither seeking nor reading."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def write(self, data: bytes) -> int:
        self.pending += data
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """What was written can still be taken."""


class Archive:
    """A ZIP that grows; one entry is open at a time."""

    def __init__(self, at: datetime) -> None:
        """Date all entries at this time (in UTC, as ZIP has no time zones)."""
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
        self._at = (at.year, at.month, at.day, at.hour, at.minute, at.second)
        self._entry: IO[bytes] | None = None

    def begin(self, name: str) -> None:
        """Begin an entry."""
        info = zipfile.ZipInfo(name, self._at)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = _FILE_MODE
        self._entry = self._zip.open(info, "w", force_zip64=True)

    def write(self, data: bytes) -> None:
        """Add to the open entry."""
        assert self._entry is not None
        self._entry.write(data)

    def end(self) -> None:
        """End the open entry."""
        assert self._entry is not None
        self._entry.close()
        self._entry = None

    def close(self) -> None:
        """Write the directory; nothing can be added after it."""
        self._zip.close()

    def take(self, *, rest: bool = False) -> list[bytes]:
        """Remove and return the full chunks; with `rest` also what is left."""
        pending, chunks = self._sink.pending, list[bytes]()
        while len(pending) >= CHUNK_BYTES or (rest and pending):
            chunks.append(bytes(pending[:CHUNK_BYTES]))
            del pending[:CHUNK_BYTES]
        return chunks
