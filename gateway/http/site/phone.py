"""Brands the phone and the page of live calls: title, header, icon, colours.

And the manifest, by which systems install the phone. A page is changed in its HTML, because its
script is the same for all services: the content of the page's element replaces the script's own
header (HTML, 4.12.4 "the slot element").
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Final

from gateway.http.site.branding import OURS, Branding, Logo

_TITLE: Final = re.compile(r"(<title>.* · ).*?(</title>)")
_ICON: Final = re.compile(r'(<link rel="icon" href=")([^"]*)(" />)')
_HEAD_ENDS: Final = "</head>"
SHORT_NAME_MAX: Final = 12
"""Characters that fit on a home screen (web.dev, "Add a web app manifest")."""
ICON_PX_MIN: Final = 144
"""Side of the smallest icon that makes a page installable (Chromium's installability check)."""
_ELEMENT: Final = re.compile(r"<(caller-app|live-app)></\1>")


def in_name_of(branding: Branding, html: str, *, logo: str, style: str) -> str:
    """Return a page with a service's branding; unchanged if nothing is set.

    Args:
        branding: The service's branding.
        html: The page as it was built.
        logo: URL of the logo, empty for none. Like the page's own, it does not begin with `/`.
        style: URL of a style sheet that is loaded after the page's own.
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
    return _ELEMENT.sub(rf"<\1>{_literal(mark)}<h1>{_literal(name)}</h1></\1>", html, count=1)


def with_welcome(html: str, welcome: str) -> str:
    """Return the phone page that redirects people it does not know to another URL.

    Without script it links to it, and to the account, because it can do nothing else then.
    """
    html = html.replace("<caller-app>", f'<caller-app welcome="{welcome}">', 1)
    links = f'<a href="{welcome}">Welcome</a> · <a href="account">Account</a> · '
    return html.replace("<noscript><p>", f"<noscript><p>{links}", 1)


def manifest_of(branding: Branding, manifest: str, *, logo: str) -> str:
    """Return the manifest (W3C Web Application Manifest) with a service's branding.

    Args:
        branding: The service's branding.
        manifest: The manifest as it was built.
        logo: URL of the logo, relative to the manifest; empty for none.
    """
    members = json.loads(manifest)
    members["name"] = branding.service
    if len(branding.service) <= SHORT_NAME_MAX:
        members["short_name"] = branding.service
    else:
        # Systems shorten a name themselves, and know how much room there is.
        del members["short_name"]
    if branding.logo and (sizes := _icon_sizes(branding.logo)):
        members["icons"] = [{"src": logo, "sizes": sizes, "type": branding.logo.media_type}]
    return json.dumps(members, ensure_ascii=False)


def _icon_sizes(logo: Logo) -> str:
    """Return the sizes of a logo as an icon; empty if no system would accept it."""
    if logo.media_type == "image/svg+xml":
        return "any"
    # Big-endian, at the same place in every PNG (W3C PNG, 11.2.2).
    width, height = (int.from_bytes(logo.content[at : at + 4]) for at in (16, 20))
    return f"{width}x{height}" if width == height >= ICON_PX_MIN else ""


def _literal(text: str) -> str:
    """Return a text escaped for the template of a replacement."""
    return text.replace("\\", r"\\")
