"""Levels in dBov."""

from __future__ import annotations

import pytest

from media.level import level_dbov


@pytest.mark.parametrize(
    ("rms", "dbov"),
    [
        (0, -127),
        (0.4, -127),
        (1, -90),
        (321.24, -40),
        (32_124 / 2**0.5, -3),
        (32_124, 0),
        (32_768, 0),
    ],
)
def test_level(rms: float, dbov: int) -> None:
    assert level_dbov(rms) == dbov
