"""Declares the page of supervision; the dataclass is all that its template is given.

Holds shapes only; knows no request and no store.
"""

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
    """Each with all that is less: keys of the words under `supervision_most.`."""
    most: str
    """What is chosen of them."""
    is_silent: bool
    silent_reason: str
    reason_max: int
    deeds: Sequence[Deed]
    needs_proof: bool = False
    """Whether the form was sent, and waits for a proof of who the person is."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
