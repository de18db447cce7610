"""Says whose certificates the simulated carrier accepts."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path


@functools.cache
def client_tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context of connections that trust the system's authorities and those of a file.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
