"""Declares who changes something of an account: a person, a program, or the operator."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.operators import Order


@dataclass(frozen=True, slots=True)
class ByKey:
    """A program, by its API key."""

    key_id: str


Editor = int | ByKey | Order | None
"""Who makes a change: the credentials epoch of a session, a program, an operator with a reason, or
None for an operator's own process."""
