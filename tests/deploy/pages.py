"""The commands of the manual's pages, to be run as they are printed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
TIMEOUT_S = 120


def blocks(page: str) -> dict[str, str]:
    """Return the shell commands of a page by the name behind `sh`."""
    found = re.findall(r"^```sh ([\w-]+)\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return dict(found)


def run(page: str, name: str, environ: Mapping[str, str], folder: Path) -> None:
    """Run a block as a shell would that ends at the first failure."""
    done = subprocess.run(
        ["sh", "-eu"],
        input=blocks(page)[name],
        env=dict(environ),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
