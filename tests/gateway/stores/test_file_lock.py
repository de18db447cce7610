"""A lock that is held for as long as any process has its descriptor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gateway.stores.file_lock import try_lock


def test_a_lock_is_its_first_holder_s_until_that_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = try_lock(path)
    assert first is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert try_lock(path) is None
    os.close(first)
    second = try_lock(path)
    assert second is not None
    os.close(second)


def test_a_child_that_inherits_it_keeps_it_when_its_parent_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    held = try_lock(path)
    assert held is not None
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[held]
    ) as child:
        os.close(held)
        assert try_lock(path) is None
        child.communicate(b"\n")
    again = try_lock(path)
    assert again is not None
    os.close(again)
