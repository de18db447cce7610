"""The document as programs get it."""

import json

import pytest

from gateway.http.api.document import DocumentApi, read_document
from gateway.openapi import document


@pytest.fixture
def client(client_of):
    return client_of(DocumentApi().routes())


async def test_it_is_the_one_of_this_release(client):
    reply = await client.get("/v1/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.json() == json.loads(json.dumps(document())) == read_document()


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}'])
async def test_who_has_it_is_told_so(client, known):
    etag = (await client.get("/v1/openapi.json")).headers["etag"]
    headers = {"if-none-match": known.format(etag)}
    reply = await client.get("/v1/openapi.json", headers=headers)
    assert (reply.status_code, reply.content, reply.headers["etag"]) == (304, b"", etag)


async def test_who_has_another_one_gets_it(client):
    reply = await client.get("/v1/openapi.json", headers={"if-none-match": '"other"'})
    assert reply.status_code == 200
