"""The file of erased accounts: what is written outlives a death, and nothing else is believed."""

import asyncio
import contextlib
import resource
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from accounts.audit_log import Actor
from accounts.erasure import STEPS, Erasure, ErasureState, Unspent
from database.errors import StoreUnavailableError
from gateway.stores.erasure_journal import ASKED_MAX, JOURNAL_LINE, ErasureJournal

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PAGE = 3


class Erasures:
    """What the database says of erasures."""

    def __init__(self, standing=None, done=()):
        self.made, self.finished = standing or {}, list(done)
        self.begun, self.closed, self.asked = [], [], []

    async def standing(self, account_ids):
        self.asked.append(len(account_ids))
        return {each: self.made[each] for each in account_ids if each in self.made}

    async def begin_now(self, account_id, unspent, actor):
        self.begun.append((account_id, unspent, actor))

    async def close(self, account_id):
        self.closed.append(account_id)

    async def erased(self, since, after):
        found = [each for each in self.finished if each.ended_at is None or each.ended_at >= since]
        by_number = sorted(found, key=lambda each: each.account_id)
        return [each for each in by_number if each.account_id > after][:PAGE]


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
    await journal_of(path, erasures).apply()
    assert erasures.begun == [("old", Unspent.KEEP, Actor.SERVICE)]
    assert erasures.closed == ["old"]


async def test_what_is_no_line_of_ours_is_not_believed(tmp_path):
    path = tmp_path / "erased.log"
    path.write_bytes(b"\xff\xfe\nada\n2026-11-27T12:00:00 naive\n2026-11-27T12:00:00+00:00 \n")
    erasures = Erasures({"ada": NOW - timedelta(days=1), "naive": NOW - timedelta(days=1)})
    await journal_of(path, erasures).apply()
    assert erasures.begun == []


def ended(account_id, at=NOW):
    return Erasure(
        account_id, ErasureState.DONE, STEPS[-1], Unspent.REFUND, Actor.HOLDER, NOW, NOW, at
    )


def lines_of(journal):
    return [line.split(" ")[1] for line in journal.path.read_text().splitlines()]


async def test_what_others_erased_is_written_down(tmp_path):
    journal = journal_of(tmp_path / "erased.log", Erasures(done=[ended("bea")]))
    for _ in range(2):
        await journal.copy()
    assert journal.path.read_text() == "2026-11-27T12:00:00+00:00 bea\n"


async def test_who_is_erased_is_written_down_before_the_last_step_is_done(tmp_path):
    journal = journal_of(tmp_path / "erased.log", Erasures(done=[ended("bea", None)]))
    for _ in range(2):
        await journal.copy()
    assert journal.path.read_text() == "2026-11-27T12:00:00+00:00 bea\n"


async def test_all_are_written_down_however_many_end_at_once(tmp_path):
    """Files are written anew for all that wait for it, in one moment."""
    erasures = Erasures(done=[ended(f"a{number}") for number in range(3 * PAGE + 1)])
    journal = journal_of(tmp_path / "erased.log", erasures)
    await journal.copy()
    assert lines_of(journal) == [f"a{number}" for number in range(3 * PAGE + 1)]
    erasures.finished += [ended("b"), ended("a-late", NOW - timedelta(minutes=50))]
    await journal.copy()
    assert lines_of(journal)[-2:] == ["a-late", "b"]


async def test_whom_a_clock_hides_that_is_far_ahead_is_written_down_at_the_next_full_look(tmp_path):
    erasures = Erasures(done=[ended("ahead", NOW + timedelta(days=2))])
    journal = journal_of(tmp_path / "erased.log", erasures)
    await journal.copy()
    erasures.finished.append(ended("bea"))
    await journal.copy()
    assert lines_of(journal) == ["ahead"]
    await journal.apply()
    await journal.copy()
    assert lines_of(journal) == ["ahead", "bea"]


@pytest.mark.parametrize("older", [None, f"{NOW.isoformat()} ada\n"])
async def test_a_file_that_was_lost_or_replaced_gets_its_lines_back(tmp_path, older):
    erasures = Erasures(done=[ended("ada"), ended("bea", NOW + timedelta(days=2))])
    journal = journal_of(tmp_path / "erased.log", erasures)
    await journal.copy()
    journal.path.unlink()
    if older is not None:
        journal.path.write_text(older)
    await journal.copy()
    assert lines_of(journal) == ["ada", "bea"]


async def test_a_newer_file_that_is_put_in_its_place_is_believed(tmp_path):
    erasures = Erasures({"old": NOW - timedelta(days=1)})
    journal = journal_of(tmp_path / "erased.log", erasures)
    await journal.apply()
    journal.path.write_text(f"{NOW.isoformat()} old\n")
    await journal.apply()
    assert erasures.closed == ["old"]


async def test_processes_of_one_folder_write_each_line_once(tmp_path):
    erasures = Erasures(done=[ended("ada"), ended("bea")])
    journals = [journal_of(tmp_path / "erased.log", erasures) for _ in range(3)]
    await asyncio.gather(*(journal.copy() for journal in journals))
    await asyncio.gather(*(journal.note("cid", NOW) for journal in journals))
    assert sorted(lines_of(journals[0])) == ["ada", "bea", "cid"]


async def test_many_are_looked_for_in_few_questions(tmp_path):
    path = tmp_path / "erased.log"
    path.write_text(
        "".join(f"{NOW.isoformat()} a{number}\n" for number in range(2 * ASKED_MAX + 1))
    )
    erasures = Erasures({f"a{2 * ASKED_MAX}": NOW - timedelta(days=1)})
    await journal_of(path, erasures).apply()
    assert erasures.asked == [ASKED_MAX, ASKED_MAX, 1]
    assert erasures.closed == [f"a{2 * ASKED_MAX}"]


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
