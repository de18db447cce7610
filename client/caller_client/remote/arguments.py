"""Reads the command line: which command, for which gateway, by which key. Pure.

Opens no file and no connection.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

import httpx

from caller_client import __version__
from caller_client.exchange import is_key
from caller_client.remote.failures import CommandError
from caller_client.shapes import LogLevel

URL: Final = "CALLER_REMOTE_URL"
KEY: Final = "CALLER_REMOTE_KEY"
KEY_FILE: Final = "CALLER_REMOTE_KEY_FILE"
PORT_MAX: Final = 65_535
KEY_CHARS_MAX: Final = 256
"""A key has some fifty."""
REASON_CHARS_MAX: Final = 300
MINUTES_MAX: Final = 24 * 60
"""A gateway refuses more, of either."""

_LENGTH: Final = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_MINUTES: Final = {"m": 1, "h": 60, "d": 24 * 60}
"""Unit -> its length in minutes."""

_ABOUT: Final = """\
Look after a Caller gateway from another machine, by its API.

environment:
  CALLER_REMOTE_URL       where the gateway is, such as https://calls.example.com; --url goes first
  CALLER_REMOTE_KEY       an API key with the scope admin
  CALLER_REMOTE_KEY_FILE  or the name of a file that holds it, and nothing else
"""
_MORE: Final = """\
examples:
  export CALLER_REMOTE_URL=https://calls.example.com CALLER_REMOTE_KEY_FILE=~/.caller-key
  caller-remote calls list --account shop
  caller-remote calls end CALL --reason "asked for by phone"
  caller-remote calls tail --json | jq .state
  caller-remote nodes log-level n1 debug --for 30m --reason "calls fail"

exit codes:
  0    done
  1    the gateway's state does not allow it
  2    wrong arguments, URL or key, or no such call or node
  3    the gateway, or a node, does not answer, or not now
  130  interrupted
"""


# argparse has no public name for what `add_subparsers` returns.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is to be done; what a command does not take is empty."""

    act: str
    """Its words, such as `calls list`."""
    url: str | None = None
    account: str = ""
    as_json: bool = False
    call_id: str = ""
    node: str = ""
    level: LogLevel = "setting"
    minutes: int = 0
    reason: str = ""


def parse(arguments: Sequence[str]) -> Command:
    """Return the command.

    Prints, and raises SystemExit, where help or the version is asked for, or the usage is wrong.
    """
    return Command(**vars(_parser().parse_args(arguments)))


