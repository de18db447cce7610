"""Requests, counted by route: whatever addresses are tried, there are only so many counts."""

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.responses import PlainTextResponse

from gateway.errors import RequestRefusedError
from gateway.http.access import Access, DeclaredRoute, public
from gateway.http.app import create_app
from gateway.http.metrics import RequestMeter


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
async def client(registry):
    async def show(_request):
        return PlainTextResponse("here")

    async def refuse(_request):
        raise RequestRefusedError("account_frozen")

    async def fail(_request):
        raise ValueError("a bug")

    routes = [
        public("/things/{thing}", show),
        DeclaredRoute("/frozen", refuse, Access.PUBLIC, method="POST"),
        public("/broken", fail),
    ]
    app = create_app(routes, meter=RequestMeter(registry))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def counted(registry):
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_count")
    }


def labels(route, method, status):
    return ("method", method), ("route", route), ("status", status)


async def test_answers_are_counted_by_route_method_and_kind_of_answer(client, registry):
    for thing in ("a", "b", "secret@example.com"):
        await client.get(f"/things/{thing}")
    await client.post("/frozen")
    await client.get("/broken")
    assert counted(registry) == {
        labels("/things/{thing}", "GET", "2xx"): 3,
        labels("/frozen", "POST", "4xx"): 1,
        labels("/broken", "GET", "5xx"): 1,
    }


async def test_whatever_is_no_route_is_one_count(client, registry):
    for number in range(20):
        await client.request(f"METHOD{number}", f"/wp-admin/{number}")
    assert counted(registry) == {labels("other", "other", "4xx"): 20}
