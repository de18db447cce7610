"""Reads the words of all languages: each folder beside this file is one, named by its code.

What a folder holds, part by part, and how one is added: docs/design/0029-words.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

DEFAULT_LANGUAGE: Final = "en"
"""The language for readers of none of ours; BCP 47."""

_FOLDERS: Final = {
    folder.name: folder
    for folder in resources.files("gateway.words").iterdir()
    if folder.joinpath("language.toml").is_file()
}

LANGUAGES: Final = tuple(sorted(_FOLDERS))
"""BCP 47 codes of our languages."""


def primary_of(tag: str) -> str:
    """Return the language of a BCP 47 tag, whether it is ours or not: `de` for `de-AT`."""
    return tag.partition("-")[0].lower()


def known(tag: str) -> str:
    """Return our language for a BCP 47 tag: `de` for `de-AT`, the default for one not ours."""
    primary = primary_of(tag)
    return primary if primary in _FOLDERS else DEFAULT_LANGUAGE


def read_part(language: str, part: str) -> Mapping[str, Any]:
    """Return one part of a language's words, as its file has it: `site` is `site.toml`."""
    return tomllib.loads(_FOLDERS[language].joinpath(f"{part}.toml").read_text("utf-8"))


def read_words(part: str) -> Mapping[str, Mapping[str, str]]:
    """Return language (BCP 47) -> key -> words; a key is `table.name`, such as `sign_in.title`."""
    return {
        language: {
            f"{table}.{name}": words
            for table, entries in read_part(language, part).items()
            for name, words in entries.items()
        }
        for language in LANGUAGES
    }
