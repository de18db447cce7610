"""Selects the gateway to measure: the installed, compiled one before the source tree's.

`make bench` installs what the tree holds.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]
_INSTALLED = Path(sysconfig.get_path("purelib"))


def environment() -> dict[str, str]:
    """Return this process's environment, changed so that Python takes the installed gateway.

    The benchmark's own modules, and a gateway that is not installed, come from the tree.
    """
    # Without a safe path `python -m` would put the working directory, and so the sources, first.
    search = os.pathsep.join((str(_INSTALLED), str(ROOT)))
    return {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": search}


def kind() -> str:
    """Say how the gateway's frame path runs: `compiled` or `interpreted`."""
    # One module stands for all: a wheel is built with all of them or with none.
    is_compiled = any(_INSTALLED.glob("media/playout.*.so"))
    return "compiled" if is_compiled else "interpreted"
