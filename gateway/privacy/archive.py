"""Writes a ZIP as a stream of chunks, so that no more than one chunk of it is in memory.

ZIP64 with data descriptors (PKWARE APPNOTE 4.3.9 and 4.5.3): entries are written before their
length is known, and nothing is gone back to. Knows no data and no store.
"""

from __future__ import annotations

import zipfile
from datetime import datetime
from typing import IO, Final

CHUNK_BYTES: Final = 1024 * 1024
LEVEL: Final = 1
"""Of deflate (RFC 1951): a quarter of the time of the usual 6, and a fifth more bytes."""
_FILE_MODE: Final = 0o100600 << 16
"""A regular file that only its owner reads, in the upper half of the external attributes."""


class _Sink:
    """What the library writes to: it can be neither sought nor read."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def write(self, data: bytes) -> int:
        self.pending += data
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """What was written stays to be taken."""


class Archive:
    """A ZIP that grows; one entry is open at a time."""

    def __init__(self, at: datetime) -> None:
        """Date all entries at this time (in UTC, as ZIP knows no zone)."""
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
        """Add to the entry that is open."""
        assert self._entry is not None
        self._entry.write(data)

    def end(self) -> None:
        """End the entry that is open."""
        assert self._entry is not None
        self._entry.close()
        self._entry = None

    def close(self) -> None:
        """Write the directory; nothing can be added any more."""
        self._zip.close()

    def take(self, *, rest: bool = False) -> list[bytes]:
        """Take out the chunks that are full; with `rest` also what is left."""
        pending, chunks = self._sink.pending, list[bytes]()
        while len(pending) >= CHUNK_BYTES or (rest and pending):
            chunks.append(bytes(pending[:CHUNK_BYTES]))
            del pending[:CHUNK_BYTES]
        return chunks
