"""Makes the HTML documents of a simulated service's pages: a notice on top, no script.

Pure: texts in, text out. Except for the title, its input must already be escaped.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from typing import Final

_GROUND: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: Canvas; color: CanvasText; }
.notice { margin: 0; padding: .5rem 1rem; text-align: center; font-weight: 600;
  background: light-dark(#fff3c4, #453a00); color: light-dark(#3d2f00, #ffedb0); }
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One document and what its browser may do with it."""

    html: str
    policy: str
    """Content-Security-Policy."""


class Documents:
    """The documents of one service."""

    def __init__(self, notice: str, style: str) -> None:
        """Take what every page says on top, and the service's own rules of style."""
        self._notice = notice
        self._style = _GROUND + style.lstrip("\n")
        digest = hashlib.sha256(self._style.encode()).digest()
        self.style_source: Final = f"'sha256-{base64.b64encode(digest).decode()}'"
        """The style sheet as a policy names it (CSP 3, 2.3.1), which nothing injected matches."""

    def document(self, title: str, content: str) -> str:
        """Return a whole document."""
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{self._style}</style>
</head>
<body>
<header class="notice">{self._notice}</header>
<main>
{content}
</main>
</body>
</html>
"""
