"""The tree with the compiled modules of the installed wheel beside their sources.

`python -m tests.wheel_tree COMMAND [ARGUMENT...]` lays it out in the environment, and becomes the
command there: what the command imports, and what it starts, is what a wheel carries. Where nothing
could be compiled it is the tree as it is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = Path(sys.prefix, "tested").resolve()
"""What a run keeps for the next one (bytecode, failed tests, examples) stays here."""
NOT_COPIED = {"build", "dist", "var"}
HIDDEN = {".ci", ".dockerignore", ".editorconfig", ".gitignore"}
"""Hidden names that belong to the project; others are caches, environments and data."""
NPM = ("web/node_modules", "tests/contract/node_modules", "tests/e2e/bundlers/node_modules")
"""Used where they lie: nothing of them is tested."""


def lay_out() -> None:
    """Copy the tree, and what the wheel has compiled."""
    left_out = shutil.ignore_patterns("node_modules", "__pycache__")
    for source in ROOT.iterdir():
        if source.name in NOT_COPIED or (source.name[0] == "." and source.name not in HIDDEN):
            continue
        if source.is_dir():
            forget_what_is_gone(TREE / source.name)
            shutil.copytree(source, TREE / source.name, ignore=left_out, dirs_exist_ok=True)
        else:
            shutil.copy2(source, TREE / source.name)
    for packages in NPM:
        if not (TREE / packages).is_symlink():
            (TREE / packages).symlink_to(ROOT / packages)
    for file in distribution("caller").files or ():
        if file.suffix == ".so":
            shutil.copy2(file.locate(), TREE / file)


def forget_what_is_gone(folder: Path) -> None:
    """Remove files that are not in the tree, compiled ones among them."""
    for path in folder.rglob("*"):
        is_kept = path.parent.name == "__pycache__" or (ROOT / path.relative_to(TREE)).exists()
        if path.is_file() and not is_kept:
            path.unlink()


def main(command: list[str]) -> None:
    """Lay the tree out and become the command; one at a time in an environment."""
    TREE.mkdir(exist_ok=True)
    lock = os.open(TREE / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"Another run is using {TREE}.")
    os.set_inheritable(lock, True)
    lay_out()
    os.chdir(TREE)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
