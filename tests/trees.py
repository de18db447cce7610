"""Syntax trees of the project's own sources, each made once for all tests of a file.

They are let go with the last test of the file: they take hundreds of megabytes.
"""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path


@cache
def parsed(text: str) -> ast.Module:
    """Return the tree of a text."""
    # A tree is thousands of objects and no garbage. The collector would go through all trees that
    # are kept again and again while the next is made: three quarters of the work.
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


def tree_of(path: Path) -> ast.Module:
    """Return the tree of a file."""
    return parsed(path.read_text("utf-8"))
