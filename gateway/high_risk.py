"""Destinations that are closed unless the operator opens them: where toll fraud is paid.

Version 2026-11. International revenue share fraud needs numbers that pay whoever makes them ring.
Premium numbers and satellite networks are refused by their kind (`admission`); what is listed here
are ordinary-looking numbers of countries where such ranges are hired or hijacked. A country is
listed when at least two of these name it, or for the reason beside it:

- "Twilio": the countries of Twilio's own example of closing high-risk ranges by its Dialing
  Permissions API (BulkCountryUpdates). Its list of narrow ranges cannot be downloaded, and changes:
  keep them closed in Twilio's console too.
- "Cox": countries that Cox Communications closes by default, told by TransNexus ("Carriers block
  international calls to stop traffic pumping fraud", 2014).
- "Integra": countries that Integra/Electric Lightwave closes by default ("International Calling
  Options").

Latvia, Lithuania, Estonia and Tunisia are named by Twilio for single ranges; their ordinary numbers
stay open, their premium and shared-cost ranges (such as +371 81 and +371 90) are refused by kind.
Knows no number and no setting.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def closed(digits: str, opened: frozenset[str]) -> bool:
    """Whether a number is closed: the longest prefix decides, and an opened one wins."""
    for length in range(len(digits), 0, -1):
        prefix = digits[:length]
        if prefix in opened:
            return False
        if prefix in HIGH_RISK:
            return True
    return False


def opens(prefix: str) -> str:
    """Return whose numbers a prefix opens; empty where none of them are closed."""
    return next((name for p, name in HIGH_RISK.items() if prefix.startswith(p)), "")
