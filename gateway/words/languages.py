"""Reads words in all languages, from one file per language."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Final

DEFAULT_LANGUAGE: Final = "en"
"""The language for readers of none of ours; BCP 47."""


def read_words(package: str) -> Mapping[str, Mapping[str, str]]:
    """Return language (BCP 47) -> key -> words; a key is `table.name`, such as `sign_in.title`."""
    folder = resources.files(package).joinpath("languages")
    return {
        file.name.removesuffix(".toml"): {
            f"{table}.{name}": words
            for table, entries in tomllib.loads(file.read_text("utf-8")).items()
            for name, words in entries.items()
        }
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }
