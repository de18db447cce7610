"""Builds the document of the API into the package. As a program it builds it into its own tree.

The operations themselves say what is in it, so the gateway's packages are needed to make it: an
environment that has them makes it at once, a build of the package asks for them for this time only.
An sdist carries the document with a stamp of its sources: installing from it needs no more.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

SOURCES = ("accounts", "billing", "database", "gateway", "media")
"""Packages whose modules the document depends on."""

DOCUMENT = Path("gateway/http/openapi.json")
STAMP = DOCUMENT.with_suffix(".stamp")


class ApiDocument:
    """The document of one source tree."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def path(self) -> Path:
        """Where the document is."""
        return self._root / DOCUMENT

    def dependencies(self) -> list[str]:
        """Return what this build needs: the gateway's own packages, where it is out of date."""
        if self._is_fresh():
            return []
        project = tomllib.loads((self._root / "pyproject.toml").read_text(encoding="utf-8"))
        needed: list[str] = project["project"]["dependencies"]
        return needed

    def build(self) -> None:
        """Write the document, unless what is there came from these very sources."""
        if self._is_fresh():
            return
        made_from = self._digest()
        # From the tree, whatever version of the gateway is installed beside it.
        command = [sys.executable, "-m", "gateway.openapi"]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
        try:
            made = subprocess.run(  # noqa: S603
                command, cwd=self._root, env=environment, stdout=subprocess.PIPE, check=True
            )
        except subprocess.CalledProcessError:
            raise SystemExit("The document of the API could not be made: see above.") from None
        replace(self.path, made.stdout)
        replace(self._root / STAMP, made_from.encode())

    def _is_fresh(self) -> bool:
        try:
            is_fresh = (self._root / STAMP).read_text(encoding="ascii") == self._digest()
        except OSError:
            return False
        return is_fresh and self.path.exists()

    def _digest(self) -> str:
        """Return the SHA-256 of every source's name and content, alike on every system."""
        digest = hashlib.sha256()
        files = (file for name in SOURCES for file in (self._root / name).rglob("*.py"))
        for path in sorted(files, key=lambda file: file.as_posix()):
            content = path.read_bytes().replace(b"\r\n", b"\n")
            name = path.relative_to(self._root).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Write a file at once: a reader meets the old one or the new one."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_bytes(content)
    new.replace(path)


if __name__ == "__main__":
    ApiDocument(Path(__file__).parents[1]).build()
