"""Runs a command: reads the key, asks the gateway, and writes what it says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TextIO

import httpx

from caller_client.errors import CallerError
from caller_client.operations import Caller
from caller_client.remote.arguments import KEY, KEY_FILE, Command, key_of, origin_of, parse
from caller_client.remote.failures import EXIT_SETTINGS, EXIT_UNAVAILABLE, CommandError, failure_of
from caller_client.remote.lines import (
    Changes,
    alarm_lines,
    call_line,
    call_lines,
    json_line,
    missing_lines,
    node_lines,
)

KEY_FILE_BYTES_MAX: Final = 4096


class ReaderGoneError(Exception):
    """Whoever reads the output has seen enough."""


class Console:
    """Where a command writes."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err

    def say(self, *lines: str) -> None:
        """Write lines of the answer. Raises ReaderGoneError, CommandError."""
        try:
            self._out.writelines(f"{line}\n" for line in lines)
            self._out.flush()
        except BrokenPipeError:
            raise ReaderGoneError from None
        except OSError as error:
            what = f"The answer cannot be written: {error.strerror}."
            raise CommandError(what, "Look where the output goes.", EXIT_UNAVAILABLE) from None

    def note(self, *lines: str) -> None:
        """Write lines beside the answer, if that is possible."""
        with contextlib.suppress(OSError):
            self._err.writelines(f"{line}\n" for line in lines)
            self._err.flush()

    def wait(self, seconds: float) -> None:
        """Wait before the gateway is asked again."""
        if seconds:
            self.note(f"No answer for now; the gateway is asked again in {seconds:.1f} s.")
            time.sleep(seconds)


def run(arguments: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run a command; return the exit code."""
    console = Console(out, err)
    try:
        if not all(map(_is_utf8, arguments)):
            raise CommandError("An argument is not UTF-8.", "Write it in UTF-8.")  # noqa: TRY301
        command = parse(arguments)
        return _run(command, origin_of(command, environ), read_key(environ), console)
    except SystemExit as end:
        # Of argparse, which has printed help, the version, or what is wrong.
        return end.code if isinstance(end.code, int) else EXIT_SETTINGS
    except CommandError as error:
        console.note(f"Error: {error.what}", error.hint)
        return error.code
    except ReaderGoneError:
        return 0


def read_key(environ: Mapping[str, str]) -> str:
    """Return the key that the environment holds, or names a file of. Raises CommandError."""
    key, file = environ.get(KEY, "").strip(), environ.get(KEY_FILE, "").strip()
    if key and file:
        raise CommandError(f"{KEY} and {KEY_FILE} are both set.", "Unset one of them.")
    if not (key or file):
        hint = f"Set {KEY}, or {KEY_FILE} to the name of a file that holds it."
        raise CommandError("There is no key with which to ask.", hint)
    if key:
        return key_of(key, KEY)
    try:
        with Path(file).expanduser().open("rb") as opened:
            content = opened.read(KEY_FILE_BYTES_MAX)
    except (OSError, ValueError, RuntimeError) as error:
        # Neither the name nor the content: one of them may be the key.
        why = getattr(error, "strerror", None) or "that is no name of a file"
        hint = "Name a file that holds a key and nothing else."
        raise CommandError(f"{KEY_FILE} names a file that cannot be read: {why}.", hint) from None
    # Whatever is no text is no key either. Some editors begin a file with a byte order mark.
    return key_of(content.decode("utf-8-sig", "replace"), f"The file of {KEY_FILE}")


def _run(command: Command, origin: str, key: str, console: Console) -> int:
    # By http only this machine is asked, and no proxy of the environment is to see the key.
    try:
        transport = httpx.HTTPTransport() if origin.startswith("http:") else None
        caller = Caller(origin, key, sleep=console.wait, transport=transport)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        what = f"No connection can be prepared: {type(error).__name__}."
        hint = "Check HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE in the environment."
        raise CommandError(what, hint) from None
    with caller:
        try:
            return _ACTS[command.act](caller, command, console)
        except CallerError as error:
            raise failure_of(error, origin, is_act=command.act in _CHANGING) from None


def _list_calls(caller: Caller, command: Command, console: Console) -> int:
    found = caller.list_all_live_calls(account=command.account or None)
    _answer(console, command, found.calls, call_lines(found))
    console.note(*missing_lines(found))
    return EXIT_UNAVAILABLE if found.silent_nodes else 0


def _end_call(caller: Caller, command: Command, console: Console) -> int:
    caller.end_any_call(call_id=command.call_id, reason=command.reason)
    console.say(f"Call {command.call_id} is being ended.")
    return 0


def _tail_calls(caller: Caller, command: Command, console: Console) -> int:
    changes = Changes(command.account)
    with closing(caller.watch_all_live_calls()) as events:
        for event in events:
            rows = changes.take(event)
            console.say(*map(json_line if command.as_json else call_line, rows))
    return 0


def _list_nodes(caller: Caller, command: Command, console: Console) -> int:
    nodes = caller.list_nodes().nodes
    _answer(console, command, nodes, node_lines(nodes))
    return 0


def _drain_node(caller: Caller, command: Command, console: Console) -> int:
    caller.drain_node(node=command.node)
    console.say(f"Node {command.node} takes no new calls.")
    return 0


def _resume_node(caller: Caller, command: Command, console: Console) -> int:
    caller.resume_node(node=command.node)
    console.say(f"Node {command.node} takes new calls.")
    return 0


def _set_log_level(caller: Caller, command: Command, console: Console) -> int:
    level, minutes = command.level, command.minutes
    caller.set_node_log_level(
        node=command.node, level=level, minutes=minutes, reason=command.reason
    )
    logs = "as it is set" if level == "setting" else f"from {level} for {minutes} minutes"
    console.say(f"Node {command.node} logs {logs}.")
    return 0


def _list_alarms(caller: Caller, command: Command, console: Console) -> int:
    alarms = caller.list_alarms()
    _answer(console, command, alarms, alarm_lines(alarms))
    return 0


def _answer(console: Console, command: Command, value: object, lines: Iterable[str]) -> None:
    console.say(*([json_line(value)] if command.as_json else lines))


_CHANGING: Final = frozenset({"calls end", "nodes drain", "nodes resume", "nodes log-level"})
_ACTS: Final[Mapping[str, Callable[[Caller, Command, Console], int]]] = {
    "calls list": _list_calls,
    "calls end": _end_call,
    "calls tail": _tail_calls,
    "nodes list": _list_nodes,
    "nodes drain": _drain_node,
    "nodes resume": _resume_node,
    "nodes log-level": _set_log_level,
    "alarms": _list_alarms,
}


def _is_utf8(argument: str) -> bool:
    # Python reads other bytes as lone surrogates (PEP 383), which no request can carry.
    return not any("\ud800" <= each <= "\udfff" for each in argument)
