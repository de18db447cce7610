"""Lists the error lines of the log that have an alarm of their own, or none."""

from __future__ import annotations

from typing import Final

UNTOLD: Final = frozenset({"alarm not mailed"})
"""Errors of the notification itself: reporting them would cause more of them."""
LEFT_LINES: Final = frozenset({"ghost given up", "ghost dropped", "ghost list full"})
"""Errors covered by the rule about ghosts and orphans."""
AUDIT_LINE: Final = "ledger audit found discrepancies"
"""The error covered by the audit's rule."""
JOURNAL_LINE: Final = "erasures cannot be recorded"
"""The error covered by the rule of deletions."""
TOLD_OTHERWISE: Final = UNTOLD | LEFT_LINES | {AUDIT_LINE, JOURNAL_LINE}
"""Errors that the rule of errors leaves out."""
