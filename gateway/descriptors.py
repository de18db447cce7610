"""How many descriptors the process may hold: each connection takes one.

Knows nothing of what they are for.
"""

from __future__ import annotations

import contextlib
import resource


def raise_limit(wanted: int) -> int:
    """Let the process hold as many if the system allows it; return how many it may hold.

    The soft limit of getrlimit(2) is low for programs that use select(2), which this one does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has another limit beneath
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft
