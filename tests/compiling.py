"""What tests of compiled code share: the build's own module, and modules by their files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def module_of(name: str, path: Path) -> ModuleType:
    """Import a file that is in no package on the path."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_path() -> ModuleType:
    """Return the module that compiles the frame path."""
    return module_of("compile_path", ROOT / "deploy/compile_path.py")
