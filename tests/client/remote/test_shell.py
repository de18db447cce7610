"""Commands of `caller-remote`: at whole nodes, and where something is wrong."""

import asyncio
import errno
import io
import json

import pytest
import pytest_asyncio
from caller_client import AsyncCaller
from caller_client.remote.failures import CommandError
from caller_client.remote.shell import KEY_FILE_BYTES_MAX, Console, read_key, run

from gateway.administration.store import SqlAdministration
from gateway.errors import EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.operators import NODES
from gateway.scopes import Scope
from tests.client.cut import Cutter
from tests.gateway.logs.levels import kept_levels
from tests.gateway.test_access import site
from tests.tcp_server import tcp_server

__all__ = ["site"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("migrated_books"),
]


class Operator:
    """Somebody at a terminal, with a key."""

    def __init__(self, site, key):
        self.url, self.key = f"http://127.0.0.1:{site.nodes[0].port}", key

    async def types(self, *arguments, **environ):
        """Return the code, and what is written."""
        out, err = io.StringIO(), io.StringIO()
        own = {"CALLER_REMOTE_URL": self.url, "CALLER_REMOTE_KEY": self.key} | environ
        code = await asyncio.to_thread(run, arguments, own, out, err)
        assert not self.key or self.key not in out.getvalue() + err.getvalue()
        return code, out.getvalue(), err.getvalue()


@pytest_asyncio.fixture(loop_scope="module")
async def operator(site):
    key, _ = await site.new_key("operators", scopes={Scope.ADMIN})
    return Operator(site, key)


@pytest.mark.thorough
async def test_nodes_are_listed_drained_and_resumed(site, operator):
    code, out, err = await operator.types("nodes", "list")
    assert (code, err) == (0, "")
    assert ["n1", "yes"] in [line.split()[:2] for line in out.splitlines()[1:]]
    said = (0, "Node n1 takes no new calls.\n", "")
    assert await operator.types("nodes", "drain", "n1") == said
    _, out, _ = await operator.types("nodes", "list", "--json")
    (facts,) = [each for each in json.loads(out) if each["node"] == "n1"]
    assert facts["is_draining"] is True
    assert await operator.types("nodes", "resume", "n1") == (0, "Node n1 takes new calls.\n", "")
    code, out, err = await operator.types("nodes", "drain", "n9")
    assert (code, out) == (EXIT_SETTINGS, "")
    assert err.splitlines() == [
        "Error: No such node runs.",
        "`caller-remote nodes list` shows the running ones.",
    ]


async def test_a_node_logs_more_for_a_while_and_the_audit_log_says_why(site, operator):
    with kept_levels():
        arguments = ["nodes", "log-level", "n1", "debug", "--for", "2h", "--reason", "calls fail"]
        said = (0, "Node n1 logs from debug for 120 minutes.\n", "")
        assert await operator.types(*arguments) == said
        arguments[3] = "setting"
        assert (await operator.types(*arguments))[1] == "Node n1 logs as it is set.\n"
    book = SqlAdministration(site.stores.engine, None)
    lines = await book.lines(NODES, limit=2, before=None)
    assert all("calls fail" in line.reason for line in lines)


async def test_calls_are_listed_and_one_that_is_not_live_is_told(operator):
    assert await operator.types("calls", "list") == (0, "No call is live.\n", "")
    assert await operator.types("calls", "list", "--account", "x", "--json") == (0, "[]\n", "")
    code, _, err = await operator.types("calls", "end", "nothing", "--reason", "test")
    assert (code, "calls list" in err) == (EXIT_SETTINGS, True)


async def test_alarms_are_listed_with_what_is_silenced(operator):
    silenced = {"name": "node_lost:n9", "minutes": 5, "reason": "repair"}
    async with AsyncCaller(operator.url, operator.key) as caller:
        await caller.silence_alarm(**silenced)
    code, out, err = await operator.types("alarms")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("(repair): node_lost:n9")
    _, out, _ = await operator.types("alarms", "--json")
    assert [each["name"] for each in json.loads(out)["silenced"]] == ["node_lost:n9"]


async def test_a_key_that_may_not_is_told_what_is_needed(site, operator):
    operator.key, _ = await site.new_key("mallory", scopes={Scope.CALLS})
    for command in ("nodes list", "calls tail"):
        code, out, err = await operator.types(*command.split())
        assert (code, out, "scope admin" in err) == (EXIT_SETTINGS, "", True)
    operator.key = "ck_nobody"
    for command in ("alarms", "calls tail"):
        code, _, err = await operator.types(*command.split())
        assert (code, "CALLER_REMOTE_KEY" in err) == (EXIT_SETTINGS, True)


