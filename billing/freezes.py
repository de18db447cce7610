"""Names why an account is frozen: each reason is set and taken back by itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class FreezeReason(StrEnum):
    """Why an account may place no calls; values are stored."""

    OPERATOR = "operator"
    DISPUTE = "dispute"
    """A payment was taken back."""
    LOCKED = "locked"
    """Its holder said that a sign-in was not theirs."""
    LEAVING = "leaving"
    """Its holder has asked for its deletion."""
    RESTRICTED = "restricted"
    """Its holder wants their data kept and not used (GDPR, article 18)."""


RELEASES: Final[Mapping[FreezeReason, frozenset[FreezeReason]]] = {
    # Who runs the gateway may overrule what the payment service says, and not what a holder says.
    FreezeReason.OPERATOR: frozenset({FreezeReason.OPERATOR, FreezeReason.DISPUTE}),
}
"""Which reasons a release ends, where it is more than its own."""


def released_by(reason: FreezeReason) -> frozenset[FreezeReason]:
    """Return the reasons that a release for one reason ends."""
    return RELEASES.get(reason, frozenset({reason}))
