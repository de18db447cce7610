"""A project that has the SDK as an npm package, as anybody's has: compiled and bundled in tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web.conftest import WEB

ROOT = WEB.parent

SIZES_MAX = {"caller.js": 14 * 1024, "worklets.js": 3500, "socket-worker.js": 1024}
"""Bytes of each file, gzipped: less than a third of what other calling SDKs take."""


def pack(node: str, folder: Path) -> Path:
    """Build the package there; skips the test where its tools are not installed."""
    if not all((WEB / "node_modules" / name).is_dir() for name in ("typescript", "react-dom")):
        pytest.skip("Needs `npm ci` in web/.")
    environment = {**os.environ, "CALLER_SDK_OUTPUT": str(folder)}
    subprocess.run([node, WEB / "build-package.mjs"], env=environment, check=True)
    return folder


@dataclass(frozen=True)
class Project:
    """A folder with sources and packages."""

    folder: Path
    node: str

    @classmethod
    def make(cls, folder: Path, node: str, package: Path) -> Project:
        """Make a project whose packages are the SDK, React and its types."""
        modules = folder / "node_modules"
        (modules / "@types").mkdir(parents=True)
        (modules / "caller-sdk").symlink_to(package)
        for name in ("react", "react-dom", "scheduler", "csstype", "@types/react"):
            (modules / name).symlink_to(WEB / "node_modules" / name)
        (modules / "@types/react-dom").symlink_to(WEB / "node_modules/@types/react-dom")
        (folder / "package.json").write_text('{"type": "module"}')
        return cls(folder, node)

    def compile(self, resolution: str) -> str:
        """Return what the compiler finds, as strict as it can be."""
        module = "nodenext" if resolution == "nodenext" else "esnext"
        options = {
            "target": "es2022",
            "module": module,
            "moduleResolution": resolution,
            "lib": ["es2022", "dom", "dom.iterable"],
            "jsx": "react-jsx",
            "strict": True,
            "exactOptionalPropertyTypes": True,
            # Once is enough for the declarations themselves.
            "skipLibCheck": resolution != "nodenext",
            "noEmit": True,
            "types": [],
        }
        (self.folder / "tsconfig.json").write_text(
            json.dumps({"compilerOptions": options, "include": ["*.ts", "*.tsx"]})
        )
        compiler = WEB / "node_modules/typescript/bin/tsc"
        done = subprocess.run(
            [self.node, compiler, "--project", self.folder],
            check=False,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    def bundle(self, source: str, *options: str) -> str:
        """Return the source and all that it imports as one module."""
        esbuild = WEB / "node_modules/.bin/esbuild"
        command: list[str | Path] = [esbuild, source, "--bundle", "--format=esm", *options]
        command += ["--jsx=automatic", '--define:process.env.NODE_ENV="production"']
        return subprocess.run(
            [*command, "--log-level=error"],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def migration_rows() -> list[str]:
    """Return the code on the right of the table in docs/sdk.md, in its order."""
    section = (ROOT / "docs/sdk.md").read_text().partition("## Coming from")[2]
    table = section.partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]*\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(rows) > 30
    return rows


def documented_source() -> str:
    """Return a module that compiles if docs/sdk.md lists just the options and events there are."""
    text = (ROOT / "docs/sdk.md").read_text()
    _, caller, call, *_ = re.split(r"\n## (?:Caller|Call|Coming from)\b.*\n", text)
    options = re.findall(r"^\| `(\w+)", caller.partition("| method |")[0], re.MULTILINE)
    events = [
        name
        for cell in re.findall(r"^\| (`[^|]+`) \|", call, re.MULTILINE)
        for name in re.findall(r"`([\w-]+)`", cell)
    ]
    lists = {"CallerOptions": options, "CallEvents": events}
    return "import type { CallEvents, CallerOptions } from 'caller-sdk';\n" + "".join(
        f"export const of{kind}: Record<keyof {kind}, true> = "
        f"{{ {', '.join(f'{name!r}: true' for name in names)} }};\n"
        for kind, names in lists.items()
    )


def migration_source() -> str:
    """Return a module whose `run` does what the table says, row after row, in one call."""
    lines = []
    for row in migration_rows():
        if row.startswith("show(call.status())"):
            lines.append("await live;")
        lines.append(f"{row};")
        if row.startswith("const call ="):
            lines.append("const live = new Promise((done) => call.on('accept', done));")
    body = "\n  ".join(lines)
    return f"""
import {{ Caller }} from 'caller-sdk';
import type {{ CallToken, MediaToken }} from 'caller-sdk';

export async function run(
  number: string,
  token: CallToken,
  getToken: (destination: string) => Promise<CallToken>,
  getCheckToken: () => Promise<MediaToken>,
  show: (...values: unknown[]) => void,
  renew: () => void,
): Promise<void> {{
  {body}
}}
"""


def copied(name: str, folder: Path) -> Path:
    """Copy an example into a project."""
    return Path(shutil.copy(ROOT / "examples" / name, folder))
