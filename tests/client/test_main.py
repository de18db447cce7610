"""`caller-remote` as a process, at two whole nodes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import caller_client
import pytest
import pytest_asyncio

from gateway.errors import EXIT_INTERRUPTED, EXIT_SETTINGS
from gateway.scopes import Scope
from tests.client.cut import Cutter
from tests.gateway.test_access import ECHO, site

__all__ = ["site"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("migrated_books"),
]
PATIENCE_S = 40
CLIENT = Path(caller_client.__file__).parents[1]
LEFT = ("CALLER_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH")


class Process:
    """One `python -m caller_client …`."""

    def __init__(self, popen):
        self.popen = popen

    async def line(self):
        """Return the next line of its output."""
        async with asyncio.timeout(PATIENCE_S):
            return (await self.popen.stdout.readline()).decode()

    async def end(self):
        """Return its code and whatever it has yet written."""
        async with asyncio.timeout(PATIENCE_S):
            out, err = await self.popen.communicate()
        return self.popen.returncode, (out or b"").decode(), err.decode()


@contextlib.asynccontextmanager
async def started(url, key, *arguments, stdout=asyncio.subprocess.PIPE):
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(LEFT)}
    popen = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "caller_client",
        *arguments,
        env=kept | {"PYTHONPATH": str(CLIENT), "CALLER_REMOTE_URL": url, "CALLER_REMOTE_KEY": key},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(popen)
    finally:
        with contextlib.suppress(ProcessLookupError):
            popen.kill()
        await popen.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cutter(site):
    async with Cutter(site.nodes[0].port) as cutter:
        yield cutter


async def new_operator(site):
    return await site.new_key("operators", scopes={Scope.ADMIN})


async def place_call(site, key):
    """Let somebody call; the carrier cannot be reached, so that the call ends."""
    reply = await site.ask(
        site.nodes[1], "POST", "/v1/call-tokens", key, json={"destination": ECHO}
    )
    return await site.start(site.nodes[1], reply[1]["token"])


async def until_ended(process, seen):
    """Return the id of the next call that has ended."""
    while True:
        row = json.loads(await process.line())
        seen.append((row["id"], row["state"]))
        if row["state"] == "ended":
            return row


async def test_calls_are_seen_also_after_the_connection_was_cut(site, cutter):
    operator, _ = await new_operator(site)
    caller, _ = await site.new_key()
    seen = []
    async with started(cutter.url, operator, "calls", "tail", "--json") as tail:
        await place_call(site, caller)
        first = await until_ended(tail, seen)
        assert (first["account_id"], first["destination"]) == ("alice", ECHO)
        cutter.cut()
        await place_call(site, caller)
        second = await until_ended(tail, seen)
        tail.popen.send_signal(signal.SIGINT)
        code, _, err = await tail.end()
    assert second["id"] != first["id"]
    # No state twice: the second connection has gone on where the first broke off.
    assert len(set(seen)) == len(seen)
    assert (code, err.count("asked again in")) == (EXIT_INTERRUPTED, 1)
    assert "Traceback" not in err
    began, went_on = cutter.heads[-2:]
    assert b"last-event-id" not in began.lower()
    assert b"last-event-id" in went_on.lower()


async def test_whose_key_is_revoked_while_they_look_is_told_so(site):
    key, key_id = await new_operator(site)
    caller, _ = await site.new_key()
    url = f"http://127.0.0.1:{site.nodes[0].port}"
    async with started(url, key, "calls", "tail", "--account", "alice") as tail:
        await place_call(site, caller)
        assert "alice" in await tail.line()
        await site.stores.accounts.revoke_api_key("operators", key_id)
        code, _, err = await tail.end()
    assert (code, err.startswith("Error: The API key is missing, wrong")) == (EXIT_SETTINGS, True)
    assert "CALLER_REMOTE_KEY" in err
    assert key not in err


async def test_whoever_has_closed_its_output_is_left_in_silence(site):
    key, _ = await new_operator(site)
    reading, writing = os.pipe()
    os.close(reading)
    url = f"http://127.0.0.1:{site.nodes[0].port}"
    try:
        async with started(url, key, "nodes", "list", stdout=writing) as listed:
            assert await listed.end() == (0, "", "")
    finally:
        os.close(writing)


async def test_no_output_at_all_is_no_failure(site):
    key, _ = await new_operator(site)
    command = f"exec {sys.executable} -m caller_client nodes list >&- 2>&-"
    environ = {
        "PYTHONPATH": str(CLIENT),
        "CALLER_REMOTE_URL": f"http://127.0.0.1:{site.nodes[0].port}",
        "CALLER_REMOTE_KEY": key,
    }
    popen = await asyncio.create_subprocess_exec("sh", "-c", command, env=environ)
    async with asyncio.timeout(PATIENCE_S):
        assert await popen.wait() == 0
