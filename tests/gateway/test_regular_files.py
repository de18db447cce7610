"""What is no file is not read, and never waited for."""

import os
import socket

import pytest

from gateway.regular_files import NotRegularError, is_other, read


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_file_is_read_also_through_links(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"content")
    link.symlink_to(file)
    assert (read(file), read(link)) == (b"content", b"content")
    assert not is_other(link)
    assert not is_other(tmp_path / "none")


def test_what_is_no_file_is_refused_at_once(tmp_path, pipe):
    link = tmp_path / "link"
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for file in (pipe, link, "/dev/zero"):
            with pytest.raises(NotRegularError):
                read(file)
        for file in (tmp_path, tmp_path / "socket", tmp_path / "none"):
            with pytest.raises(OSError, match=r"Errno|^$"):
                read(file)
    assert is_other(pipe)
    assert is_other(link)
    assert is_other(tmp_path)
