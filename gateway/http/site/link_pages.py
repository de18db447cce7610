"""Declares the pages of links that one click uses; the dataclass is all that its template is given.

Holds shapes only; knows no request and no store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What a link in a mail will do, and the button that does it; or what it has done."""

    template: ClassVar[str] = "link.html"
    purpose: str
    email: str
    is_frozen: bool = False
    """Whether an account whose deletion ends stays frozen for another reason."""
    said: str = ""
    """What it has done, for a browser in which somebody else is signed in."""
