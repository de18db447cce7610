"""Syntax trees of the project's own sources, each made once for all tests of a file.

They are let go with the last test of the file: they take hundreds of megabytes.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


@cache
def parsed(text: str) -> ast.Module:
    """Return the tree of a text."""
    return ast.parse(text)


def tree_of(path: Path) -> ast.Module:
    """Return the tree of a file."""
    return parsed(path.read_text("utf-8"))
