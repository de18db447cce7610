"""A ZIP as a stream: any reader can open it, and little of it is in memory."""

import io
import random
import zipfile
from datetime import UTC, datetime

import pytest

from gateway.privacy.archive import CHUNK_BYTES, Archive

AT = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)


def whole(archive):
    """Return the file, closed, of which nothing was taken out yet."""
    archive.close()
    return b"".join(archive.take(rest=True))


def test_what_goes_in_comes_out():
    archive = Archive(AT)
    entries = {"README.txt": ["Grüße\n"], "data/calls.json": ["[", "1", "]"], "empty.csv": []}
    for name, parts in entries.items():
        archive.begin(name)
        for part in parts:
            archive.write(part.encode())
        archive.end()
    found = zipfile.ZipFile(io.BytesIO(whole(archive)))
    assert found.testzip() is None
    assert {name: found.read(name).decode() for name in found.namelist()} == {
        name: "".join(parts) for name, parts in entries.items()
    }
    info = found.getinfo("README.txt")
    assert info.date_time == (2026, 11, 24, 12, 30, 4), "ZIP counts in steps of two seconds"
    assert info.external_attr >> 16 == 0o100600


def test_full_chunks_leave_and_nothing_more_is_kept():
    archive, source, taken = Archive(AT), random.Random(1), []
    archive.begin("noise")
    content = [source.randbytes(CHUNK_BYTES // 3) for _ in range(10)]
    for part in content:
        archive.write(part)
        taken += archive.take()
        assert len(archive._sink.pending) < CHUNK_BYTES
    archive.end()
    archive.close()
    assert [len(chunk) for chunk in taken] == [CHUNK_BYTES] * len(taken)
    assert len(taken) == 3
    rest = archive.take(rest=True)
    assert archive.take(rest=True) == []
    found = zipfile.ZipFile(io.BytesIO(b"".join(taken + rest)))
    assert found.read("noise") == b"".join(content)


def test_an_archive_without_entries_is_one():
    assert zipfile.ZipFile(io.BytesIO(whole(Archive(AT)))).namelist() == []


def test_one_entry_is_open_at_a_time():
    archive = Archive(AT)
    with pytest.raises(AssertionError):
        archive.write(b"x")
    archive.begin("a")
    with pytest.raises(ValueError, match="another"):
        archive.begin("b")
