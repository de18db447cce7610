"""The file of erased accounts: what is written outlives a death, and nothing else is believed."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.audit_log import Actor
from accounts.erasure import STEPS, Erasure, State, Unspent
from database.errors import StoreUnavailableError
from gateway.stores.erasure_journal import ErasureJournal

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Erasures:
    """What the database says of erasures."""

    def __init__(self, standing=None, done=()):
        self.standing, self.finished = standing or {}, list(done)
        self.begun, self.closed = [], []

    async def standing_since(self, account_id):
        return self.standing.get(account_id)

    async def begin_now(self, account_id, unspent, actor):
        self.begun.append((account_id, unspent, actor))

    async def close(self, account_id):
        self.closed.append(account_id)

    async def done(self, since):
        return [each for each in self.finished if each.ended_at >= since]


def journal_of(path, erasures):
    return ErasureJournal(path, erasures, erasures.close)


async def test_an_account_is_noted_once_and_only_this_user_reads_it(tmp_path):
    journal = journal_of(tmp_path / "erased.log", Erasures())
    for _ in range(2):
        await journal.note("ada", NOW)
    await journal_of(journal.path, Erasures()).note("ada", NOW)
    assert journal.path.read_text() == "2026-11-27T12:00:00+00:00 ada\n"
    assert journal.path.stat().st_mode & 0o777 == 0o600


async def test_who_came_back_is_erased_again_and_who_is_new_is_not(tmp_path):
    path = tmp_path / "erased.log"
    path.write_text(f"{NOW.isoformat()} old\n{NOW.isoformat()} new\n{NOW.isoformat()} gone\n")
    erasures = Erasures({"old": NOW - timedelta(days=1), "new": NOW + timedelta(days=1)})
    await journal_of(path, erasures).round()
    assert erasures.begun == [("old", Unspent.KEEP, Actor.SERVICE)]
    assert erasures.closed == ["old"]


async def test_what_is_no_line_of_ours_is_not_believed(tmp_path):
    path = tmp_path / "erased.log"
    path.write_bytes(b"\xff\xfe\nada\n2026-11-27T12:00:00 naive\n2026-11-27T12:00:00+00:00 \n")
    erasures = Erasures({"ada": NOW - timedelta(days=1), "naive": NOW - timedelta(days=1)})
    await journal_of(path, erasures).round()
    assert erasures.begun == []


async def test_what_other_nodes_erased_is_written_down(tmp_path):
    done = Erasure("bea", State.DONE, STEPS[-1], Unspent.REFUND, Actor.HOLDER, NOW, NOW, NOW)
    journal = journal_of(tmp_path / "erased.log", Erasures(done=[done]))
    for _ in range(2):
        await journal.round()
    assert journal.path.read_text() == "2026-11-27T12:00:00+00:00 bea\n"


async def test_where_nothing_can_be_written_nobody_is_erased(tmp_path):
    journal = journal_of(tmp_path / "nowhere" / "erased.log", Erasures())
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        await journal.note("ada", NOW)
