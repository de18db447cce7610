"""The compiled frame path: `make test-all` tests what a wheel carries, not the sources.

So a test of a compiled module runs on the source in `make test`, and on what was compiled there.
"""

from __future__ import annotations

import importlib
import sys
import tomllib

import pytest

from tests.compiling import ROOT, compile_path
from tests.wheel_tree import TREE


def test_every_module_that_can_be_compiled_is_tested_compiled() -> None:
    path = compile_path()
    if ROOT != TREE:
        pytest.skip("Here the sources are interpreted; `make test-all` runs them compiled.")
    if not path.can_compile():
        pytest.skip("No C compiler, or no Python headers: install gcc and python3-dev.")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    modules = settings["tool"]["hatch"]["build"]["hooks"]["custom"]["compiled"]
    names = [name.removesuffix(".py").replace("/", ".") for name in modules]
    names += [n for n in path.NATIVE if n not in path.LINUX_ONLY or sys.platform == "linux"]
    files = {name: importlib.import_module(name).__file__ or "" for name in names}
    sources = [n for n, file in files.items() if not file.endswith(".so") or str(ROOT) not in file]
    assert sources == []
