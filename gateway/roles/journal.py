"""Composes the file in which each process of `caller serve` lists erased accounts.

The drainer's process has it too if it runs by itself, so no vendor library is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.personal_data.erasing import SqlErasing
from gateway.settings import Settings
from gateway.stores import erasure_journal, private_files
from gateway.stores.erasure_journal import ErasureJournal
from gateway.stores.opened import Stores


def open_journal(settings: Settings, stores: Stores) -> ErasureJournal:
    """Return the file in which this process records erasures; its folder is created.

    Raises SettingsError for an unusable folder.
    """
    private_files.restrict_folder(settings.data_dir)
    path = settings.data_dir / private_files.ERASED
    erasing = SqlErasing(stores.engine, stores.gate.restate)
    return ErasureJournal(path, erasing, stores.accounts.mark_deleted)


def is_folder_known(settings: Settings) -> bool:
    """Return whether the data folder is a gateway's, not just a command's working folder."""
    has_store = not (settings.redis_url and settings.database_url)
    return has_store or settings.data_dir != Settings().data_dir


def of_journal(journal: ErasureJournal) -> Sequence[PeriodicTask]:
    """Return the tasks of a journal; each runs at once for the first time."""
    return [
        PeriodicTask(
            "erased accounts that came back", journal.apply, erasure_journal.APPLY_INTERVAL_S
        ),
        PeriodicTask("journal of erasures", journal.copy, erasure_journal.COPY_INTERVAL_S),
    ]


class JournalDuty:
    """Keeps the list of erased accounts for a worker that is a process of its own."""

    def __init__(self, settings: Settings, stores: Stores, *, is_child: bool) -> None:
        """Find out whether it has a list: a child shares its parent's folder, and the list there.

        Raises SettingsError for an unusable folder.
        """
        is_kept = not is_child and is_folder_known(settings)
        self._tasks = of_journal(open_journal(settings, stores)) if is_kept else ()

    def start(self) -> None:
        """Start on the running loop."""
        for task in self._tasks:
            task.start()

    async def stop(self) -> None:
        """Stop, even in the middle of the work."""
        for task in self._tasks:
            await task.stop()
