"""Writes the README of an export, in its reader's language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from gateway.data_map import KINDS
from gateway.words.data_map import words_in

WIDTH: Final = 78


def readme(language: str, *, service: str, origin: str, account: str, at: datetime) -> str:
    """Return the text."""
    words = words_in(language)
    title = words["readme.title"]
    of = words["readme.of"].format(
        service=service, account=account, at=at.strftime("%Y-%m-%d %H:%M")
    )
    paragraphs = [
        f"{title}\n{'=' * len(title)}",
        of,
        *(_wrapped(words[f"readme.{each}"]) for each in ("intro", "manifest", "times", "cells")),
        "\n".join([f"{words['readme.contents']}:", *_contents(words)]),
        "\n".join([f"{words['readme.left_out']}:", *_left_out(words)]),
        _wrapped(words["readme.correct"].format(origin=origin)),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _contents(words: Mapping[str, str]) -> Iterator[str]:
    for kind in KINDS:
        if kind.is_exported:
            title = f"{words[f'kind.{kind.name}']}{words['readme.colon']}"
            yield _item(f"data/{kind.name}.json - {title} {words[f'what.{kind.name}']}")


def _left_out(words: Mapping[str, str]) -> Iterator[str]:
    for kind in KINDS:
        if not kind.is_exported:
            why = words[f"readme.not_{kind.name}"]
            yield _item(f"{words[f'kind.{kind.name}']}{words['readme.colon']} {why}")


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
