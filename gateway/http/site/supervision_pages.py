"""Declares the page of supervision; the dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from gateway.call.supervision import Deed


@dataclass(frozen=True, slots=True)
class SupervisionPage:
    """What supervisors may do in a person's live calls, the form, and what was done."""

    template: ClassVar[str] = "supervision.html"
    choices: Sequence[str]
    """Each includes all lesser ones: keys of the words under `supervision_most.`."""
    most: str
    """The chosen one of them."""
    is_silent: bool
    silent_reason: str
    reason_max: int
    deeds: Sequence[Deed]
    needs_proof: bool = False
    """Whether the form was sent, and waits for a step-up."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
