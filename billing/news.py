"""Declares the events that report booked facts to programs, and what may veto a booking.

Shapes only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class News:
    """What is told once a fact is booked."""

    name: str
    """Of the event."""
    data: Mapping[str, Any]
    """Has `account_id`, and `reference`: the fact's own name."""


Guard = Callable[[Collection[str]], None]
"""Is given the references of all credits of a payment, that of the one which is being booked among
them. What it raises is raised, and nothing is booked then."""
