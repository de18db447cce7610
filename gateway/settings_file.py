r"""Reads and writes the text of a settings file: `CALLER_*=value`, one per line. Opens no file.

The syntax is that of systemd's EnvironmentFile (systemd.exec(5)); a POSIX shell reads what is
written here the same way (2.2.3, Double-Quotes). Whatever readers of such files disagree about is
refused.

    # a comment, from the beginning of a line
    NAME=plain text
    NAME="any text, over several lines too; a backslash stands before \ " $ and `"
    NAME='any text without such a quote'
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import SettingsError
from gateway.settings import PREFIX

BYTES_MAX: Final = 256 * 1024

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:+@,=%^-]*", re.ASCII)
"""Characters that every reader takes literally."""
_AMBIGUOUS: Final = re.compile(r"[\"'\\`$]|(?:^|\s)#")
"""Characters that only some readers take literally without quotes."""
_ESCAPED: Final = '"\\$`'
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"[^\S\n]*(?:\n|\Z)', re.DOTALL)
_SINGLE: Final = re.compile(r"'([^']*)'[^\S\n]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One assignment with all its lines, or one line that is not an assignment."""

    text: str
    name: str = ""
    value: str = ""


def parse(text: str) -> dict[str, str]:
    """Return the settings of a file by name; of one that occurs twice, the last.

    Variables of other programs are left out. Raises SettingsError, which names the line and no
    value.
    """
    return {piece.name: piece.value for piece in _pieces(text) if piece.name.startswith(PREFIX)}


def updated(text: str, values: Mapping[str, str]) -> str:
    """Return a file with these values; comments, the order and other settings stay.

    An empty value removes its setting. Raises SettingsError if the text cannot be read, or a value
    cannot be written.
    """
    pieces = list(_pieces(text))
    # The last one counts, so it is the one replaced.
    last = {piece.name: place for place, piece in enumerate(pieces)}
    lines = []
    for place, piece in enumerate(pieces):
        if piece.name not in values:
            lines.append(piece.text)
        elif last[piece.name] == place and values[piece.name]:
            lines.append(assignment(piece.name, values[piece.name]))
    lines += [
        assignment(name, value) for name, value in values.items() if value and name not in last
    ]
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def assignment(name: str, value: str) -> str:
    """Return the line, or lines, that give a variable its value. Raises SettingsError."""
    if "\0" in value or not _is_encodable(value):
        raise SettingsError(f"{name} has a character that no file of settings can hold.")
    if _PLAIN.fullmatch(value):
        return f"{name}={value}\n"
    quoted = "".join(f"\\{letter}" if letter in _ESCAPED else letter for letter in value)
    return f'{name}="{quoted}"\n'


def _is_encodable(value: str) -> bool:
    # Halves of a surrogate pair, which is how a terminal's bytes outside UTF-8 are typed.
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _pieces(text: str) -> Iterator[_Piece]:
    """Yield the whole file in order."""
    at, line_number = 0, 1
    while at < len(text):
        piece = _piece(text, at, line_number)
        yield piece
        at += len(piece.text)
        line_number += piece.text.count("\n")


def _piece(text: str, at: int, line_number: int) -> _Piece:
    end = text.find("\n", at) + 1 or len(text)
    line = text[at:end]
    # If there are several lines, the following ones are checked together with the end.
    if "\0" in line:
        raise _unreadable(line_number, "has a NUL")
    shown = line.strip()
    if not shown or shown[0] in "#;":
        return _Piece(line)
    name, equals, rest = shown.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise _unreadable(line_number, "is not NAME=value")
    if not rest.startswith(('"', "'")):
        if _AMBIGUOUS.search(rest):
            raise _unreadable(line_number, "has a value that needs quotes around it")
        return _Piece(line, name, rest.strip())
    pattern = _DOUBLE if rest[0] == '"' else _SINGLE
    # From the first quote on: the value may continue over the next lines.
    found = pattern.match(text, text.index("=", at) + 1)
    if found is None or "\0" in found[1]:
        raise _unreadable(line_number, "has a value whose quotes do not end it")
    value = found[1] if rest[0] == "'" else _unescaped(found[1])
    return _Piece(text[at : found.end()], name, value)


def _unescaped(quoted: str) -> str:
    # Before any other character a backslash is literal; at the end of a line both are dropped.
    return re.sub(r'\\(["\\$`\n])', lambda found: found[1].strip("\n"), quoted)


def _unreadable(line_number: int, what: str) -> SettingsError:
    return SettingsError(f"Line {line_number} of the settings file {what}.")
