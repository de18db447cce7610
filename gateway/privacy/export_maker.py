"""Makes exports: all data about a person, as JSON and CSV in one ZIP.

The data map defines the content; each kind is read a page at a time. An export that an earlier
maker left unfinished is started over.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from accounts.export import Export
from accounts.notice import Notice
from accounts.personal_data import Columns, KindOfData
from accounts.ports import PersonalRowReader, RowPage
from billing.csv_lines import lines
from gateway.data_map import KINDS
from gateway.privacy.archive import Archive
from gateway.privacy.readme import readme

SIZE_BYTES_MAX: Final = 1024**3
"""Size of one archive: a million calls take some 60 MB."""
KEPT_BYTES_MAX: Final = 16 * 1024**2
"""How much of one table's rows is kept in memory as compressed CSV: some 500,000 calls."""
ROUND_MAX: Final = 20
"""Exports made in one round."""
INTERVAL_S: Final = 5.0
SESSIONS: Final = "sessions"
VERSION: Final = 1
"""Version of the archive's format."""

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode
_T = TypeVar("_T")


class ExportStore(Protocol):
    """The exports. Every method raises StoreUnavailableError."""

    async def claim(self) -> tuple[Export, str] | None:
        """Return the export that has waited longest, and its reader's language."""

    async def add_chunk(self, export: Export, number: int, content: bytes, progress: int) -> bool:
        """Add a chunk, and renew the claim; False if it is lost."""

    async def renew(self, export: Export, progress: int) -> bool:
        """Renew the claim; False if it is lost."""

    async def finish(self, export: Export, notice: Notice) -> bool:
        """Make an export available, and notify its holder; False if the claim is lost."""

    async def fail(self, export: Export) -> bool:
        """Abandon an export; False if the claim is lost."""


class _LostError(Exception):
    """Someone else has the claim, or the account is gone: nothing more is written."""


class _TooLargeError(Exception):
    """The archive would exceed the maximum size."""


