"""Pictures in SVG: what runs or fetches something is refused, what only shows itself is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.site.svg import fault_of, is_svg

_BEGIN = (
    "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"
    " xmlns:h='http://www.w3.org/1999/xhtml' xmlns:i='http://www.inkscape.org/namespaces/inkscape'>"
)


def picture(inside):
    return f"{_BEGIN}{inside}</svg>".encode()


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<path d='M0 0h1v1z' fill='#123456' style='stroke: url(#a)'/>",
        "<defs><linearGradient id='a'/></defs><rect fill='url(&quot;#a&quot;)'/>",
        "<use xlink:href='#a'/><use href=' #a'/>",
        "<image href='data:image/png;base64,iVBORw0KGgo='/>",
        "<style>.a { fill: #000 } .b { fill: url(#a) }</style>",
        "<i:namedview pagesize='1'/>",
        "<title>We call @home; on time</title><text>on</text>",
    ],
)
def test_what_only_shows_itself_is_served(inside):
    assert fault_of(picture(inside)) == ""


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("<script>alert(1)</script>", "<script>"),
        ("<g><SCRIPT/></g>", "<SCRIPT>"),
        ("<h:script/>", "<script>"),
        ("<h:p/>", "<p>"),
        ("<foreignObject/>", "<foreignObject>"),
        ("<a><set attributeName='href' to='javascript:1'/></a>", "<set>"),
        ("<animate attributeName='href'/>", "<animate>"),
        ("<iframe/>", "<iframe>"),
        ("<style>@\\69mport 'https://evil.example/a.css'</style>", "in a style"),
        ("<style>a { fill: image-set('https://evil.example/a.png' 1x) }</style>", "in a style"),
        ("<g onload='alert(1)'/>", "onload"),
        ("<g ONCLICK='1'/>", "onclick"),
        ("<g xml:base='https://evil.example/'/>", "xml:base"),
        ("<a href='javascript:alert(1)'/>", "by href"),
        ("<image xlink:href='https://evil.example/a.png'/>", "by href"),
        ("<image href='//evil.example/a.png'/>", "by href"),
        ("<image href='data:image/svg+xml;base64,PHN2Zy8+'/>", "by href"),
        ("<use href='other.svg#a'/>", "by href"),
        ("<g style='fill: url(https://evil.example/#a)'/>", "url()"),
        ("<g fill='URL( \"//evil.example\")'/>", "url()"),
        ("<style>@import 'https://evil.example';</style>", "in a style"),
        # A style sheet is all the text in its element, also what stands behind others.
        ("<style>a{}<title/>@import 'https://evil.example';</style>", "in a style"),
        ("<style><g>a{fill:url(//evil.example)}</g></style>", "url()"),
        ("<style>a{}<g/>b{fill:u\\72l(//evil.example)}</style>", "in a style"),
        ("<style>@im<!-- a -->port 'https://evil.example'</style>", "in a style"),
        ("<rect style='fill:url(#a);stroke:url(//evil.example)'/>", "url()"),
        ("<rect fill='url(#a) url( &quot;//evil.example&quot;)'/>", "url()"),
        ("<rect fill='\\75rl(//evil.example)'/>", "in a style"),
        ("<style>a { fill: u\\72l(https://evil.example) }</style>", "in a style"),
        ("<style>a { fill: url(https://evil.example) }</style>", "url()"),
    ],
)
def test_what_runs_or_fetches_something_is_told(inside, why):
    assert why in fault_of(picture(inside))


def test_a_style_sheet_of_elsewhere_is_told():
    sheet = b"<?xml-stylesheet href='https://evil.example/a.css'?>"
    assert fault_of(sheet + picture("")) == "refers to a style sheet"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_whatever_is_there_is_judged(content):
    assert not is_svg(content)
    with pytest.raises(ValueError, match="no SVG"):
        fault_of(content)
