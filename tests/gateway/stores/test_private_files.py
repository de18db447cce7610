"""Files of Caller's are for their owner only, and nobody else's folder is closed."""

import os
import stat

import pytest

from gateway.errors import SettingsError
from gateway.stores import private_files


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path):
    """A data folder as an earlier run under umask 022 has left it."""
    folder = tmp_path / "data"
    (folder / "valkey" / "appendonlydir").mkdir(parents=True)
    for name in ("caller.db", "caller.db-wal", "caller.db-shm", "valkey/appendonlydir/a.aof"):
        (folder / name).write_bytes(b"kept")
        (folder / name).chmod(0o644)
    for path in (folder, folder / "valkey", folder / "valkey" / "appendonlydir"):
        path.chmod(0o755)
    return folder


def test_a_folder_that_is_made_is_private(tmp_path):
    private_files.restrict_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


def test_a_folder_that_was_open_is_closed(folder):
    assert private_files.is_open_to_everyone(folder)
    private_files.restrict_folder(folder)
    assert mode(folder) == 0o700
    assert not private_files.is_open_to_everyone(folder)


def test_a_database_is_closed_with_what_lies_beside_it(folder):
    private_files.restrict_database(folder / "caller.db")
    for name in ("caller.db", "caller.db-wal", "caller.db-shm"):
        assert mode(folder / name) == 0o600
        assert (folder / name).read_bytes() == b"kept"
    assert not (folder / "caller.db-journal").exists()


def test_a_database_that_is_not_there_is_made_private(tmp_path):
    before = os.umask(0)
    try:
        private_files.restrict_database(tmp_path / "new.db")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new.db") == 0o600


def test_where_no_file_can_be_made_the_database_says_so(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    private_files.restrict_database(tmp_path / "closed" / "new.db")


def test_a_tree_is_closed_and_what_it_points_at_is_not(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    elsewhere.chmod(0o644)
    (folder / "valkey" / "link").symlink_to(elsewhere)
    private_files.restrict_tree(folder / "valkey")
    assert mode(folder / "valkey" / "appendonlydir") == 0o700
    assert mode(folder / "valkey" / "appendonlydir" / "a.aof") == 0o600
    assert mode(elsewhere) == 0o644


def test_a_folder_with_other_things_in_it_is_left_alone(folder):
    (folder / "holiday.jpg").write_bytes(b"")
    with pytest.raises(SettingsError, match=r"more than Caller's files.*mode to 700"):
        private_files.restrict_folder(folder)
    assert mode(folder) == 0o755
    folder.chmod(0o700)
    private_files.restrict_folder(folder)


@pytest.mark.parametrize("bits", [0o777, 0o1777, 0o703])
def test_a_folder_that_everyone_writes_to_is_refused(folder, bits):
    folder.chmod(bits)
    with pytest.raises(SettingsError, match="written by everyone"):
        private_files.restrict_folder(folder)
    assert mode(folder) == bits


def test_a_folder_of_another_user_is_refused_only_when_it_is_open(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(SettingsError, match="not ours to close"):
        private_files.restrict_folder(folder)
    folder.chmod(0o770)
    private_files.restrict_folder(folder)
    assert mode(folder) == 0o770


def test_a_group_that_was_let_in_stays(folder):
    folder.chmod(0o750)
    private_files.restrict_folder(folder)
    assert mode(folder) == 0o750
