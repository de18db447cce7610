"""Compiles the frame path where there is a C compiler: its modules with mypyc, and three in C.

The modules are ordinary Python, and run as they are without it. COMPILE_CALLER=1 makes a build fail
where it cannot compile, COMPILE_CALLER=0 forbids it.

As a program it compiles what it is told, and what is written in C: `compile_path.py FOLDER
MODULE...`, from the root of the source tree. What it made is in FOLDER/lib.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REQUIREMENTS = ["mypy>=2,<3", "setuptools>=77"]
LIBRARY = "caller"
"""Names the library that holds the code of all modules, so that they call one another directly."""
NATIVE = ("gateway.carriers.twilio._native", "gateway.sockets._native", "gateway.webrtc._native")
"""Written in C."""
LINUX_ONLY = ("gateway.sockets._native", "gateway.webrtc._native")
LIB = "lib"

NO_COMPILER = """
There is no C compiler here, or Python's headers are missing: the gateway will run interpreted, and
take about a quarter more CPU. (Debian, Ubuntu: apt install gcc libc6-dev python3-dev)
"""
FAILED = """
The frame path could not be compiled: the gateway will run interpreted, and take about a quarter
more CPU. What the compiler said is above.
"""


class CompiledPath:
    """The compiled modules of one source tree."""

    def __init__(self, root: Path, modules: Sequence[str]) -> None:
        self._root = root
        self._modules = modules
        self._folder = root / "build" / f"compiled-{sys.implementation.cache_tag}"
        self._choice = os.environ.get("COMPILE_CALLER", "")

    def dependencies(self) -> list[str]:
        """Return what compiling needs: nothing where it will not be tried."""
        return REQUIREMENTS if self._is_tried() else []

    def build(self) -> dict[str, str]:
        """Compile; return where each file is and where it belongs in the package."""
        if self._choice == "0":
            return {}
        if not self._is_tried():
            return self._do_without(NO_COMPILER)
        lib = self._folder / LIB
        # Of an earlier build, perhaps with other modules. What it was made from is kept.
        shutil.rmtree(lib, ignore_errors=True)
        command = [sys.executable, __file__, str(self._folder), *self._modules]
        made = subprocess.run(command, cwd=self._root, stdout=sys.stderr, check=False)  # noqa: S603
        if made.returncode != 0:
            return self._do_without(FAILED)
        return {
            str(path): path.relative_to(lib).as_posix() for path in lib.rglob("*") if path.is_file()
        }

    def _is_tried(self) -> bool:
        return self._choice != "0" and (self._choice == "1" or can_compile())

    def _do_without(self, reason: str) -> dict[str, str]:
        if self._choice == "1":
            raise SystemExit(reason)
        print(reason, file=sys.stderr)  # noqa: T201 - pip shows it when asked to be verbose
        return {}


def can_compile() -> bool:
    """Tell whether there are a C compiler and Python's headers."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    return shutil.which(compiler()) is not None and header.exists()


def compiler() -> str:
    """Return the C compiler's command, without its options."""
    command: str = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return command.split(maxsplit=1)[0]


def source_of(name: str) -> str:
    """Return the C source of a module, from the root of the tree."""
    return f"{name.replace('.', '/')}.c"


def main(folder: str, modules: Sequence[str]) -> None:
    """Compile the modules into a folder, on every core."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only where compiling is tried
    from setuptools import Distribution, Extension  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    class OnEveryCore(build_ext):
        """Compiles the sources of an extension side by side, not one after the other."""

        def build_extensions(self) -> None:
            compile_all = self.compiler.compile

            def compile_each(sources: list[str], **how: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    made = pool.map(lambda source: compile_all([source], **how), sources)
                    return [name for names in made for name in names]

            self.compiler.compile = compile_each
            super().build_extensions()

    # What is made is the same wherever it is made: the types of other packages are never known, and
    # their objects are used as Python uses them.
    checks = ["--config-file=", "--no-site-packages", "--ignore-missing-imports"]
    extensions = mypycify(
        [*checks, "--follow-imports=silent", "--cache-dir", f"{folder}/types", *modules],
        opt_level="2",
        debug_level="0",
        multi_file=True,
        target_dir=f"{folder}/c",
        group_name=LIBRARY,
    )
    for name in NATIVE:
        if name not in LINUX_ONLY or sys.platform == "linux":
            extensions.append(Extension(name, [source_of(name)]))
    what = {"name": LIBRARY, "ext_modules": extensions, "cmdclass": {"build_ext": OnEveryCore}}
    build = Distribution(what).get_command_obj("build_ext")
    build.build_lib, build.build_temp = f"{folder}/{LIB}", f"{folder}/objects"
    build.ensure_finalized()
    build.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
