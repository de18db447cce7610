"""What the gateway may do on Valkey is what it does in a run of all that asks something of it.

That nothing is missing each test shows that connects to a server: none may do more than
`deploy/valkey.sh` allows. Here nothing is superfluous.
"""

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from gateway.stores import rights
from tests import store_usage
from tests.thorough import ROOT

FOLDERS = (
    "accounts/stores",
    "billing/stores",
    "gateway/stores",
    "gateway/charging",
    "gateway/watching",
    "gateway/supervision",
)
"""Where every store on Valkey is tested, and the library's that counts."""
BESIDE = {"+auth", "+hello", "+client|maint_notifications", "+sentinel"}
"""Needs no right, is not known to Valkey, or is asked of sentinels."""


def everything():
    """Yield the tests that ask anything of Valkey."""
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("test_*.py"):
            if re.search("redis|valkey", file.read_text()) and file != Path(__file__):
                yield str(file)


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_every_right_that_is_given_is_used(tmp_path):
    place = tmp_path / "usage.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.store_usage",
            "-q",
            "-x",
            "-p",
            "no:xdist",
            "-p",
            "no:cacheprovider",
            "-k",
            "not postgres",
            *everything(),
        ],
        env={**os.environ, store_usage.PLACE: str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    used = json.loads(place.read_text())
    assert set(used["commands"]) - BESIDE == rights.COMMANDS
    for pattern in (*rights.KEYS, *rights.CHANNELS):
        assert any(fnmatchcase(name, pattern) for name in used["names"]), pattern
