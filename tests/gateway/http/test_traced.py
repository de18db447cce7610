"""Requests for call tokens begin traces, if they are about a call; no other request does."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from gateway.calls.traced_tokens import REQUEST
from gateway.errors import RequestRefusedError
from gateway.http.access import Access, DeclaredRoute
from gateway.http.app import create_app
from gateway.http.operation import ApiRoute, Operation
from gateway.logs import call_events
from gateway.telemetry.spans import TOKEN, VISITOR_TOKEN
from gateway.telemetry.tracer import Tracer

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATH, BUTTON = "/v1/call-tokens", "/v1/embed/pk_live_1/call-tokens"


async def answer(request):
    """Do as the body says."""
    what = (await request.body()).decode()
    traced = REQUEST.get()
    if what == "refuse":
        call_events.refused("insufficient_credit", node="n1", account="alice")
        raise RequestRefusedError("insufficient_credit")
    if what == "fail":
        raise RuntimeError("ours")
    if what == "issue" and traced is not None:
        return PlainTextResponse(traced.issued("US"), 201)
    return PlainTextResponse("")


def route(method, path):
    how = {"answers": (), "status": 200}
    declared = Operation(
        name="answer", text="", method=method, path=path, needs=Access.PUBLIC, **how
    )
    return ApiRoute(answer, declared)


class App:
    def __init__(self, ratio=1.0):
        self.ended = []
        paths = (PATH, "/v1/embed/{key}/call-tokens", "/v1/quotes")
        routes = [route("POST", path) for path in paths]
        routes.append(route("GET", PATH))
        routes.append(DeclaredRoute("/call-tokens", answer, Access.PUBLIC, method="POST"))
        self.app = create_app(routes, tracer=Tracer(self.ended.append, ratio=ratio))

    async def ask(self, what, path=PATH, headers=(), method="POST"):
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            return await client.request(method, path, content=what, headers=list(headers))


@pytest.fixture
def app():
    return App()


async def test_a_token_takes_the_trace_of_its_request_along(app):
    reply = await app.ask("issue", headers=[("traceparent", GIVEN)])
    (span,) = app.ended
    assert span.name == TOKEN
    assert reply.text == f"00-{GIVEN[3:35]}-{span.span_id.hex()}-01"
    assert span.parent_id.hex() == GIVEN[36:52]
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": PATH,
        "http.response.status_code": 201,
        "caller.country": "US",
    }


@pytest.mark.parametrize("headers", [[], [("traceparent", GIVEN)] * 2, [("traceparent", "é")]])
async def test_without_one_good_header_a_trace_begins(app, headers):
    await app.ask("issue", headers=[(name, value.encode()) for name, value in headers])
    (span,) = app.ended
    assert span.parent_id == b""
    assert span.trace_id.hex() != GIVEN[3:35]


async def test_a_visitor_begins_a_trace_and_continues_none(app):
    await app.ask("issue", BUTTON, [("traceparent", GIVEN)])
    (span,) = app.ended
    assert (span.name, span.parent_id) == (VISITOR_TOKEN, b"")
    # Never the key that is in the address.
    assert span.attributes["http.route"] == "/v1/embed/{key}/call-tokens"


async def test_a_refused_call_says_why(app):
    reply = await app.ask("refuse")
    (span,) = app.ended
    assert span.attributes["caller.refusal"] == "insufficient_credit"
    assert span.attributes["http.response.status_code"] == reply.status_code == 402
    assert call_events.ON_REFUSAL.get() is None


@pytest.mark.parametrize(
    ("what", "path", "method"),
    [
        ("", PATH, "POST"),
        ("fail", PATH, "POST"),
        ("issue", PATH, "GET"),
        ("refuse", "/v1/quotes", "POST"),
        ("refuse", "/call-tokens", "POST"),
        ("refuse", "/v1/embed/call-tokens", "POST"),
        ("refuse", PATH + "/", "POST"),
    ],
)
async def test_what_is_about_no_call_leaves_no_span(app, what, path, method):
    await app.ask(what, path, method=method)
    assert app.ended == []


async def test_what_the_ratio_leaves_out_is_answered_as_ever():
    app = App(ratio=0.0)
    assert (await app.ask("issue")).status_code == 200
    assert (await app.ask("refuse")).status_code == 402
    assert app.ended == []


async def test_a_request_that_is_begun_within_another_ones_context_is_its_own():
    """As servers begin those that were pipelined."""
    app = App(ratio=0.0)
    request = Tracer(app.ended.append, ratio=1.0).request((), TOKEN)
    of_request = REQUEST.set(request)
    of_refusal = call_events.ON_REFUSAL.set(request.refused)
    try:
        assert (await app.ask("issue")).text == ""
        await app.ask("refuse")
    finally:
        REQUEST.reset(of_request)
        call_events.ON_REFUSAL.reset(of_refusal)
    request.answered(PATH, 201)
    assert app.ended == []
