"""Declares the design pages; the dataclasses are all that their templates get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class DesignPage:
    """Each element of the pages in each state, and frames with those of phone and button."""

    template: ClassVar[str] = "design.html"
    specimens: str
    """URL of the script that draws the frames."""
    button: str
    """Publishable key of a button; empty for none."""


@dataclass(frozen=True, slots=True)
class SpecimenPage:
    """One element of the phone, or one state of the button's frame, named in the URL's fragment."""

    template: ClassVar[str] = "specimen.html"
    kind: str
    """`phone` or `frame`."""
    specimens: str
    styles: Sequence[str]
    picture: str
    """URLs of the script, of its style sheets, and of any picture."""
