"""Names the browser and the system of a device, for the person who owns it.

Only families are returned or kept, nothing else that a browser says about itself.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ua_parser import Parser

USER_AGENT_MAX: Final = 512
"""Characters of the User-Agent header that are read; browsers send less than half."""

# A family can be a word from the header, and it is quoted in a mail about an unknown device:
# someone who signs in with a stolen password must not be able to write into that mail. So only
# these are accepted.
BROWSERS: Final[dict[str, str]] = {
    "Amazon Silk": "Amazon Silk",
    "Brave": "Brave",
    "Chrome": "Chrome",
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chromium": "Chromium",
    "DuckDuckGo": "DuckDuckGo",
    "DuckDuckGo Mobile": "DuckDuckGo",
    "Edge": "Edge",
    "Edge Mobile": "Edge",
    "Firefox": "Firefox",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "HeadlessChrome": "Chrome",
    "Huawei Browser": "Huawei Browser",
    "MiuiBrowser": "Mi Browser",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari",
    "Opera": "Opera",
    "Opera Mini": "Opera",
    "Opera Mobile": "Opera",
    "Safari": "Safari",
    "Samsung Internet": "Samsung Internet",
    "UC Browser": "UC Browser",
    "Vivaldi": "Vivaldi",
    "Whale": "Whale",
    "Yandex Browser": "Yandex Browser",
}
"""Known families of browsers -> their name for a person."""
SYSTEMS: Final[dict[str, str]] = {
    "Android": "Android",
    "Chrome OS": "ChromeOS",
    "Debian": "Linux",
    "Fedora": "Linux",
    "FreeBSD": "FreeBSD",
    "Linux": "Linux",
    "Mac OS X": "macOS",
    "OpenBSD": "OpenBSD",
    "Ubuntu": "Linux",
    "Windows": "Windows",
    "iOS": "iOS",
}
"""Known families of systems -> their name for a person."""


class Families(NamedTuple):
    """A browser and its system; each is empty if unknown, otherwise a name from a fixed list."""

    browser: str
    system: str


def families(user_agent: str) -> Families:
    """Return the families of browser and system of a User-Agent header (RFC 9110, 10.1.5).

    For a thread: where a header has no like yet, up to a tenth of a second is spent on it.
    """
    text = user_agent[:USER_AGENT_MAX]
    parser = _parser()
    browser = parser.parse_user_agent(text)
    system = parser.parse_os(text)
    return Families(
        BROWSERS.get(browser.family, "") if browser else "",
        SYSTEMS.get(system.family, "") if system else "",
    )


@cache
def _parser() -> Parser:
    # Imported here, because most processes read no header.
    from ua_parser import BasicResolver, Parser, load_lazy_builtins  # noqa: PLC0415

    # Each of hundreds of expressions is compiled when a header comes to it. Not the library's own
    # parser, which keeps the last thousands of headers.
    return Parser(BasicResolver(load_lazy_builtins()))
