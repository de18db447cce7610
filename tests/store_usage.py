"""A plugin of pytest that writes down what the gateway asks of Valkey in a run of tests.

`python -m pytest -p tests.store_usage …` with CALLER_STORE_USAGE naming the file. What tests ask
themselves is left out, and so is what is tried only to see whether it may be done.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio.client import Pipeline, PubSub, Redis
from redis.asyncio.connection import AbstractConnection

TESTS: Final = str(Path(__file__).parent)
PLACE: Final = "CALLER_STORE_USAGE"
_LIBRARIES: Final = "/site-packages/"
_WITH_SUBCOMMAND: Final = {"CLIENT", "CONFIG", "SCRIPT", "XINFO"}
_CALLED: Final = re.compile(
    r"""redis\.p?call\(\s*['"](\w+)['"](?:, '(STREAM)')?|'(?!LIMIT|WITHSCORES)([A-Z]{3,})'"""
)
"""What a script runs: named where it is run, or handed to what runs it."""

commands: set[str] = set()
"""As access lists name them."""
names: set[str] = set()
"""Arguments: keys and channels among others."""


def _asks() -> Iterator[str]:
    """Yield the files of those who ask, the nearest first, without libraries."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if _LIBRARIES not in name and "/lib/python" not in name:
            yield name
        frame = frame.f_back


def _note(*words: Any) -> None:
    first, *rest = " ".join(map(_text, words[:1])).split() + [_text(word) for word in words[1:]]
    command = first.upper()
    if command in _WITH_SUBCOMMAND:
        commands.add(f"+{command}|{rest[0].upper()}".lower())
    else:
        commands.add(f"+{command}".lower())
    names.update(rest)
    if command == "EVAL" or (command, rest[:1]) == ("SCRIPT", ["LOAD"]):
        _note_script(rest[command == "SCRIPT"])


def _note_script(text: str) -> None:
    # Whichever of its branches are taken.
    for found in _CALLED.finditer(text):
        commands.add("+" + "|".join(filter(None, found.groups())).lower())


def _text(word: Any) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else str(word)


def _noting(asked: Callable[..., Any]) -> Callable[..., Any]:
    def noted(self: Any, *words: Any, **options: Any) -> Any:
        if not next(_asks(), "").startswith(TESTS):
            _note(*words)
        return asked(self, *words, **options)

    return noted


def _noting_transactions(run: Callable[..., Any]) -> Callable[..., Any]:
    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        commands.update(("+multi", "+exec"))
        return run(self, *arguments, **options)

    return noted


@pytest.fixture(scope="session", autouse=True)
def _notes_what_is_asked() -> Iterator[None]:
    """Write it down when all is over."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Redis, Pipeline, PubSub):
            patch.setattr(kind, "execute_command", _noting(kind.execute_command))
        patch.setattr(AbstractConnection, "send_command", _noting(AbstractConnection.send_command))
        run = _noting_transactions(Pipeline._execute_transaction)
        patch.setattr(Pipeline, "_execute_transaction", run)
        yield
    told = {"commands": sorted(commands), "names": sorted(names)}
    Path(os.environ[PLACE]).write_text(json.dumps(told))
