"""Puts whose service it is into the phone page: its title, its header, its icon, its colours.

In the HTML, as the page's script is the same for everybody: what the page's element holds is shown
in place of the script's own header (HTML, 4.12.4 "the slot element"). Knows no request and no file.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from gateway.http.site.branding import OURS, Branding

_TITLE: Final = re.compile(r"(<title>.* · ).*?(</title>)")
_ICON: Final = re.compile(r'(<link rel="icon" href=")([^"]*)(" />)')
_HEAD_ENDS: Final = "</head>"
_ELEMENT: Final = "<caller-app></caller-app>"


def in_name_of(branding: Branding, html: str, *, logo: str, style: str) -> str:
    """Return the phone page in the name of a service; the same page where nothing is set.

    Args:
        branding: Whose service it is.
        html: The page as it was built.
        logo: Address of the logo, empty for none. Like the page's own, it does not begin with `/`.
        style: Address of a style sheet that is loaded after the page's own.

    """
    if branding == Branding(OURS, branding.contact, branding.operator, branding.address):
        return html
    name = escape(branding.service)
    html = _TITLE.sub(rf"\g<1>{_literal(name)}\g<2>", html)
    if logo:
        html = _ICON.sub(rf"\g<1>{_literal(logo)}\g<3>", html)
    html = html.replace(_HEAD_ENDS, f'<link rel="stylesheet" href="{style}" />\n{_HEAD_ENDS}', 1)
    icon = _ICON.search(html)
    mark = f'<img src="{icon[2]}" alt="" />' if icon else ""
    return html.replace(_ELEMENT, f"<caller-app>{mark}<h1>{name}</h1></caller-app>", 1)


def _literal(text: str) -> str:
    """Return what stands for a text in the template of a replacement."""
    return text.replace("\\", r"\\")
