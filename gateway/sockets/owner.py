"""Decides from the first bytes of a request which process of a machine it is for. Pure.

What is under `/n/<node>/` is that node's: media sockets and the carrier's callbacks.
"""

from __future__ import annotations

import re
from typing import Final

MAY_BE_A_NODES: Final = re.compile(
    rb"[A-Z]{1,20} /n/|[A-Z]{1,20}(?: (?:/n?)?)?\Z",
)
"""Where a request for a node may begin in what was received, its first bytes cut off included."""

_OF_NODE: Final = re.compile(rb"[A-Z]{1,20} /n/([a-z0-9-]{1,64})/")
_UNDECIDED: Final = re.compile(rb"[A-Z]{0,20}(?: (?:/(?:n(?:/[a-z0-9-]{0,64})?)?)?)?")


def node_of(head: bytes) -> str | None:
    """Return the node that a request which begins with `head` asks for, "" where it asks for none.

    None when more is needed: only while it could still become a request for a node, so that nothing
    else is kept waiting for bytes that need not come.
    """
    if found := _OF_NODE.match(head):
        return found[1].decode()
    return None if _UNDECIDED.fullmatch(head) else ""
