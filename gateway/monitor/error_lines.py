"""Names the lines of the log that are errors and have an alarm of their own, or none."""

from __future__ import annotations

from typing import Final

UNTOLD: Final = frozenset({"alarm not mailed"})
"""Errors of telling itself: to tell of them would make more of them."""
LEFT_LINES: Final = frozenset({"ghost given up", "ghost dropped", "ghost list full"})
"""Errors that the rule of calls of nobody tells of."""
AUDIT_LINE: Final = "ledger audit found what disagrees"
"""The error that the rule of the audit tells of."""
JOURNAL_LINE: Final = "who is erased cannot be written down"
"""The error that the rule of deletions tells of."""
TOLD_OTHERWISE: Final = UNTOLD | LEFT_LINES | {AUDIT_LINE, JOURNAL_LINE}
"""Errors that the rule of errors does not tell of."""
