"""Which command is meant, for which gateway, and by which key."""

import contextlib

import pytest
from caller_client import __version__
from caller_client.remote.arguments import (
    KEY_CHARS_MAX,
    MINUTES_MAX,
    REASON_CHARS_MAX,
    Command,
    is_loopback,
    key_of,
    origin_of,
    parse,
)
from caller_client.remote.failures import EXIT_SETTINGS, CommandError
from hypothesis import given
from hypothesis import strategies as st

from gateway.fleet.messages import LEVEL_MINUTES, LEVEL_MINUTES_MAX, LogLevel
from gateway.operators import REASON_MAX


def of(url):
    return Command(act="alarms", url=url)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("calls list", Command(act="calls list")),
        (
            "--url https://a calls list --account x --json",
            Command(act="calls list", url="https://a", account="x", as_json=True),
        ),
        ("calls end c1 --reason r", Command(act="calls end", call_id="c1", reason="r")),
        ("calls tail --json", Command(act="calls tail", as_json=True)),
        ("nodes list --url https://a", Command(act="nodes list", url="https://a")),
        ("nodes drain n1", Command(act="nodes drain", node="n1")),
        ("nodes resume n1", Command(act="nodes resume", node="n1")),
        (
            "nodes log-level n1 debug --reason r",
            Command(
                act="nodes log-level", node="n1", level="debug", reason="r", minutes=LEVEL_MINUTES
            ),
        ),
        (
            "nodes log-level n1 error --reason r --for 1d",
            Command(
                act="nodes log-level",
                node="n1",
                level="error",
                reason="r",
                minutes=LEVEL_MINUTES_MAX,
            ),
        ),
        ("alarms --json", Command(act="alarms", as_json=True)),
    ],
)
def test_a_line_is_a_command(line, command):
    assert parse(line.split()) == command


@pytest.mark.parametrize("level", LogLevel)
def test_a_node_is_told_any_level_that_there_is(level):
    assert parse(["nodes", "log-level", "n1", level, "--reason", "r"]).level == level


@pytest.mark.parametrize(
    "line",
    [
        "",
        "calls",
        "nodes",
        "calls end c1",
        "calls list extra",
        "calls list --jso",
        "nodes drain",
        "calls end .. --reason r",
        "nodes log-level n1 loud --reason r",
        *(
            f"nodes log-level n1 info --reason r --for {length}"
            for length in ("15", "0m", "2d", "m")
        ),
    ],
)
def test_a_line_that_is_none_is_told_with_its_usage(line, capsys):
    with pytest.raises(SystemExit) as end:
        parse(line.split())
    assert end.value.code == EXIT_SETTINGS
    assert capsys.readouterr().err.startswith("usage: caller-remote")


@pytest.mark.parametrize("reason", ["", " ", "\t", "a\x1b[2J", "x" * (REASON_CHARS_MAX + 1)])
def test_a_reason_that_a_gateway_would_not_take_is_told_first(reason, capsys):
    with pytest.raises(SystemExit) as end:
        parse(["calls", "end", "c1", "--reason", reason])
    assert end.value.code == EXIT_SETTINGS
    assert "--reason" in capsys.readouterr().err


def test_help_tells_of_the_environment_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as end:
        parse(["--help"])
    said = capsys.readouterr().out
    assert end.value.code == 0
    assert all(word in said for word in ("CALLER_REMOTE_KEY_FILE", "exit codes", "calls tail"))
    with pytest.raises(SystemExit):
        parse(["--version"])
    assert capsys.readouterr().out == f"caller-remote {__version__}\n"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://calls.example.com", "https://calls.example.com"),
        (" https://Calls.example.com:8443/ ", "https://calls.example.com:8443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_url_is_of_a_gateway(url, origin):
    assert origin_of(of(url), {}) == origin
    assert origin_of(of(None), {"CALLER_REMOTE_URL": url}) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "calls.example.com",
        "ftp://a",
        "https://",
        "https:///x",
        "https://a/v1",
        "https://a?x=1",
        "https://a#x",
        "https://user:pass@a",
        "https://a:99999",
        "https://[::1",
        "https://a\x1b",
        "http://example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
        "http://localhost.example.com",
        "http://2130706433",
        "http://10.0.0.1",
        "wss://a",
        "https://a..b",
        f"https://{'a' * 64}.com",
        "https://a:0",
        "https://\u0378",
        # What looks encoded, and is of no letters.
        "https://xn--a.invalid",
        "https://xn--zz--.invalid",
    ],
)
def test_another_url_is_refused_with_what_to_do(url):
    with pytest.raises(CommandError) as refused:
        origin_of(of(url), {"CALLER_REMOTE_URL": "https://not.asked"})
    assert refused.value.code == EXIT_SETTINGS
    assert "pass" not in refused.value.what + refused.value.hint


@given(st.text())
def test_no_text_is_a_url_by_which_a_key_could_be_read_on_its_way(text):
    with contextlib.suppress(CommandError):
        origin = origin_of(of(text), {})
        host = origin.partition("://")[2]
        assert origin.startswith("https://") or is_loopback(host.rpartition(":")[0] or host)


def test_bounds_are_those_of_the_gateway():
    assert (REASON_CHARS_MAX, MINUTES_MAX) == (REASON_MAX, LEVEL_MINUTES_MAX)


def test_a_key_is_a_word_alone():
    assert key_of(" ck_abc\n", "X") == "ck_abc"
    for text in ("", "\n", "a b", "a\nb", "schl\u00fcssel", "x" * (KEY_CHARS_MAX + 1), "\x00"):
        with pytest.raises(CommandError, match=r"^X holds no API key\.$"):
            key_of(text, "X")