def origin_of(command: Command, environ: Mapping[str, str]) -> str:
    """Return where the gateway is: scheme, host and port. Raises CommandError."""
    text = (environ.get(URL, "") if command.url is None else command.url).strip()
    if not text:
        raise CommandError("Which gateway is not said.", f"Give --url, or set {URL}.")
    hint = f"Give it by --url or {URL}: scheme, host and port alone."
    try:
        url = httpx.URL(text)
        # As the resolver does, which takes no label of more than 63 characters (RFC 1035, 2.3.4).
        url.raw_host.decode().encode("idna")
        # Raises for labels that only look encoded, of which `raw_host` says nothing.
        is_origin = url.scheme in ("https", "http") and bool(url.host)
        is_origin &= url.path in ("", "/") and not (url.query or url.fragment or url.userinfo)
        is_origin &= url.port is None or 0 < url.port <= PORT_MAX
    except (httpx.InvalidURL, ValueError):
        raise CommandError("The URL is none such as https://calls.example.com.", hint) from None
    if not is_origin:
        raise CommandError("The URL is none such as https://calls.example.com.", hint)
    if url.scheme == "http" and not is_loopback(url.host):
        what = "Over http the key could be read on its way: only this machine is asked by it."
        raise CommandError(what, "Give a URL that begins with https.")
    return f"{url.scheme}://{url.netloc.decode()}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def key_of(text: str, source: str) -> str:
    """Return the key in a text that a variable holds, or names. Raises CommandError without it."""
    key = text.strip()
    if len(key) > KEY_CHARS_MAX or not is_key(key):
        hint = "It must hold one with the scope admin, and nothing else."
        raise CommandError(f"{source} holds no API key.", hint)
    return key


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caller-remote",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"caller-remote {__version__}")
    _add_url(parser, None)
    groups = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    calls = _group(groups, "calls", "The live calls of all nodes.")
    listed = _leaf(calls, "calls list", "List the live calls, newest first, with their numbers.")
    ended = _leaf(calls, "calls end", "End a live call on whichever node it is.")
    ended.add_argument("call_id", metavar="ID", type=_name, help="as `calls list` shows it")
    told = "Print each call whenever its state changes, until Ctrl-C."
    tailed = _leaf(calls, "calls tail", told)
    nodes = _group(groups, "nodes", "The nodes: whether they take calls, and what they log.")
    known = _leaf(nodes, "nodes list", "List the running nodes.")
    drained = _leaf(nodes, "nodes drain", "Stop a node from taking new calls until `resume`.")
    resumed = _leaf(nodes, "nodes resume", "Let a node take new calls again.")
    logged = _leaf(nodes, "nodes log-level", "Let a node log more, or less, for a while.")
    alarms = _leaf(groups, "alarms", "List the alarms that stand, and what is silenced.")
    for each in (drained, resumed, logged):
        each.add_argument("node", metavar="NODE", type=_name, help="its CALLER_NODE")
    levels = get_args(LogLevel)
    words = f"{', '.join(levels)}: the lowest that it logs; setting: as it is set, at once"
    logged.add_argument("level", metavar="LEVEL", choices=levels, help=words)
    words = "for how long, such as 15m (if nothing is said) or 2h; a day at most"
    logged.add_argument(
        "--for", dest="minutes", metavar="TIME", type=_minutes, default=15, help=words
    )
    for each in (ended, logged):
        each.add_argument(
            "--reason", required=True, type=_reason, help="why; kept in the audit log"
        )
    for each in (listed, tailed):
        each.add_argument("--account", default="", metavar="ID", help="of this account only")
    for each in (listed, tailed, known, alarms):
        each.add_argument("--json", dest="as_json", action="store_true", help="print JSON")
    return parser


def _group(groups: _Commands, name: str, about: str) -> _Commands:
    parser = groups.add_parser(name, help=about, description=about, allow_abbrev=False)
    return parser.add_subparsers(title="commands", required=True, metavar="COMMAND")


def _leaf(groups: _Commands, act: str, about: str) -> argparse.ArgumentParser:
    name = act.rpartition(" ")[2]
    parser = groups.add_parser(name, help=about, description=about, allow_abbrev=False)
    parser.set_defaults(act=act)
    # Left out here, it is what was given before the command.
    _add_url(parser, argparse.SUPPRESS)
    return parser


def _add_url(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument("--url", default=default, help=f"of the gateway; {URL} if left out")


def _name(text: str) -> str:
    # Clients and proxies take dots out of a path.
    if text in ("", ".", "..") or not text.isprintable():
        raise argparse.ArgumentTypeError("that is the name of nothing")
    return text


def _reason(text: str) -> str:
    # What a gateway takes.
    if not text.strip() or not text.isprintable() or len(text) > REASON_CHARS_MAX:
        most = (
            f"say why, in at most {REASON_CHARS_MAX} characters, and none that commands a terminal"
        )
        raise argparse.ArgumentTypeError(most)
    return text


def _minutes(text: str) -> int:
    read = _LENGTH.fullmatch(text)
    minutes = int(read[1]) * _MINUTES[read[2]] if read else 0
    if not 1 <= minutes <= MINUTES_MAX:
        raise argparse.ArgumentTypeError("write it as 15m, 2h or 1d; a day is the longest")
    return minutes
