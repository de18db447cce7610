"""Writes the reference of all settings."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from gateway.settings import KNOBS, SECRET_FILES


def markdown() -> str:
    """Return the reference of all settings as a Markdown table."""
    rows = [
        "| variable | default | allowed | meaning |",
        "|---|---|---|---|",
        *(_markdown_row(name, knob) for name, knob in KNOBS.items()),
    ]
    return "\n".join(rows) + "\n"


def _markdown_row(name: str, knob: Field[Any]) -> str:
    default = "" if knob.default is MISSING else knob.default
    shown = knob.metadata["show"]
    if shown is None:
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
    # A bar would end the cell.
    rule = knob.metadata["rule"].replace("|", "\\|")
    names = f"`{name}` or `{SECRET_FILES[name]}`" if name in SECRET_FILES else f"`{name}`"
    cells = (names, f"`{shown}`" if shown else "", rule)
    return f"| {' | '.join(cells)} | {knob.metadata['doc']} |"
