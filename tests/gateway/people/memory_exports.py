"""Exports and rows of people in memory: as the ports say, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from accounts.export import Export, ExportState, expiry, refusal
from accounts.ports import Held
from accounts.session import is_of_epoch
from database.errors import StoreUnavailableError
from gateway.data_map import KINDS

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
COUNTS = {"calls": 25_000, "devices": 1, "mails": 0}


class MemoryExports:
    """`accounts.ports.Exports`; a test makes one ready."""

    def __init__(self, world):
        self.world = world
        self.kept: list[Export] = []
        self.files: dict[str, list[bytes]] = {}
        self.fetched = 0

    def _stands(self, account_id, credentials_epoch):
        return is_of_epoch(credentials_epoch, self.world.people.holders[account_id])

    async def ask(self, account_id, credentials_epoch, export_id, session_digest):
        if not self._stands(account_id, credentials_epoch):
            return None
        if refused := refusal(self.kept, self.world.now):
            return refused
        export = Export(
            export_id,
            account_id,
            ExportState.QUEUED,
            0,
            session_digest,
            self.world.now,
            0,
            0,
            None,
            None,
        )
        self.kept.insert(0, export)
        return export

    def finish(self, *chunks):
        """Let the newest export be fetched."""
        export = self.kept[0]
        self.files[export.id] = list(chunks)
        self.kept[0] = replace(
            export,
            state=ExportState.READY,
            progress=100,
            size_bytes=sum(map(len, chunks)),
            expires_at=expiry(self.world.now),
        )
        return self.kept[0]

    async def of_account(self, account_id):
        return [each for each in self.kept if each.account_id == account_id]

    async def note_fetched(self, account_id, credentials_epoch):
        self.fetched += self._stands(account_id, credentials_epoch)
        return self._stands(account_id, credentials_epoch)

    async def chunk(self, export_id, number):
        chunks = self.files.get(export_id, [])
        return chunks[number] if number < len(chunks) else None


class MemoryRows:
    """The part of `accounts.ports.PersonalRows` that pages use: some of everything."""

    is_away = False

    async def held(self, account_id, *, newest, count_max):
        if self.is_away:
            raise StoreUnavailableError("away")
        return [
            Held(
                kind,
                columns,
                min(COUNTS.get(kind.name, 2), count_max),
                [[value_of(account_id, name) for name in columns.exported]]
                * min(newest, COUNTS.get(kind.name, 2)),
            )
            for kind in KINDS
            if kind.is_exported
            for columns in kind.sql
        ]


def value_of(account_id, name):
    if name.endswith(("_at", "_from", "_until")) or name == "at":
        return AT
    if name.endswith("_micros"):
        return 1_250_000
    if name == "account_id":
        return account_id
    return f"{name} <b>"
