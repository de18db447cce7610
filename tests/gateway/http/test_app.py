"""The application applies the table of problems to whatever its routes raise."""

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from billing.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http.access import public
from gateway.http.app import create_app

RAISED = {
    "/refused": RequestRefusedError("call_not_found"),
    "/store": StoreUnavailableError("away"),
    "/http": HTTPException(413),
    "/odd": HTTPException(418),
    "/fault": RuntimeError("ours"),
}


async def endpoint(request):
    if request.url.path in RAISED:
        raise RAISED[request.url.path]
    return PlainTextResponse("served")


async def test_every_kind_of_failure_has_its_handler():
    app = create_app(public(path, endpoint) for path in [*RAISED, "/served"])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        codes = {path: (await client.get(path)).json()["code"] for path in RAISED}
        assert (await client.get("/served")).text == "served"
        assert (await client.get("/elsewhere")).json()["code"] == "not_found"
    assert codes == {
        "/refused": "call_not_found",
        "/store": "store_unavailable",
        "/http": "payload_too_large",
        "/odd": "bad_request",
        "/fault": "internal_error",
    }


async def test_a_route_that_does_not_declare_who_may_use_it_is_refused():
    with pytest.raises(TypeError, match="/open"):
        create_app([public("/", endpoint), Route("/open", endpoint)])
