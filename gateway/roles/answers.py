"""Collects an operator's answers to `caller setup`, on top of what was set before.

Reads no files except those that hold one secret each. Asking the questions and checking the answers
happens elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

from gateway import settings_file
from gateway.errors import SettingsError
from gateway.settings import PREFIX, SECRET_FILES, Settings
from gateway.settings_variables import from_mapping
from gateway.setup_steps import Question
from gateway.stores import secret_files

CLEARED: Final = "-"
"""What is typed to clear a setting; an empty answer keeps it."""

_FOLDER: Final = f"{PREFIX}DATA_DIR"
_FIELDS: Final = {knob.name: knob for knob in fields(Settings)}


class Answers:
    """The settings so far: the file, overridden by the environment, overridden by the answers."""

    def __init__(
        self,
        questions: Sequence[Question],
        written: Mapping[str, str],
        environ: Mapping[str, str],
        folder: Path,
    ) -> None:
        """Take the settings of the file and of the environment, and the working folder."""
        self._questions = questions
        self._folder = folder
        self._written = self._placed(written)
        self._environ = self._placed(
            {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        )
        self._given: dict[str, str] = {}

    def _placed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return settings with an absolute folder, so that they work from any working folder."""
        if not values.get(_FOLDER):
            return values
        return {**values, _FOLDER: str(self._folder / values[_FOLDER].strip())}

    def is_asked(self, question: Question) -> bool:
        """Return whether a question applies now; not if its secret comes from a file."""
        if self._value(SECRET_FILES.get(question.name, "")):
            return False
        return not question.only_with or bool(self._value(PREFIX + question.only_with.upper()))

    def known(self, question: Question) -> str:
        """Return the current value, which may be a secret; the default if nothing is set."""
        return self._value(question.name) or question.default

    def _value(self, name: str) -> str:
        for source in (self._given, self._environ, self._written):
            if name in source:
                return source[name].strip()
        return ""

    def give(self, question: Question, typed: str) -> str:
        """Take an answer; return why it is invalid, without quoting it; empty if it is valid."""
        text = typed.strip()
        value = "" if text == CLEARED else self._normal(question, text)
        if not text:
            value = self.known(question)
        if question.is_needed and not value:
            return "This is needed for calls."
        try:
            _FIELDS[question.field].metadata["parse"](value or question.default)
            settings_file.assignment(question.name, value)
        except ValueError as error:
            return f"{question.name} {error}."
        except SettingsError as error:
            return str(error)
        # Nothing expands it in a file.
        if value.startswith("~") and question.name == _FOLDER:
            return f"{_FOLDER} must be written out, without ~."
        self._given |= self._placed({question.name: value})
        return ""

    def _normal(self, question: Question, text: str) -> str:
        if question.field == "caller_id":
            # The way people write numbers: +1 (555) 123-4567.
            return re.sub(r"[\s().-]", "", text)
        return text

    def unasked(self) -> Settings:
        """Return the settings that no question is about. Raises SettingsError."""
        asked = {question.name for question in self._questions}
        known = secret_files.filled({**self._written, **self._environ})
        return from_mapping({name: value for name, value in known.items() if name not in asked})

    def settings(self) -> Settings:
        """Return all settings so far. Raises SettingsError if they contradict each other."""
        known = {**self._written, **self._environ, **self._answered()}
        return from_mapping(secret_files.filled(known))

    def changes(self) -> dict[str, str]:
        """Return what to write to the file: name -> value, empty to remove it."""
        defaults = {question.name: question.default for question in self._questions}
        return {
            name: value
            for name, value in self._answered().items()
            # A default that was not written explicitly follows the release.
            if name in self._written or value != defaults[name]
        }

    def overruled(self) -> list[str]:
        """Return the environment variables that override the answers."""
        given = self._answered()
        return [name for name in given if self._environ.get(name, given[name]) != given[name]]

    def _answered(self) -> dict[str, str]:
        return {
            question.name: self._given[question.name] if self.is_asked(question) else ""
            for question in self._questions
            if question.name in self._given or not self.is_asked(question)
        }
