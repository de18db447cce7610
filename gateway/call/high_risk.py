"""Destinations that are closed unless the operator opens them: where toll fraud is paid.

Version 2026-11. International revenue share fraud needs numbers that pay whoever makes them ring.
Premium numbers and satellite networks are refused by their kind (`admission`); what is listed here
are ordinary-looking numbers of countries where such ranges are hired or hijacked. A country is
listed when at least two of these name it, or for the reason beside it:

- "Twilio": the countries of Twilio's own example of closing high-risk ranges by its Dialing
  Permissions API (BulkCountryUpdates).
- "Cox": countries that Cox Communications closes by default, told by TransNexus ("Carriers block
  international calls to stop traffic pumping fraud", 2014).
- "Integra": countries that Integra/Electric Lightwave closes by default ("International Calling
  Options").

Latvia, Lithuania, Estonia and Tunisia are named by Twilio for single ranges; their ordinary numbers
stay open, their premium and shared-cost ranges (such as +371 81 and +371 90) are refused by kind.

Beside this list stands the carrier's own, which `caller rates sync-high-risk` reads from it. Of
Twilio's two kinds of high-risk ranges it holds the special services; those of toll fraud "are not
available for download" (Dialing Permissions Country resource) and are closed in Twilio's console.
Knows no number and no setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

HIGH_RISK: Mapping[str, str] = {
    # Hidden inside the country code of Russia, and charged many times its price.
    "7840": "Abkhazia",
    "7940": "Abkhazia, mobile",
    "220": "Gambia",  # Twilio, Cox
    "224": "Guinea",  # Twilio, Cox, Integra
    "232": "Sierra Leone",  # Cox, Integra
    "239": "Sao Tome and Principe",  # Cox, Integra
    "252": "Somalia",  # Twilio, Cox, Integra
    "263": "Zimbabwe",  # Twilio, Integra
    # The classic of hijacked ranges, with termination at several times its neighbours' price.
    "269": "Comoros",
    "377": "Monaco",  # Cox, Integra
    "53": "Cuba",  # Twilio, Integra
    "960": "Maldives",  # Twilio, Cox
    "994": "Azerbaijan",  # Cox, Integra
}
"""Leading digits of E.164 numbers -> whose they are."""


PREFIXES_MAX = 20_000
"""Prefixes of a carrier's list."""


class ClosedList:
    """Which numbers are closed: those of both lists, less what the operator opens."""

    def __init__(
        self, opened: Iterable[str] = (), carriers: Mapping[str, str] | None = None
    ) -> None:
        """Take prefixes that are open all the same, and the carrier's list: prefix -> country."""
        self.opened = tuple(opened)
        self.carriers = carriers or {}
        listed = dict.fromkeys([*HIGH_RISK, *self.carriers], True)
        self._verdicts = listed | dict.fromkeys(self.opened, False)
        self._lengths = sorted({len(prefix) for prefix in self._verdicts}, reverse=True)

    def closes(self, digits: str) -> bool:
        """Whether a number is closed: the longest prefix decides, and an opened one wins."""
        for length in self._lengths:
            verdict = self._verdicts.get(digits[:length])
            if verdict is not None:
                return verdict
        return False

    def opens(self, prefix: str) -> str:
        """Return whose numbers a prefix opens; empty where none of them would be closed.

        One that is shorter than a listed prefix opens nothing of it: the longest decides.
        """
        for length in range(len(prefix), 0, -1):
            listed = prefix[:length]
            if name := HIGH_RISK.get(listed) or self.carriers.get(listed):
                return name
        return ""


SHIPPED = ClosedList()
"""What is closed where the carrier's list was never read and nothing is opened."""
