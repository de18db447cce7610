"""Writes the reference of all settings."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

from gateway.settings import PREFIX, Settings


def markdown() -> str:
    """Return the reference of all settings as a Markdown table."""
    rows = [
        "| variable | default | allowed | meaning |",
        "|---|---|---|---|",
        *(_markdown_row(f) for f in fields(Settings)),
    ]
    return "\n".join(rows) + "\n"


def _markdown_row(knob: Field[Any]) -> str:
    default = "" if knob.default is MISSING else knob.default
    shown = knob.metadata["show"]
    if shown is None:
        shown = ",".join(default) if isinstance(default, tuple) else str(default)
    # A bar would end the cell.
    rule = knob.metadata["rule"].replace("|", "\\|")
    cells = (f"`{PREFIX}{knob.name.upper()}`", f"`{shown}`" if shown else "", rule)
    return f"| {' | '.join(cells)} | {knob.metadata['doc']} |"
