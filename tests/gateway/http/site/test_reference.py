"""`/docs/api`: every operation with what it takes, an example that is right, and its refusals."""

import json
import re
import shlex

import jsonschema
import pytest

from gateway.http.api.document import read_document
from gateway.http.openapi import codes_of, operations
from gateway.http.site.reference import reference_page
from gateway.http.site.reference_pages import Field
from gateway.http.site.words import WORDS
from tests.gateway.http.site.conftest import ORIGIN

DOCUMENT = read_document()
PAGE = reference_page(DOCUMENT, ORIGIN)
ENTRIES = {entry.name: entry for _, entries in PAGE.groups for entry in entries}
OPERATIONS = {each.name: each for _, each in operations()}


def test_every_operation_is_there_with_every_refusal():
    assert ENTRIES.keys() == OPERATIONS.keys()
    for name, entry in ENTRIES.items():
        assert {each.code for each in entry.refusals} == set(codes_of(OPERATIONS[name])), name
        assert entry.status == str(OPERATIONS[name].status)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_example_is_a_request_that_the_document_allows(name):
    words = shlex.split(ENTRIES[name].example)
    told = DOCUMENT["paths"][OPERATIONS[name].path][OPERATIONS[name].method.lower()]
    assert (words[0], any(each.startswith(ORIGIN) for each in words)) == ("curl", True)
    assert ("Authorization: Bearer $KEY" in words) is bool(told["security"])
    if "requestBody" in told:
        body = json.loads(words[words.index("-d") + 1])
        schema = told["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate(body, {**schema, "components": DOCUMENT["components"]})


def test_every_shape_that_is_named_is_shown():
    shown = {shape.name for shape in PAGE.shapes}
    fields = [field for shape in PAGE.shapes for field in shape.fields]
    named = {field.shape for field in fields} | {
        shape for e in ENTRIES.values() for shape in e.answers
    }
    assert named - {""} <= shown
    assert {entry.body for entry in ENTRIES.values()} - {""} <= shown


def test_a_field_says_what_it_may_be():
    (limit, before) = ENTRIES["list_calls"].parameters
    bounds = "integer, at least 1, at most 200, default 50"
    assert limit == Field("limit", bounds, "", "How many at most.")
    assert before.kind == "string"
    fields = {
        field.name: field
        for shape in PAGE.shapes
        if shape.name == "CallView"
        for field in shape.fields
    }
    assert (fields["cost"].kind, fields["cost"].shape) == ("null or", "Money")
    assert fields["state"].kind == '"ended" or "live" or "settling"'
    assert fields["id"].is_needed


@pytest.mark.parametrize("language", WORDS)
async def test_the_page_is_shown_to_anybody_and_loads_nothing_of_others(site, language):
    headers = {"accept-language": language}
    first, second = [await site.client.get("/docs/api", headers=headers) for _ in range(2)]
    assert first.status_code == 200
    assert first.content == second.content
    assert first.headers["content-security-policy"] == second.headers["content-security-policy"]
    assert first.headers.get_list("content-type") == ["text/html; charset=utf-8"]
    assert f'<html lang="{language}">' in first.text
    assert "<script" not in first.text
    for name in OPERATIONS:
        assert f'id="{name}"' in first.text


async def test_what_it_links_to_is_there(site):
    text = (await site.get("/docs/api")).text
    anchors = set(re.findall(r'id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors
    pages = set(re.findall(r'href="(/[^"#]*)"', text)) - {"/", "/v1/openapi.json"}
    assert len(pages) > 4
    for path in pages:
        assert (await site.get(path)).status_code in (200, 303), path
