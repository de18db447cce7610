"""Parses an operator's own text for a page: headings, paragraphs and lists, no markup.

Only words remain, which templates escape: a text cannot contain a link, picture, style or script.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

BYTES_MAX: Final = 32 * 1024
"""Some 5,000 words, which a page carries in less than 20 KB."""
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Overrides and isolates, which make a text read differently from how it is stored (Unicode TR 36,
2.6)."""


class OwnTextError(ValueError):
    """A text that cannot be shown; the message says why, and follows the name of its file."""


class Shape(StrEnum):
    """The kind of a block."""

    HEADING = "heading"
    SUBHEADING = "subheading"
    PARAGRAPH = "paragraph"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph or a list."""

    shape: Shape
    lines: Sequence[str]
    """One for each entry of a list; all other blocks have one."""

    @property
    def text(self) -> str:
        """The words; for a list those of its first entry."""
        return self.lines[0]


@dataclass(frozen=True, slots=True)
class OwnText:
    """A text in one language."""

    blocks: Sequence[Block]
    digest: str
    """SHA-256 of its words and their order, in hexadecimal; blank lines at its ends do not
    count."""

    def changes(self, version: str) -> Sequence[str]:
        """Return what follows the heading that is the name of a version."""
        found, is_below = list[str](), False
        for block in self.blocks:
            if block.shape in (Shape.HEADING, Shape.SUBHEADING):
                is_below = block.text == version
            elif is_below:
                found += block.lines
        return found


def read_own_text(content: bytes) -> OwnText:
    """Return a text, which is UTF-8. Raises OwnTextError.

    `# ` begins a heading, `## ` one below it, `- ` an entry of a list; a blank line ends the block
    before it, and other consecutive lines are one paragraph.
    """
    if len(content) > BYTES_MAX:
        raise OwnTextError(f"has more than {BYTES_MAX} bytes")
    try:
        # Some editors begin a file with a byte order mark.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = content.count(b"\n", 0, error.start) + 1
        raise OwnTextError(f"is not UTF-8 in line {place}") from None
    lines = text.replace("\r\n", "\n").strip().split("\n")
    for number, line in enumerate(lines, 1):
        if any(_is_hidden(character) for character in line):
            raise OwnTextError(f"has a character that is not shown in line {number}")
    blocks = list(_blocks(lines))
    if not blocks:
        raise OwnTextError("has no text")
    return OwnText(blocks, hashlib.sha256("\n".join(lines).encode()).hexdigest())


def _is_hidden(character: str) -> bool:
    if character == "\t":
        return False
    # Line and paragraph separators would join what looks separate.
    return character in _BIDI or unicodedata.category(character) in ("Cc", "Zl", "Zp", "Co", "Cn")


def _blocks(lines: Sequence[str]) -> Iterator[Block]:
    """Yield the blocks of lines, including the last one, as an empty line would."""
    shape, open_lines, has_heading = Shape.PARAGRAPH, list[str](), False
    for line in [*(line.strip() for line in lines), ""]:
        mark, _, rest = line.partition(" ")
        words = rest.strip()
        of_line = Shape.LIST if mark == "-" and words else Shape.PARAGRAPH
        is_heading = mark in ("#", "##") and bool(words)
        goes_on = line and not is_heading and of_line is shape
        if open_lines and not goes_on:
            yield _block(shape, open_lines)
            open_lines = []
        if is_heading:
            # A heading cannot be below one that does not exist (WCAG 2.2, 1.3.1).
            is_below = mark == "##" and has_heading
            has_heading = True
            yield Block(Shape.SUBHEADING if is_below else Shape.HEADING, (words,))
        elif line:
            shape = of_line
            open_lines.append(words if shape is Shape.LIST else line)


def _block(shape: Shape, lines: Sequence[str]) -> Block:
    return Block(shape, tuple(lines) if shape is Shape.LIST else (" ".join(lines),))
