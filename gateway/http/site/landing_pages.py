"""Declares the page for newcomers; the dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gateway.http.site.rate_pages import CountryRates


@dataclass(frozen=True, slots=True)
class LandingPage:
    """What the service is and costs, and how to begin."""

    template: ClassVar[str] = "landing.html"
    is_open: bool
    """Whether people can sign up themselves."""
    countries: Sequence[CountryRates]
    """What calls cost where the reader is, and where most calls go; may be empty."""
    button: str = ""
    """Publishable key of the button that is shown; empty for none."""
