"""What other pages load: who may show a frame, and what each file is served with."""

import hashlib
from dataclasses import replace

import msgspec
import pytest

from gateway.buttons.frames import FRAME, LOADER, EmbedFiles, files_in
from gateway.settings_variables import from_mapping
from tests.gateway.buttons.shop import BUTTON, HOST, KEY, OWN, RULES, Shop

SETTINGS = from_mapping({"CALLER_PUBLIC_ORIGIN": OWN})
SCRIPT = b"export {}\n"


@pytest.fixture
def built(tmp_path):
    (tmp_path / LOADER).write_bytes(SCRIPT)
    (tmp_path / (LOADER + ".gz")).write_bytes(b"zipped")
    (tmp_path / FRAME).write_text("<!doctype html><title>Call</title>")
    return tmp_path


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def client(client_of, shop, built):
    return client_of(EmbedFiles(SETTINGS, shop.door, files_in(built)).routes())


def policy_of(reply):
    directives = reply.headers["content-security-policy"].split("; ")
    return {name: value for name, _, value in (each.partition(" ") for each in directives)}


async def test_a_frame_is_shown_by_the_pages_that_its_button_names(client, shop):
    reply = await client.get(f"/embed/{KEY}")
    assert (reply.status_code, reply.text) == (200, "<!doctype html><title>Call</title>")
    policy = policy_of(reply)
    assert policy["frame-ancestors"] == f"'self' {HOST}"
    assert policy["default-src"] == "'none'"
    assert not [value for value in policy.values() if "unsafe" in value or "*" in value]
    headers = reply.headers
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "private, no-cache"
    assert "microphone=(self)" in headers["permissions-policy"]
    assert "set-cookie" not in headers
    # Revalidated, it comes with the policy of now.
    other = msgspec.structs.replace(RULES, origins=())
    shop.buttons.by[KEY] = replace(BUTTON, rules=other)
    shop.epochs.epoch = "e2"
    again = await client.get(f"/embed/{KEY}", headers={"if-none-match": headers["etag"]})
    assert again.status_code == 304
    assert policy_of(again)["frame-ancestors"] == "'self'"


async def test_our_own_page_is_in_no_frame(client):
    reply = await client.get(f"/c/{KEY}")
    assert (reply.status_code, policy_of(reply)["frame-ancestors"]) == (200, "'none'")


async def test_the_loader_is_for_every_page_and_may_be_pinned(client):
    newest = await client.get("/embed/v1.js", headers={"accept-encoding": "identity"})
    pinned = f"/embed/v{hashlib.sha256(SCRIPT).hexdigest()[:8]}.js"
    fixed = await client.get(pinned, headers={"accept-encoding": "identity"})
    for reply in (newest, fixed):
        assert (reply.status_code, reply.content) == (200, SCRIPT)
        assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
    assert newest.headers["cache-control"] == "public, max-age=300"
    assert fixed.headers["cache-control"] == "public, max-age=31536000, immutable"
    # Of another release there is none: a key is looked for, and not found.
    assert (await client.get("/embed/v00000000.js")).status_code == 404


async def test_the_address_of_our_page_is_a_code(client):
    reply = await client.get(f"/c/{KEY}/qr.svg")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/svg+xml")
    assert reply.text.startswith("<svg")
    assert "script" not in reply.text


async def test_without_a_button_there_is_only_what_says_so(client):
    assert (await client.get("/c/pk_live_x/qr.svg")).status_code == 404
    for path, ancestors in (("/embed/pk_live_x", "*"), ("/c/pk_live_x", "'none'")):
        reply = await client.get(path)
        assert (reply.status_code, reply.text) == (404, "<!doctype html><title>Call</title>")
        assert policy_of(reply)["frame-ancestors"] == ancestors
        kept = {"if-none-match": reply.headers["etag"]}
        assert (await client.get(path, headers=kept)).status_code == 304


async def test_where_nothing_is_built_it_is_said(client_of, shop, tmp_path):
    client = client_of(EmbedFiles(SETTINGS, shop.door, files_in(tmp_path)).routes())
    for path in ("/embed/v1.js", f"/embed/{KEY}", f"/c/{KEY}"):
        reply = await client.get(path)
        assert reply.status_code == 503
        assert "not built" in reply.text
