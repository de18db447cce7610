"""Declares what a check has found: one line of the report of `caller check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.text import Text

_SIGNS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    text: str
    is_fatal: bool = False
    is_weak: bool = False
    is_away: bool = False
    """For a fatal one: a service does not answer, or refuses us. Otherwise the settings must be
    corrected."""

    @property
    def verdict(self) -> str:
        """The verdict: `ok`, `warning` or `failed`."""
        if self.is_fatal:
            return "failed"
        return "warning" if self.is_weak else "ok"

    @property
    def mark(self) -> Text:
        """A symbol with the verdict, readable without colour too."""
        sign, style = _SIGNS[self.verdict]
        return Text(f"{sign} {self.verdict}", style=style)


def wrong(subject: str, text: str) -> Finding:
    """Return a finding that the settings must be corrected."""
    return Finding(subject, text, is_fatal=True)


def away(subject: str, text: str) -> Finding:
    """Return a finding that a service does not answer, or refuses us."""
    return Finding(subject, text, is_fatal=True, is_away=True)
