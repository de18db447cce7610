"""What the pages show, and what a browser may do with them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

from simulators.mail import pages
from simulators.mail.mailbox import Mail
from simulators.mail.mime import Body

from .conftest import AT, HTML, SIGN_UP

EVIL = '"><script>alert(1)</script>'
MAIL = Mail(7, AT, "a@b.test", ("c@d.test", "e@f.test"), "Confirm", b"")


def test_the_list_leads_to_each_mail() -> None:
    html = pages.listing([MAIL, replace(MAIL, id=6, subject="")], SIGN_UP).html
    assert re.findall(r'href="/read/(\d+)"', html) == ["7", "6"]
    assert "c@d.test, e@f.test" in html
    assert '<time datetime="2026-11-24T12:00:05+00:00">2026-11-24 12:00:05 UTC</time>' in html
    assert "(no subject)" in html
    assert SIGN_UP not in html


def test_an_empty_list_says_where_a_mail_comes_from() -> None:
    html = pages.listing([], SIGN_UP).html
    assert f'No mails yet. Sign up at <a href="{SIGN_UP}">{SIGN_UP}</a>.' in html
    assert "<p>No mails yet.</p>" in pages.listing([], "").html


def test_a_mail_is_shown_as_html_in_a_frame_and_as_text() -> None:
    html = pages.reading(MAIL, Body("Hello.\n", HTML)).html
    frame = re.search(r"<iframe [^>]*>", html)
    assert frame is not None
    assert 'src="/read/7/html"' in frame[0]
    assert 'sandbox="allow-top-navigation-by-user-activation"' in frame[0]
    assert html.index("<iframe") < html.index("Hello.")
    assert "Confirm</a>" not in html


def test_only_what_a_mail_has_is_shown() -> None:
    assert "<iframe" not in pages.reading(MAIL, Body("Hello.", "")).html
    assert "<pre" not in pages.reading(MAIL, Body("", HTML)).html
    assert "(empty)" in pages.reading(MAIL, Body("", "")).html


def test_whatever_is_shown_is_escaped() -> None:
    mail = replace(MAIL, sender=EVIL, recipients=(EVIL,), subject=EVIL)
    shown = [
        pages.listing([mail], ""),
        pages.listing([], EVIL),
        pages.reading(mail, Body(EVIL, EVIL)),
        pages.message(EVIL, EVIL),
    ]
    for page in shown:
        assert "<script" not in page.html
        assert "alert(1)" in page.html


def test_a_page_may_load_its_style_and_the_frame_only() -> None:
    page = pages.listing([], "")
    style = re.search(r"<style>(.*)</style>", page.html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert page.policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )


def test_a_mails_own_html_runs_nothing_and_leads_the_whole_window() -> None:
    page = pages.framed(HTML)
    assert page.html == f'<!doctype html><base target="_top">{HTML}'
    assert page.policy == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'self';"
        " sandbox allow-top-navigation-by-user-activation"
    )
