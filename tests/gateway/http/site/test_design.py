"""`/design`: where it is, what it loads, and that it leads nowhere else."""

from __future__ import annotations

import re

import httpx
import pytest

from gateway.http.app import create_app
from gateway.http.site.design import DesignPages
from gateway.http.site.words import WORDS
from tests.gateway.http.site.conftest import Site

BUILT = (
    '{"script":"design-A.js","phone":["page-A.css"],"frame":["style-A.css"],"icon":"icon-A.svg"}'
)


def browser_of(static_dir):
    """Return a browser in front of these pages, as built into a folder."""
    site = Site()
    routes = DesignPages(site.door, static_dir, "pk_test_" + "a" * 24).routes()
    app = create_app(routes, show_missing=site.door.show_missing)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://site.test")


@pytest.fixture
def client(tmp_path):
    (tmp_path / "design.json").write_text(BUILT)
    return browser_of(tmp_path)


@pytest.mark.parametrize("language", WORDS)
async def test_every_element_of_the_pages_is_there_in_every_language(client, language):
    reply = await client.get("/design", headers={"accept-language": language})
    assert reply.status_code == 200
    for part in ("error", "summary", "said", "notice", "plain", "second", "tag", "rows", "facts"):
        assert re.search(rf'class="[^"]*\b{part}\b', reply.text), part
    for tag in ("table", "select", "details", "fieldset", "caller-button"):
        assert f"<{tag}" in reply.text, tag
    assert reply.text.count('aria-invalid="true"') == 3
    assert 'src="/static/design-A.js"' in reply.text


@pytest.mark.parametrize(("kind", "style"), [("phone", "page-A.css"), ("frame", "style-A.css")])
async def test_a_specimen_loads_what_the_element_itself_loads(client, kind, style):
    reply = await client.get(f"/design/{kind}")
    assert f'data-specimens="{kind}"' in reply.text
    assert f'href="/static/{style}"' in reply.text
    assert "frame-ancestors 'self'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]


async def test_there_is_none_where_nothing_is_built(tmp_path):
    assert (await browser_of(tmp_path).get("/design")).status_code == 404


async def test_there_is_none_where_it_is_not_asked_for(site):
    for path in ("/design", "/design/phone", "/design/frame"):
        assert (await site.get(path)).status_code == 404
