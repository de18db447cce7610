"""The phone page in the name of a service, from the page's own source."""

from pathlib import Path

import pytest

from gateway.http.site.branding import OURS, Branding, read_logo
from gateway.http.site.phone import in_name_of

SOURCE = Path(__file__).parents[4] / "web/src/index.html"
LOGO = read_logo(b"<svg xmlns='http://www.w3.org/2000/svg'/>")


@pytest.fixture(scope="module")
def built() -> str:
    """The page as it is built."""
    html = SOURCE.read_text()
    for name in ("icon", "style", "preloads", "script"):
        html = html.replace(f"{{{name}}}", f"{name}-ABCD2345")
    return html


def named(branding: Branding, built: str, logo: str = "") -> str:
    return in_name_of(branding, built, logo=logo, style="site/phone.css")


def test_where_nothing_is_set_the_page_is_as_it_was_built(built):
    branding = Branding(OURS, "help@example.com", "Example Inc.", "1 High Street")
    assert named(branding, built) == built


def test_title_header_icon_and_colours_are_the_services(built):
    html = named(Branding("Example Calls", logo=LOGO), built, f"site/{LOGO.name}")
    assert "<title>Phone · Example Calls</title>" in html
    assert f'<link rel="icon" href="site/{LOGO.name}" />' in html
    mark = f'<img src="site/{LOGO.name}" alt="" />'
    assert f"<caller-app>{mark}<h1>Example Calls</h1></caller-app>" in html
    own, ours = html.index('href="site/phone.css"'), html.index("style-ABCD2345")
    assert ours < own < html.index("</head>")
    assert "Caller" not in html.replace("caller-app", "")


def test_without_a_logo_the_pages_own_icon_stands_beside_the_name(built):
    html = named(Branding("Example Calls"), built)
    assert '<link rel="icon" href="static/icon-ABCD2345" />' in html
    assert '<img src="static/icon-ABCD2345" alt="" /><h1>Example Calls</h1>' in html


def test_colours_alone_are_reason_enough_for_the_style_sheet(built):
    html = named(Branding(OURS, accents=("#7a1fa2", "#e2b6ff")), built)
    assert 'href="site/phone.css"' in html
    assert "<h1>Caller</h1>" in html


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("</title><script>x</script>", "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;"),
        ('A & "B"', "A &amp; &quot;B&quot;"),
        (r"\g<1>\1", r"\g&lt;1&gt;\1"),
    ],
)
def test_a_name_is_text_and_nothing_else(built, name, shown):
    html = named(Branding(name), built)
    assert f"<title>Phone · {shown}</title>" in html
    assert f"<h1>{shown}</h1>" in html
    assert html.count("<script") == built.count("<script")