async def test_a_file_holds_the_key(operator, tmp_path):
    file = tmp_path / "key"
    file.write_text(f"\ufeff{operator.key}\n")
    environ = {"CALLER_REMOTE_KEY": "", "CALLER_REMOTE_KEY_FILE": str(file)}
    assert (await operator.types("alarms", **environ))[0] == 0
    code, _, err = await operator.types("alarms", CALLER_REMOTE_KEY_FILE=str(file))
    assert (code, "both set" in err) == (EXIT_SETTINGS, True)


@pytest.mark.parametrize(
    "content", [None, b"", b"two words", b"\xff\xfe", b"x" * KEY_FILE_BYTES_MAX]
)
async def test_a_file_that_holds_none_is_not_shown(content, tmp_path):
    file = tmp_path / "ck_by_mistake"
    if content is not None:
        file.write_bytes(content)
    for name in (str(file), str(tmp_path), "\0", "~nobody-of-this-name/x"):
        with pytest.raises(CommandError) as refused:
            read_key({"CALLER_REMOTE_KEY_FILE": name})
        assert "mistake" not in refused.value.what + refused.value.hint


async def test_without_url_or_key_it_is_said_what_to_set(operator):
    code, _, err = await operator.types("alarms", CALLER_REMOTE_URL="")
    assert (code, "CALLER_REMOTE_URL" in err) == (EXIT_SETTINGS, True)
    operator.key = ""
    code, _, err = await operator.types("alarms")
    assert (code, "CALLER_REMOTE_KEY_FILE" in err) == (EXIT_SETTINGS, True)
    code, _, err = await operator.types("alarms", "--url", "http://example.com")
    assert (code, "https" in err) == (EXIT_SETTINGS, True)
    code, _, err = await operator.types("calls", "list", "--account", "\udcff")
    assert (code, "UTF-8" in err) == (EXIT_SETTINGS, True)


async def test_a_proxy_that_is_none_is_told_and_this_machine_is_asked_by_none(
    site, operator, monkeypatch
):
    async with Cutter(site.nodes[0].port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert (await operator.types("alarms"))[0] == 0
        assert proxy.heads == []
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://x")
    monkeypatch.setenv("https_proxy", "nonsense://x")
    code, _, err = await operator.types("alarms", "--url", "https://calls.invalid")
    assert (code, "HTTPS_PROXY" in err) == (EXIT_SETTINGS, True)


PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nHi"


@pytest.mark.parametrize(
    ("answer", "code", "word"),
    [
        (PAGE, EXIT_SETTINGS, "is no gateway: status 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", EXIT_SETTINGS, "302"),
        (b"SSH-2.0-OpenSSH\r\n", EXIT_UNAVAILABLE, "No answer came"),
        (b"", EXIT_UNAVAILABLE, "No answer came"),
    ],
)
async def test_who_is_no_gateway_is_told(operator, monkeypatch, answer, code, word):
    monkeypatch.setattr(Console, "wait", lambda *_: None)

    async def say(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with tcp_server(say) as port:
        url = f"http://127.0.0.1:{port}"
        for command in (("nodes", "list"), ("calls", "tail")):
            found, out, err = await operator.types(*command, "--url", url)
            assert (found, out, word in err) == (code, "", True)
    # And nobody at all, by now.
    found, _, err = await operator.types("nodes", "drain", "n1", "--url", url)
    assert (found, "may have been done" in err) == (EXIT_UNAVAILABLE, False)


async def test_an_act_that_nobody_answered_is_not_done_twice(operator):
    asked = []

    async def hang_up(reader, _writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))

    async with tcp_server(hang_up) as port:
        url = f"http://127.0.0.1:{port}"
        code, _, err = await operator.types("nodes", "drain", "n1", "--url", url)
    assert (code, len(asked), "may have been done" in err) == (EXIT_UNAVAILABLE, 1, True)


class Broken(io.StringIO):
    """An output that takes nothing."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def flush(self):
        raise OSError(self.number, "broken")


@pytest.mark.parametrize(("number", "code"), [(errno.EPIPE, 0), (errno.ENOSPC, EXIT_UNAVAILABLE)])
async def test_an_output_that_takes_nothing_ends_it(operator, number, code):
    environ = {"CALLER_REMOTE_URL": operator.url, "CALLER_REMOTE_KEY": operator.key}
    out = Broken(number)
    assert await asyncio.to_thread(run, ["alarms"], environ, out, Broken(errno.EPIPE)) == code
