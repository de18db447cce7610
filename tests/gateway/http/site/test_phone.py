"""The phone and the page of live calls in the name of a service, from their own sources."""

import json
import struct
from pathlib import Path

import pytest

from gateway.http.site.branding import OURS, Branding, read_logo
from gateway.http.site.phone import in_name_of, manifest_of, with_welcome

SOURCE = Path(__file__).parents[4] / "web/src/index.html"
LIVE_SOURCE = SOURCE.with_name("live") / "live.html"
MANIFEST = SOURCE.with_name("installed").joinpath("manifest.json").read_text()
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


def test_the_page_of_live_calls_is_the_services_too():
    html = named(Branding("Example Calls"), LIVE_SOURCE.read_text())
    assert "<title>Live calls · Example Calls</title>" in html
    assert '<live-app><img src="static/{icon}" alt="" /><h1>Example Calls</h1></live-app>' in html
    assert 'href="site/phone.css"' in html
    assert "Caller" not in html


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


def installed(branding: Branding) -> dict[str, object]:
    logo = f"site/{branding.logo.name}" if branding.logo else ""
    return json.loads(manifest_of(branding, MANIFEST, logo=logo))


def png(width: int, height: int) -> bytes:
    """Return as much of a picture as says how large it is."""
    return b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\x0dIHDR" + struct.pack(">II", width, height)


def test_manifest_is_in_the_name_of_the_service():
    members = installed(Branding("Exämple"))
    assert (members["name"], members["short_name"]) == ("Exämple", "Exämple")
    assert members["icons"] == json.loads(MANIFEST)["icons"]


def test_a_name_that_is_too_long_for_a_home_screen_is_shortened_by_who_knows_how_much_fits():
    members = installed(Branding("Example Telephones"))
    assert members["name"] == "Example Telephones"
    assert "short_name" not in members


def test_numbers_come_to_an_installed_phone_in_the_fragment_which_no_proxy_sees():
    assert installed(Branding(OURS))["protocol_handlers"] == [
        {"protocol": "tel", "url": "./#to=%s"}
    ]


def test_a_logo_is_the_icon_where_a_system_takes_it():
    assert installed(Branding("A", logo=LOGO))["icons"] == [
        {"src": f"site/{LOGO.name}", "sizes": "any", "type": "image/svg+xml"}
    ]
    square = read_logo(png(256, 256))
    assert installed(Branding("A", logo=square))["icons"] == [
        {"src": f"site/{square.name}", "sizes": "256x256", "type": "image/png"}
    ]


@pytest.mark.parametrize(("width", "height"), [(143, 143), (512, 256), (0, 0)])
def test_a_logo_of_another_shape_leaves_the_icons_as_they_are(width, height):
    members = installed(Branding("A", logo=read_logo(png(width, height))))
    assert members["icons"] == json.loads(MANIFEST)["icons"]


def test_who_is_not_known_is_sent_to_the_welcome_and_without_script_led_there(built):
    for html in (built, named(Branding("Example Calls"), built)):
        page = with_welcome(html, "welcome")
        assert page.count('<caller-app welcome="welcome">') == 1
        # Whoever is signed in is sent back from the one, and has the other.
        assert '<noscript><p><a href="welcome">Welcome</a> · <a href="account">' in page
