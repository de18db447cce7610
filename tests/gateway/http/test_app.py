"""The application applies the table of problems to whatever its routes raise."""

import json

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from database.errors import StoreUnavailableError
from gateway.errors import RequestRefusedError
from gateway.http.access import Access, DeclaredRoute, public
from gateway.http.app import create_app
from gateway.http.body import read_body

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


async def keeps(_request):
    return PlainTextResponse("kept", headers={"Cache-Control": "public, max-age=60"})


async def reads(request):
    return PlainTextResponse(await read_body(request, 10))


async def breaks_down(_request):
    async def parts():
        yield b"half"
        raise RuntimeError("ours")

    return StreamingResponse(parts())


APP = create_app(
    [
        *(public(path, endpoint) for path in [*RAISED, "/served", "/folder/"]),
        public("/kept", keeps),
        DeclaredRoute("/read", reads, Access.PUBLIC, method="POST"),
        public("/half", breaks_down),
    ]
)


@pytest.fixture
async def client():
    transport = httpx.ASGITransport(APP, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_every_kind_of_failure_has_its_handler(client):
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


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("path", [*RAISED, "/served", "/elsewhere", "/folder", "/served/"])
async def test_no_answer_is_kept_or_taken_for_a_page(client, method, path):
    reply = await client.request(method, path)
    assert reply.headers.get_list("cache-control") == ["no-store"]
    assert reply.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_an_answer_that_may_be_kept_says_so_itself(client):
    reply = await client.get("/kept")
    assert reply.headers.get_list("cache-control") == ["public, max-age=60"]
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/served/", "/folder"])
async def test_nobody_is_sent_to_another_host(client, path):
    reply = await client.get(path, headers={"Host": "evil.example"})
    assert reply.status_code == 404
    assert "evil" not in str(reply.headers) + reply.text


async def served(path, *parts, method="POST"):
    """Answer a request whose body arrives in these parts, and is then broken off."""
    left, sent = list(parts), []

    async def receive():
        if left:
            return {"type": "http.request", "body": left.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": []}
    await APP(scope, receive, send)
    return sent


@pytest.mark.parametrize("parts", [[], [b""], [b"{", b"a"]])
async def test_a_request_that_is_broken_off_is_a_line_for_who_looks_for_it(parts):
    with capture_logs() as logs:
        assert await served("/read", *parts) == []
    assert logs == [{"event": "request broken off", "log_level": "debug"}]


async def test_a_fault_is_logged_once_and_answered():
    with capture_logs() as logs:
        sent = await served("/fault", method="GET")
    assert json.loads(sent[-1]["body"])["code"] == "internal_error"
    assert logs == [{"event": "request failed", "exc_info": True, "log_level": "error"}]


async def test_half_an_answer_is_left_to_the_server_to_break_off():
    with capture_logs() as logs, pytest.raises(RuntimeError):
        await served("/half", method="GET")
    assert logs == []


async def test_a_route_that_does_not_declare_who_may_use_it_is_refused():
    with pytest.raises(TypeError, match="/open"):
        create_app([public("/", endpoint), Route("/open", endpoint)])  # type: ignore[list-item]


async def test_a_method_that_is_not_there_is_told_those_that_are():
    routes = [
        DeclaredRoute("/kept", keeps, Access.PUBLIC, method=method) for method in ("GET", "PUT")
    ]
    transport = httpx.ASGITransport(create_app(routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.delete("/kept")
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, PUT"


def test_a_route_of_the_api_declares_its_operation():
    with pytest.raises(TypeError, match="declares no operation"):
        create_app([public("/v1/kept", keeps)])
