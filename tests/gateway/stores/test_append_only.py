"""Append-only files of a real Valkey, whole and damaged; the server is the judge."""

import asyncio
import shutil

import pytest

from billing.stores.redis_client import connect, disconnect
from database.errors import StoreUnavailableError
from gateway.stores import append_only
from gateway.stores.append_only import FOLDER, MANIFEST
from gateway.stores.embedded import EmbeddedValkey


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files of a server that has rewritten them once, and was given more since."""
    folder = tmp_path_factory.mktemp("written") / "valkey"

    async def write():
        valkey = EmbeddedValkey(folder)
        client = connect(await valkey.start())
        await client.set("before", "1")
        await client.bgrewriteaof()
        async with asyncio.timeout(20):
            while (await client.info("persistence"))["aof_rewrite_in_progress"]:
                await asyncio.sleep(0.02)
        await client.set("after", "1")
        await disconnect(client)
        await valkey.stop()

    asyncio.run(write())
    return folder


@pytest.fixture
def folder(written, tmp_path):
    copy = tmp_path / "valkey"
    shutil.copytree(written, copy, ignore=lambda _folder, names: set(names) & {"valkey.sock"})
    return copy


def named(folder, kind):
    (found,) = (folder / FOLDER).glob(f"*.{kind}.*")
    return found


def test_no_files_and_whole_ones_are_no_fault(folder, tmp_path):
    assert append_only.fault(tmp_path / "none") == ""
    assert append_only.fault(folder) == ""
    named(folder, "incr").write_bytes(b"")
    assert append_only.fault(folder) == ""


DAMAGES = {
    "empty manifest": lambda folder: (folder / FOLDER / MANIFEST).write_bytes(b""),
    "other manifest": lambda folder: (folder / FOLDER / MANIFEST).write_bytes(b"garbage\n"),
    "half a line": lambda folder: (folder / FOLDER / MANIFEST).write_bytes(b"file a seq 1"),
    "no base": lambda folder: named(folder, "base").unlink(),
    "no increment": lambda folder: named(folder, "incr").unlink(),
    "other base": lambda folder: named(folder, "base").write_bytes(b"\0" * 64),
    "other increment": lambda folder: named(folder, "incr").write_bytes(b"\0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_a_server_cannot_start_on_is_told_before_and_after(folder, damage):
    DAMAGES[damage](folder)
    assert "restore the folder from a copy" in append_only.fault(folder)
    valkey = EmbeddedValkey(folder)
    with pytest.raises(StoreUnavailableError, match="restore the folder from a copy"):
        await valkey.start()
    await valkey.stop()


async def test_what_only_the_server_finds_is_told_in_its_words(folder):
    commands = named(folder, "incr")
    commands.write_bytes(commands.read_bytes()[:20] + b"XXXXX" * 9)
    assert append_only.fault(folder) == ""
    with pytest.raises(StoreUnavailableError, match="Bad file format reading the append only file"):
        await EmbeddedValkey(folder).start()
