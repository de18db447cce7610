"""Describes who acts as an operator, and why. What is entered is validated, nothing is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REASON_MAX: Final = 300
NODES: Final = "(nodes)"
"""Id under which the audit log records acts on nodes; no account can have it."""
OPERATOR_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Order:
    """Who acts, and why: both are recorded; a holder who asks for their data gets the reason.

    Raises ValueError if one is missing or too long.
    """

    operator: str
    reason: str

    def __post_init__(self) -> None:
        """Refuse an empty or overlong order."""
        for text, longest in ((self.operator, OPERATOR_MAX), (self.reason, REASON_MAX)):
            if not text.strip() or len(text) > longest or not text.isprintable():
                raise ValueError(
                    f"an operator and a reason of 1 to {longest} characters are needed"
                )
