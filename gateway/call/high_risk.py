"""Lists the destinations that are closed by default because toll fraud pays there.

Version 2026-11. International revenue share fraud relies on numbers that pay out for incoming
calls. Premium numbers and satellite networks are refused by number type (`call.number`); this list
holds ordinary-looking numbers of countries where such ranges are rented or hijacked. A country is
listed if at least two of these sources name it, or for the reason given beside it:

- "Twilio": the countries of Twilio's own example of closing high-risk ranges by its Dialing
  Permissions API (BulkCountryUpdates).
- "Cox": countries that Cox Communications closes by default, as reported by TransNexus ("Carriers
  block international calls to stop traffic pumping fraud", 2014).
- "Integra": countries that Integra/Electric Lightwave closes by default ("International Calling
  Options").

Twilio names single ranges of Latvia, Lithuania, Estonia and Tunisia; their ordinary numbers stay
open, their premium and shared-cost ranges (such as +371 81 and +371 90) are refused by type.

The carrier's own list, which `caller rates sync-high-risk` reads, is applied beside this one. Of
Twilio's two kinds of high-risk ranges it holds the special services; those of toll fraud "are not
available for download" (Dialing Permissions Country resource) and are closed in Twilio's console.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

HIGH_RISK: Mapping[str, str] = {
    # Inside Russia's country code, but charged at many times the price of Russia.
    "7840": "Abkhazia",
    "7940": "Abkhazia, mobile",
    "220": "Gambia",  # Twilio, Cox
    "224": "Guinea",  # Twilio, Cox, Integra
    "232": "Sierra Leone",  # Cox, Integra
    "239": "Sao Tome and Principe",  # Cox, Integra
    "252": "Somalia",  # Twilio, Cox, Integra
    "263": "Zimbabwe",  # Twilio, Integra
    # The best-known hijacked range; termination costs several times what neighbours charge.
    "269": "Comoros",
    "377": "Monaco",  # Cox, Integra
    "53": "Cuba",  # Twilio, Integra
    "960": "Maldives",  # Twilio, Cox
    "994": "Azerbaijan",  # Cox, Integra
}
"""Leading digits of E.164 numbers -> the country, for messages."""


PREFIXES_MAX = 20_000
"""Most prefixes accepted in a carrier's list."""


class ClosedList:
    """Decides which numbers are closed: those on either list, minus what the operator opens."""

    def __init__(
        self, opened: Iterable[str] = (), carriers: Mapping[str, str] | None = None
    ) -> None:
        """Take the prefixes to open, and the carrier's list as prefix -> country."""
        self.opened = tuple(opened)
        self.carriers = carriers or {}
        listed = dict.fromkeys([*HIGH_RISK, *self.carriers], True)
        self._verdicts = listed | dict.fromkeys(self.opened, False)
        self._lengths = sorted({len(prefix) for prefix in self._verdicts}, reverse=True)

    def closes(self, digits: str) -> bool:
        """Return whether a number is closed: its longest listed or opened prefix decides."""
        # Longest first, so that the first hit is the most specific one.
        for length in self._lengths:
            verdict = self._verdicts.get(digits[:length])
            if verdict is not None:
                return verdict
        return False

    def opens(self, prefix: str) -> str:
        """Return the country a prefix opens; empty if it would not be closed anyway.

        A prefix shorter than a listed one opens none of it, because the longest match decides.
        """
        for length in range(len(prefix), 0, -1):
            listed = prefix[:length]
            if name := HIGH_RISK.get(listed) or self.carriers.get(listed):
                return name
        return ""


SHIPPED = ClosedList()
"""The default: no carrier list has been read and the operator opens nothing."""
