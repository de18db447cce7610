"""The result of the last audit of the book, as the alarms use it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

AUDIT_LINE: Final = "ledger audit found discrepancies"
"""The error in the log; an alarm of its own covers it."""
RULES_MAX: Final = 100
"""Rules of one result: there are fewer. Half of the alarms that may be active."""

_Rule = Annotated[str, msgspec.Meta(max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """How an audit ended; only the audit's own output says whose money is affected."""

    at_s: Annotated[float, msgspec.Meta(ge=0, le=1e10)]
    """When it ended; since the epoch."""
    findings: Annotated[dict[_Rule, _Count], msgspec.Meta(max_length=RULES_MAX)]
    """Rule -> number of findings."""


def by_rule(findings: Iterable[str]) -> dict[str, int]:
    """Return how many findings there are of each rule; a finding is `rule: subject (figures)`."""
    return dict(Counter(finding.partition(": ")[0] for finding in findings))
