"""The file of erased accounts: what is written outlives a death, and nothing else is believed."""

import contextlib
import resource
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from accounts.audit_log import Actor
from accounts.erasure import STEPS, Erasure, State, Unspent
from database.errors import StoreUnavailableError
from gateway.monitor.error_lines import JOURNAL_LINE
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


@contextlib.contextmanager
def disk_full_after(size_bytes):
    """Let no file of this process become longer, as a disk would that is full then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_line_that_does_not_fit_leaves_nothing_of_it_and_is_written_later(tmp_path):
    path = tmp_path / "erased.log"
    journal = journal_of(path, Erasures())
    await journal.note("ada", NOW)
    written = path.read_bytes()
    # Cut short it would name another account: `be`.
    with disk_full_after(len(written) + len(f"{NOW.isoformat()} be")), capture_logs() as logs:
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            await journal.note("bea", NOW)
        with pytest.raises(StoreUnavailableError):
            await journal.require()
    assert path.read_bytes() == written
    assert [(line["event"], line["log_level"]) for line in logs] == [(JOURNAL_LINE, "error")] * 2
    assert logs[0]["file"] == str(path)
    await journal.require()
    await journal.note("bea", NOW)
    assert path.read_bytes() == written + f"{NOW.isoformat()} bea\n".encode()
    assert [each.name for each in tmp_path.iterdir()] == ["erased.log"]


async def test_a_last_line_without_an_end_is_kept_apart_from_the_next(tmp_path):
    path = tmp_path / "erased.log"
    path.write_text(f"{NOW.isoformat()} ada")
    await journal_of(path, Erasures()).note("bea", NOW)
    assert path.read_text() == f"{NOW.isoformat()} ada\n{NOW.isoformat()} bea\n"


@pytest.mark.parametrize("what", ["folder", "nothing", "no folder"])
async def test_a_file_that_cannot_be_one_is_said_before_anything_is_done(tmp_path, what):
    path = tmp_path / "data" / "erased.log"
    if what == "folder":
        path.mkdir(parents=True)
    elif what == "no folder":
        path.parent.write_text("")
    with capture_logs() as logs, pytest.raises(StoreUnavailableError, match=str(path)):
        await journal_of(path, Erasures()).require()
    assert logs[0]["event"] == JOURNAL_LINE
    assert "caller check" in logs[0]["hint"]
