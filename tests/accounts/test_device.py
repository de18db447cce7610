"""Devices are named by families, out of a list that no header can add to."""

import pytest
import ua_parser
from hypothesis import given
from hypothesis import strategies as st

from accounts.device import BROWSERS, SYSTEMS, USER_AGENT_MAX, families

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox Linux"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36",
         "Chrome Windows"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 "
         "Edg/140.0.0.0", "Edge Windows"),
        (f"{MOZILLA} (Linux; Android 10; K) {WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36",
         "Chrome Android"),
        (f"{MOZILLA} (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox Android"),
        (f"{MOZILLA} (Linux; Android 14; SM-S911B) {WEBKIT} SamsungBrowser/28.0 "
         "Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet,Android"),
        (f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/18.0 Safari/605.1.15", "Safari macOS"),
        (f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
         "Gecko) Version/18.0 Mobile/15E148 Safari/604.1", "Safari iOS"),
        (f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
         "Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15", "Firefox iOS"),
        (f"{MOZILLA} (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/140.0.0.0 Safari/537.36",
         "Chrome ChromeOS"),
        (f"{MOZILLA} (X11; Linux x86_64) {WEBKIT} HeadlessChrome/140.0.0.0 Safari/537.36",
         "Chrome Linux"),
        (f"{MOZILLA} (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         "Firefox Linux"),
    ],
)  # fmt: skip
def test_browsers_in_use_are_named(user_agent, expected):
    browser, system = expected.split("," if "," in expected else " ")
    assert families(user_agent) == (browser, system)


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "curl/8.0",
        "python-httpx/0.28",
        "x" * 10_000,
        "\0\ud800",
        "Mozilla/5.0 (" + "; " * 5_000,
        "Your-bank-says-call-0800-123bot/1.0",
        "Mozilla/5.0 CallNow0800Bot/2.0",
    ],
)
def test_what_is_no_known_browser_has_no_name(user_agent):
    assert families(user_agent) == ("", "")


def test_only_the_beginning_is_read():
    assert families("x" * USER_AGENT_MAX + " Firefox/140.0") == ("", "")


@given(st.text(max_size=60) | st.from_regex(r"(Mozilla/5\.0 )?\(?[\w ;./]{0,40}\)? \w+/\d\.\d"))
def test_no_header_writes_a_name_of_its_own(user_agent):
    browser, system = families(user_agent)
    assert browser in {*BROWSERS.values(), ""}
    assert system in {*SYSTEMS.values(), ""}


def test_every_name_that_is_told_is_a_family_of_the_library():
    from ua_parser import load_builtins

    browsers, systems, _devices = load_builtins()
    # A matcher without a fixed family takes it out of the header.
    known = {matcher.family for matcher in (*browsers, *systems)}  # type: ignore[attr-defined]
    taken_from_header = {
        "Android", "Brave", "Chrome", "Chromium", "Debian", "Edge", "Fedora", "FreeBSD",
        "Firefox", "HeadlessChrome", "Linux", "OpenBSD", "Opera", "Ubuntu", "Vivaldi", "Windows",
        "iOS",
    }  # fmt: skip
    assert {*BROWSERS, *SYSTEMS} - known <= taken_from_header


def test_what_headers_are_read_with_is_made_once(monkeypatch):
    agent = f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    families(agent)
    monkeypatch.setattr(ua_parser, "load_lazy_builtins", None)
    assert families(agent) == ("Firefox", "Linux")
