"""What the benchmark's tests share."""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def _compiler() -> None:
    if shutil.which("cc") is None:
        pytest.skip("the load generator needs a C compiler")
