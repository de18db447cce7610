"""Each folder of words is whole: what it lacks, has too much or leaves in English is named."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, meta

from gateway.words.languages import DEFAULT_LANGUAGE, LANGUAGES
from tests.web.conftest import WORDS

OTHERS = [language for language in LANGUAGES if language != DEFAULT_LANGUAGE]

FACTS = {"language": "says what is so of a language", "countries": "names are often the same"}
"""Parts in which what is the same as in English is no leftover, and why."""
NAMES = {"ASR", "Jitter ms", "MOS", "PDD", "RTT ms", "Stripe", "Twilio", "WebRTC", "WebSocket"}
"""What is called the same in all languages."""
_VALUE = re.compile(r"\{(\w+)\}|⟦(\d)⟧")
_WORD = re.compile(r"[^\W\d_]{3}")

Texts = Mapping[str, str]


def flat(entries: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text of a part, named by its path: `sign_in.title`, `closed.0`."""
    if isinstance(entries, str):
        yield name, entries
        return
    pairs = entries.items() if isinstance(entries, Mapping) else enumerate(entries)
    for key, entry in pairs:
        yield from flat(entry, f"{name}.{key}" if name else str(key))


def texts_of_files(folder: Path) -> dict[str, Texts]:
    """Return part -> name -> text, of what the gateway reads."""
    return {
        path.stem: dict(flat(tomllib.loads(path.read_text("utf-8"))))
        for path in sorted(folder.glob("*.toml"))
    }


SAY = """
const written = (entry) => {
  if (typeof entry === 'function') return entry('⟦0⟧', '⟦1⟧', '⟦2⟧', '⟦3⟧');
  if (typeof entry !== 'object') return entry;
  return Object.fromEntries(Object.entries(entry).map(([name, each]) => [name, written(each)]));
};
"""
"""Writes texts that take values with marks in place of these."""


def texts_of_modules(
    node: str, folder: Path, scratch: Path
) -> dict[str, dict[str, dict[str, str]]]:
    """Return language -> part -> name -> text, of what browsers load.

    A part in several files has one table; those of `live` are named within it, and all exports of
    another count as one.
    """
    files = sorted(folder.glob("*/**/*.ts"))
    script = scratch / "say.ts"
    imports = [f"import * as m{i} from {json.dumps(str(path))};" for i, path in enumerate(files)]
    modules = ", ".join(f"m{i}" for i in range(len(files)))
    say = f"console.log(JSON.stringify([{modules}].map((each) => written({{ ...each }}))));"
    script.write_text("\n".join([*imports, SAY, say]))
    bundle = scratch / "say.mjs"
    maker = Path(__file__).parent / "unit/bundle.mjs"
    subprocess.run([node, maker, script, bundle], check=True)
    said = subprocess.run([node, bundle], check=True, capture_output=True, text=True).stdout
    texts: dict[str, dict[str, dict[str, str]]] = {}
    for path, exported in zip(files, json.loads(said), strict=True):
        language, part, *rest = path.relative_to(folder).with_suffix("").parts
        table = texts.setdefault(language, {}).setdefault(part, {})
        for entries in exported.values():
            table.update(flat(entries, rest[0] if part == "live" and rest else ""))
    return texts


def values_of(part: str, text: str) -> set[str]:
    """Return the names of the values that a text takes."""
    if part == "mails":
        parsed = Environment(autoescape=True).parse(text)
        return meta.find_undeclared_variables(parsed)
    return {"".join(found) for found in _VALUE.findall(text)}


def faults(
    language: str, tables: Mapping[str, Mapping[str, Texts]], same: set[str]
) -> Iterator[str]:
    """Yield what is wrong in a language's folder, with file and key."""
    english, own = tables[DEFAULT_LANGUAGE], tables[language]
    for part in sorted({part for each in tables.values() for part in each}):
        # What the gateway says in English by itself is only in the other languages.
        wanted = {
            key: None
            for code, each in tables.items()
            if code == DEFAULT_LANGUAGE or part in ("phone", "live", "endings")
            for key in each.get(part, {})
        }
        if part == "language":
            wanted.pop("same_as_english", None)
        texts = {
            key: text
            for key, text in own.get(part, {}).items()
            if not key.startswith("same_as_english.")
        }
        where = f"{language}/{part}"
        yield from (f"{where}: {key} is missing" for key in wanted if key not in texts)
        yield from (f"{where}: {key} is too much" for key in texts if key not in wanted)
        for key, text in english.get(part, {}).items():
            if key not in texts:
                continue
            ours = texts[key]
            if values_of(part, ours) != values_of(part, text):
                yield f"{where}: {key} takes other values than in English"
            if bool(ours.strip()) != bool(text.strip()):
                yield f"{where}: {key} is empty in one language only"
            if (
                part not in FACTS
                and ours == text
                and text not in NAMES | same
                and (_WORD.search(_VALUE.sub("", text)))
            ):
                yield f"{where}: {key} is still English: {text}"


@pytest.fixture(scope="module")
def tables(node: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Texts]]:
    of_modules = texts_of_modules(node, WORDS, tmp_path_factory.mktemp("words"))
    return {
        language: {**texts_of_files(WORDS / language), **of_modules[language]}
        for language in LANGUAGES
    }


def same_as_english(language: str) -> set[str]:
    facts = tomllib.loads((WORDS / language / "language.toml").read_text("utf-8"))
    return set(facts.get("same_as_english", ()))


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_says_all_that_english_says_and_leaves_nothing_in_it(language, tables):
    same = same_as_english(language)
    assert list(faults(language, tables, same)) == []
    said = {
        text
        for part, each in tables[language].items()
        if part not in FACTS
        for text in each.values()
    }
    english = {text for each in tables[DEFAULT_LANGUAGE].values() for text in each.values()}
    assert same <= said & english
