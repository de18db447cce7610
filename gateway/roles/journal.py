"""Composes the list of erased accounts that each process of `caller serve` keeps as a file.

Also in the drainer's process where that is one of its own, so it carries no vendor.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.heartbeat.periodic_task import PeriodicTask
from gateway.personal_data.erasing import SqlErasing
from gateway.roles.storage import Stores
from gateway.settings import Settings
from gateway.stores import erasure_journal, private_files
from gateway.stores.erasure_journal import ErasureJournal


def open_journal(settings: Settings, stores: Stores) -> ErasureJournal:
    """Return the file in which this process writes down who is erased; its folder is made.

    Raises SettingsError for a folder that cannot be used.
    """
    private_files.restrict_folder(settings.data_dir)
    path = settings.data_dir / private_files.ERASED
    erasing = SqlErasing(stores.engine, stores.gate.restate)
    return ErasureJournal(path, erasing, stores.accounts.mark_deleted)


def is_folder_known(settings: Settings) -> bool:
    """Return whether the data folder is a gateway's, and not just where a command was typed."""
    has_store = not (settings.redis_url and settings.database_url)
    return has_store or settings.data_dir != Settings().data_dir


def of_journal(journal: ErasureJournal) -> Sequence[PeriodicTask]:
    """Return the tasks of a journal; the first time of each is at once."""
    return [
        PeriodicTask(
            "erased accounts that came back", journal.apply, erasure_journal.APPLY_INTERVAL_S
        ),
        PeriodicTask("journal of erasures", journal.copy, erasure_journal.COPY_INTERVAL_S),
    ]


class JournalDuty:
    """What a worker that is a process of its own does for its list of erased accounts."""

    def __init__(self, settings: Settings, stores: Stores, *, is_child: bool) -> None:
        """Find out whether it has one: a child shares its parent's folder, and the list there.

        Raises SettingsError for a folder that cannot be used.
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