Sessions = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]
"""Returns an account's sessions as rows (account id). Raises StoreUnavailableError."""
InThread = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs work off the loop, such as `asyncio.to_thread`."""


@dataclass(slots=True)
class ExportMaker:
    """Makes the exports of a deployment, one after the other."""

    store: ExportStore
    rows: PersonalRowReader
    sessions: Sessions
    in_thread: InThread
    clock: Callable[[], datetime]
    service: str
    origin: str
    size_bytes_max: int = SIZE_BYTES_MAX

    async def round(self) -> None:
        """Make the waiting exports. Raises StoreUnavailableError."""
        for _ in range(ROUND_MAX):
            claimed = await self.store.claim()
            if claimed is None:
                return
            await self._make(*claimed)

    async def _make(self, export: Export, language: str) -> None:
        making = _Making(self, export, language)
        try:
            await making.run()
        except _LostError:
            return
        except _TooLargeError:
            await self.store.fail(export)
            _log.error("export too large", account=export.account_id)
            return
        # By its id, so that only one of two makers notifies, and a repeat does not.
        await self.store.finish(export, Notice("export_ready", once=f"export:{export.id}"))


class _KeptPages:
    """The first pages of a table as compressed CSV, kept while the same rows are written as JSON.

    A ZIP has one entry open at a time, and reading all rows again would take twice as long.
    """

    def __init__(self) -> None:
        self.pages: list[bytes] = []
        self.rows = 0
        self.after: tuple[Any, ...] | None = None
        """Where the rows begin that were not kept; None if all were."""
        self._size = 0

    def add(self, _archive: Archive, page: RowPage) -> None:
        """Keep a page, unless that exceeds the maximum."""
        if self._size > KEPT_BYTES_MAX:
            return
        packed = zlib.compress(lines(page.rows), 1)
        self.pages.append(packed)
        self.rows += len(page.rows)
        self._size += len(packed)
        if self._size > KEPT_BYTES_MAX:
            self.after = page.after


class _Making:
    """One export in progress."""

    def __init__(self, maker: ExportMaker, export: Export, language: str) -> None:
        self._maker = maker
        self._export = export
        self._language = language
        self._archive = Archive(maker.clock())
        self._number = 0
        self._size = 0
        self._done = 0
        self._total = 1
        self._percent = 0
        self._counts: dict[str, int] = {}
        """File -> entries."""

    async def run(self) -> None:
        """Write all of it."""
        kinds = [kind for kind in KINDS if kind.is_exported]
        sizes = [
            await self._maker.rows.count(kind, columns, self._export.account_id)
            for kind in kinds
            for columns in kind.sql
        ]
        # Each row is written in two forms.
        self._total = max(1, 2 * sum(sizes))
        for kind in kinds:
            if kind.sql:
                for columns, kept in zip(kind.sql, await self._write_json(kind), strict=True):
                    await self._write_csv(kind, columns, kept)
        await self._write_sessions()
        await self._write_rest()
        await self._maker.in_thread(self._archive.close)
        await self._pass_on(rest=True)

    async def _write_json(self, kind: KindOfData) -> Sequence[_KeptPages]:
        """Write a kind as one object: table -> its rows. Return its rows as CSV, table by table."""
        name, found = f"data/{kind.name}.json", list[_KeptPages]()
        self._archive.begin(name)
        self._counts[name] = 0
        head = "{"
        for columns in kind.sql:
            kept = _KeptPages()
            found.append(kept)
            self._archive.write(f'{head}"{columns.table}":['.encode())
            head, is_first = ",", True
            async for page in self._pages(kind, columns):
                await self._in_thread(_add_json, columns.exported, page.rows, is_first)
                await self._in_thread(kept.add, page)
                is_first = is_first and not page.rows
                self._counts[name] += len(page.rows)
                await self._pass_on()
            self._archive.write(b"]")
        self._archive.write(b"}\n")
        self._archive.end()
        return found

    async def _write_csv(self, kind: KindOfData, columns: Columns, kept: _KeptPages) -> None:
        part = f".{columns.table}" if len(kind.sql) > 1 else ""
        name = f"tables/{kind.name}{part}.csv"
        self._archive.begin(name)
        # The byte order mark by which spreadsheets recognise UTF-8.
        self._archive.write(b"\xef\xbb\xbf")
        self._counts[name] = 0
        self._archive.write(lines([columns.exported]))
        for packed in kept.pages:
            await self._in_thread(_add_packed, packed)
            await self._pass_on()
        self._counts[name] = kept.rows
        self._done += kept.rows
        if kept.after is not None:
            # More rows than may be kept in memory: these are read again.
            async for page in self._pages(kind, columns, kept.after):
                await self._in_thread(_add_csv, page.rows)
                self._counts[name] += len(page.rows)
                await self._pass_on()
        self._archive.end()

    async def _pages(
        self, kind: KindOfData, columns: Columns, after: tuple[Any, ...] | None = None
    ) -> AsyncIterator[RowPage]:
        while True:
            page = await self._maker.rows.page(kind, columns, self._export.account_id, after=after)
            self._done += len(page.rows)
            yield page
            if page.after is None:
                return
            after = page.after

    async def _write_sessions(self) -> None:
        """Write what is stored in Valkey, where a session expires by itself."""
        rows = await self._maker.sessions(self._export.account_id)
        names = tuple(dict.fromkeys(name for row in rows for name in row))
        values = [tuple(row.get(name) for name in names) for row in rows]
        self._archive.begin(f"data/{SESSIONS}.json")
        self._archive.write(_encode({SESSIONS: rows}) + b"\n")
        self._archive.end()
        self._archive.begin(f"tables/{SESSIONS}.csv")
        self._archive.write(lines([names, *values]))
        self._archive.end()
        for name in (f"data/{SESSIONS}.json", f"tables/{SESSIONS}.csv"):
            self._counts[name] = len(rows)

    async def _write_rest(self) -> None:
        maker, at = self._maker, self._maker.clock()
        text = readme(
            self._language,
            service=maker.service,
            origin=maker.origin,
            account=self._export.account_id,
            at=at,
        )
        manifest = {
            "version": VERSION,
            "service": maker.service,
            "account": self._export.account_id,
            "made_at": at,
            "entries": self._counts,
        }
        for name, content in (
            ("README.txt", text.encode()),
            ("manifest.json", msgspec.json.format(_encode(manifest)) + b"\n"),
        ):
            self._archive.begin(name)
            self._archive.write(content)
            self._archive.end()

    async def _in_thread(self, work: Callable[..., None], *arguments: Any) -> None:
        """Write off the loop: a page takes some milliseconds to encode and compress."""
        await self._maker.in_thread(lambda: work(self._archive, *arguments))

    async def _pass_on(self, *, rest: bool = False) -> None:
        """Store the full chunks. Raises _LostError, _TooLargeError."""
        percent = min(99, 100 * self._done // self._total)
        for chunk in self._archive.take(rest=rest):
            self._size += len(chunk)
            if self._size > self._maker.size_bytes_max:
                raise _TooLargeError
            if not await self._maker.store.add_chunk(self._export, self._number, chunk, percent):
                raise _LostError
            self._number, self._percent = self._number + 1, percent
        if percent >= self._percent + 10:
            self._percent = percent
            if not await self._maker.store.renew(self._export, percent):
                raise _LostError


def _add_json(
    archive: Archive, names: Sequence[str], rows: Sequence[Sequence[Any]], is_first: bool
) -> None:
    # Without its brackets: the array continues over all pages.
    body = _encode([dict(zip(names, row, strict=True)) for row in rows])[1:-1]
    archive.write(body if is_first or not body else b"," + body)


def _add_csv(archive: Archive, rows: Sequence[Sequence[Any]]) -> None:
    archive.write(lines(rows))


def _add_packed(archive: Archive, packed: bytes) -> None:
    archive.write(zlib.decompress(packed))
