"""Says what to do first about error lines of the log that raise an alarm. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_AUDIT: Final = "Run `caller ledger audit`: it names what is not booked, and what to do."

NEXT_STEPS: Final[Mapping[str, str]] = {
    "another process serves as this node": "Stop one of the two processes, or give it a CALLER_NODE"
    " of its own: the line names the node, and comes from both machines.",
    "credits of closed books missing at the gate": "Run `caller ledger rebuild`: it fills Valkey"
    " from SQL.",
    "drainer overdue": "Calls go on, and what they cost waits in Valkey: run `caller check` on the"
    " machine of the worker. If it says that Valkey or SQL does not answer, mend that; if both do,"
    " start `caller drain`, or restart `caller serve`, which has one beside it.",
    "mails not sent": "Run `caller check`: it tries the mail server. Mails wait for it.",
    "nodes have different secrets": "Give all nodes and their other processes the same"
    " CALLER_FLEET_SECRET, or the same auth token where that is empty, and restart those that the"
    " line names: until then limits are counted twice, and challenges refused.",
    "older copy not refilled": _AUDIT,
    "outbox of a partition not drained": _AUDIT,
    "outbox too long": "Calls go on, and what they cost waits in Valkey: see in the worker's log"
    " whether it runs, and whether lines `outbox not drained` name SQL; `caller check` tries it.",
    "shared data not refreshed": "Calls go on by the deck and the list in use. Run `caller check`:"
    " if SQL does not answer, mend that, and they are read by themselves; if it does, import what"
    " the line names again (`caller rates import`, `caller rates sync-high-risk`).",
    "too many endings not booked": "Run `caller check`: SQL does not answer, or Valkey does not."
    " Then `caller ledger audit` names calls that were not booked.",
}
"""Event of the line -> what an operator does first."""
