"""Says what to install where the simulated services, a package of their own, are missing."""

from __future__ import annotations

from importlib.util import find_spec

from gateway.errors import EXIT_SETTINGS
from gateway.roles.process import EndedError, complain


def require_simulators() -> None:
    """Return if the simulated services are installed.

    Raises EndedError after printing what to install.
    """
    if find_spec("simulators") is not None:
        return
    complain(
        "The simulated services are not installed: install the package caller-simulators, with"
        " `pip install ./simulators` in Caller's source tree.",
        "`make run` does so by itself; `caller serve` runs without them.",
    )
    raise EndedError(EXIT_SETTINGS)
