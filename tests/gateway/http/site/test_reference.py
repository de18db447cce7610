"""`/docs/api`: every operation with what it takes, an example that is right, and its refusals."""

import json
import re
import shlex

import jsonschema
import pytest

from gateway.http.api.document import read_document
from gateway.http.site.reference import Reader
from gateway.http.site.reference_pages import Field
from gateway.http.site.words import WORDS
from gateway.openapi import codes_of, operations
from tests.gateway.http.site.conftest import ORIGIN

DOCUMENT = read_document()
READER = Reader(DOCUMENT)
OPERATIONS = {each.name: each for _, each in operations()}
PAGES = {name: READER.page(name, ORIGIN) for name in OPERATIONS}
ENTRIES = {name: page.entry for name, page in PAGES.items()}


def test_every_operation_is_there_with_every_refusal():
    listed = [line.name for _, lines in READER.index().groups for line in lines]
    assert sorted(listed) == sorted(OPERATIONS)
    for name, entry in ENTRIES.items():
        assert {each.code for each in entry.refusals} == set(codes_of(OPERATIONS[name])), name
        assert entry.status == str(OPERATIONS[name].status)
    assert READER.page("nothing", ORIGIN) is None


def test_a_stream_shows_its_events_and_what_they_are_made_of():
    shown = [shape.name for shape in PAGES["watch_live_calls"].shapes]
    assert shown[:3] == ["FeedSnapshot", "FeedDelta", "FeedEnd"]
    assert "CallRow" in shown


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_example_is_a_request_that_the_document_allows(name):
    words = shlex.split(ENTRIES[name].example.replace("\\\n", ""))
    told = DOCUMENT["paths"][OPERATIONS[name].path][OPERATIONS[name].method.lower()]
    assert (words[0], any(each.startswith(ORIGIN) for each in words)) == ("curl", True)
    assert ("Authorization: Bearer $KEY" in words) is bool(told["security"])
    if "requestBody" in told:
        body = json.loads(words[words.index("-d") + 1])
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(body, {**schema, "components": DOCUMENT["components"]})


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_shape_that_is_named_is_shown_below(page):
    shown = {shape.name for shape in page.shapes}
    named = {field.shape for shape in page.shapes for field in shape.fields}
    assert {page.entry.body, *page.entry.answers, *named} - {""} == shown


def test_a_page_leads_to_what_can_be_asked_with_the_answer():
    assert ENTRIES["test_webhook"].links == ["replay_webhook_delivery"]
    assert {"show_button", "delete_button"} <= {*ENTRIES["make_button"].links}
    assert ENTRIES["delete_button"].links == []


def test_a_field_says_what_it_may_be():
    (limit, before) = ENTRIES["list_calls"].parameters
    bounds = "integer, at least 1, at most 200, default 50"
    assert limit == Field("limit", bounds, "", "How many at most.")
    assert before.kind == "string"
    fields = {field.name: field for field in PAGES["show_call"].shapes[0].fields}
    assert (fields["cost"].kind, fields["cost"].shape) == ("null or", "Money")
    assert fields["state"].kind == '"ended" or "live" or "settling"'
    assert fields["id"].is_needed


@pytest.mark.parametrize("language", WORDS)
async def test_the_pages_are_shown_to_anybody_and_load_nothing_of_others(site, language):
    headers = {"accept-language": language}
    for path in ("/docs/api", "/docs/api/make_button"):
        reply = await site.client.get(path, headers=headers)
        assert reply.status_code == 200
        assert f'<html lang="{language}">' in reply.text
        assert "<script" not in reply.text
    assert (await site.get("/docs/api/nothing")).status_code == 404


@pytest.mark.parametrize("name", ["", *OPERATIONS])
async def test_a_page_is_small_and_what_it_links_to_is_there(site, name):
    text = (await site.get(f"/docs/api/{name}".rstrip("/"))).text
    assert len(text) < 20_000
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))
    pages = set(re.findall(r'href="(/[^"#]*)"', text)) - {"/", "/v1/openapi.json"}
    assert len(pages) > (len(OPERATIONS) if not name else 3)
    for path in pages:
        assert (await site.get(path)).status_code in (200, 303), path


async def test_code_in_the_words_is_shown_as_code(site):
    page = await site.get("/docs/api")
    assert "`" not in page.text
    assert "<code>Authorization: Bearer &lt;api key&gt;</code>" in page.text
