"""What tests of compiled code share: the build's own module, and modules by their files."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

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


def native_module(name: str, folder: Path) -> ModuleType:
    """Return a module that is written in C; compiled there if it is not installed with the sources.

    Skips the test where it cannot be.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        pass
    build = compile_path()
    if not build.can_compile():
        pytest.skip("No C compiler, or no Python headers: install gcc and python3-dev.")
    path = folder / f"{name}.so"
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
    include = f"-I{sysconfig.get_path('include')}"
    command = [build.compiler(), "-shared", "-fPIC", "-O1", *strict, include]
    command += [str(ROOT / build.source_of(name)), "-o", str(path)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return module_of(name, path)
