"""The TypeScript of the page and of its tests, checked strictly."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.web.conftest import WEB


def test_compiler_finds_nothing() -> None:
    npm = shutil.which("npm")
    if npm is None or not (WEB / "node_modules/typescript").is_dir():
        pytest.skip("Needs Node and `npm ci` in web/.")
    done = subprocess.run(
        [npm, "run", "--silent", "check"], cwd=WEB, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
