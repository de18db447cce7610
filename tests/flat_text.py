"""Text as a reader sees it, whatever its lines are broken into."""

import re


def flat(text: str) -> str:
    """Return text on one line; the no-break spaces of French stay what they are."""
    return re.sub(r"[^\S\u00a0\u202f]+", " ", text).strip()
