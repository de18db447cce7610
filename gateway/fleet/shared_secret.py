"""Tells whether all nodes share the secret under which they hash what they store.

Nodes that do not share it count limits apart, and refuse challenges that others have issued.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from gateway.fleet.roster import NodeFacts

_LABEL: Final = b"caller: the secret that all nodes share"
_PROOF_BYTES: Final = 8
HINT: Final = (
    "Give all nodes and their other processes the same CALLER_FLEET_SECRET, or the same auth"
    " token of the carrier where that is empty, and restart those that have another."
)

log = structlog.get_logger(__name__)


def proof_of(secret: str) -> str:
    """Return what shows which secret a process has without showing it; empty for none.

    HMAC-SHA-256 (RFC 2104) of a fixed label, cut to 8 bytes, in hexadecimal.
    """
    if not secret:
        return ""
    return hmac.digest(secret.encode(), _LABEL, "sha256")[:_PROOF_BYTES].hex()


def apart(nodes: Collection[NodeFacts], proof: str) -> Sequence[str]:
    """Return the nodes, by name, whose secret is not the one of `proof`.

    Without a proof, the secret of most nodes is the measure. A node whose release shows no proof is
    not judged.
    """
    proofs = Counter(each.secret_proof for each in nodes if each.secret_proof)
    if not proofs:
        return []
    measure = proof or proofs.most_common(1)[0][0]
    return sorted(each.node for each in nodes if each.secret_proof not in {"", measure})


class SecretWatch:
    """Logs when nodes begin or cease to have another secret than this process."""

    def __init__(self, proof: str) -> None:
        self._proof = proof
        self._apart: Sequence[str] = ()

    def see(self, nodes: Collection[NodeFacts]) -> None:
        """Compare; a line is logged once per change."""
        # A process that has no secret hashes nothing under it.
        found = apart(nodes, self._proof) if self._proof else []
        if found == list(self._apart):
            return
        self._apart = found
        if found:
            log.error("nodes have different secrets", nodes=", ".join(found), hint=HINT)
        else:
            log.info("nodes have the same secret again")
