"""Declares what programs are told of a fact that is booked. Shape only; knows no program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class News:
    """What is told once a fact is booked."""

    name: str
    """Of the event."""
    data: Mapping[str, Any]
    """Has `account_id`, and `reference`: the fact's own name."""
