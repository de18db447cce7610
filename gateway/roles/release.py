"""Says which release of the package this process runs."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def release() -> str:
    """Return the version; unknown for sources that are not installed."""
    try:
        return metadata.version("caller")
    except metadata.PackageNotFoundError:
        return "(sources that are not installed)"
