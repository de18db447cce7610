"""One key in a file: made once, read by this user only."""

import itertools
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import SettingsError
from gateway.stores.key_file import kept_key


def test_a_key_is_made_once_and_read_by_nobody_else(tmp_path):
    path, numbers = tmp_path / "key", itertools.count()

    def new():
        return f"key {next(numbers)}"

    assert [kept_key(path, new) for _ in range(2)] == ["key 0", "key 0"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_of_many_who_make_it_at_once_all_have_the_same(tmp_path):
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: kept_key(path, lambda: f"key {number}"), range(8)))
    assert len(set(found)) == 1


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff"])
def test_a_file_without_a_key_is_said(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="CALLER_DATA_DIR"):
        kept_key(path, lambda: "new")
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SettingsError):
        kept_key(tmp_path / "nowhere" / "key", lambda: "new")
