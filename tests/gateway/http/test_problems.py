"""The table of problems is complete, and each is reported the same way."""

import ast
from functools import cache
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import gateway
from billing import errors as billing_errors
from database.errors import StoreUnavailableError
from gateway import errors
from gateway.errors import RequestRefusedError, TooFastError
from gateway.http import problems
from gateway.http.access import public
from gateway.limits.velocity import LIMITS, LimitRefusal, refuse
from gateway.problems import PROBLEMS
from tests.trees import tree_of

SOURCES = [
    path for path in Path(gateway.__file__).parent.rglob("*.py") if "simulator" not in path.parts
]
LETTERS = "abcdefghijklmnopqrstuvwxyz_"


@cache
def codes_written():
    """Return every string in the gateway's code that is sent as a code, and where."""
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            for code in codes_of(node):
                found.setdefault(code, set()).add(path.name)
    return found


def codes_of(node):
    """Yield the codes that an expression tells."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in TELLING and node.args:
            yield from strings(node.args[0])
    elif isinstance(node, ast.FunctionDef) and node.name.strip("_") == "refusal":
        for inner in ast.walk(node):
            if isinstance(inner, ast.Return) and inner.value is not None:
                yield from strings(inner.value)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if ast.unparse(target) in ("REFUSALS", "_CODE_OF_STATUS"):
            for value in node.value.values:
                yield from strings(value)


TELLING = {
    "RequestRefusedError",
    "refuse",
    "problem",
    "_send_error",
    "_refuse_hold",
    "_refuse_and_void",
}


def strings(node):
    """Yield the strings among the outcomes of an expression."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and node.value and set(node.value) <= set(LETTERS):
            yield node.value
    elif isinstance(node, ast.IfExp):
        yield from strings(node.body)
        yield from strings(node.orelse)


def raised():
    """Return the codes of errors that reach a peer by their class."""
    return {errors.PeerProtocolError.code, StoreUnavailableError.code}


def test_every_code_that_is_told_is_in_the_table():
    unknown = {c: places for c, places in codes_written().items() if c not in PROBLEMS}
    assert unknown == {}
    assert raised() <= set(PROBLEMS)


def test_every_row_of_the_table_is_told_somewhere():
    limited = {limit.code for limit in LIMITS.values()}
    assert set(PROBLEMS) - set(codes_written()) - raised() - limited == set()


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_row_speaks_to_programs_and_to_people(code):
    row = PROBLEMS[code]
    assert 400 <= row.status <= 599
    assert row.message.endswith(".")
    assert row.action.endswith(".")
    assert row.close_code in (1008, 1009, 1011, 1012, 1013, 4400, 4429)
    assert row.retry or row.status not in (429, 503) or code == "message_flood"


@pytest.mark.parametrize("code", PROBLEMS)
async def test_a_problem_is_told_as_rfc_9457_says(client_of, code):
    async def refuse(_request):
        raise RequestRefusedError(code, field="codec")

    async with client_of(route("/", refuse)) as client:
        reply = await client.get("/")
    row = PROBLEMS[code]
    assert reply.status_code == row.status
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json()
    assert body["type"] == f"urn:caller:problem:{code}"
    assert (body["code"], body["status"], body["field"]) == (code, row.status, "codec")
    assert (body["title"], body["action"], body["retry"]) == (row.message, row.action, row.retry)
    assert ("retry-after" in reply.headers) == (row.status in (429, 503))
    assert ("www-authenticate" in reply.headers) == (row.status == 401)


def route(path, endpoint):
    return [public(path, endpoint)]


def test_a_problem_without_a_field_names_none():
    assert b"field" not in problems.problem("not_found").body


def test_headers_of_our_own_win():
    reply = problems.problem("gateway_full", headers={"Retry-After": "60"})
    assert reply.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/here", 405, "method_not_allowed"),
    ],
)
async def test_what_the_router_refuses_is_a_problem_too(client_of, method, path, status, code):
    async with client_of(route("/here", lambda _: None)) as client:
        reply = await client.request(method, path)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    if status == 405:
        assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailableError("away"), 503, "store_unavailable"),
        (billing_errors.MoneyError("secret detail"), 500, "internal_error"),
        (ZeroDivisionError("secret detail"), 500, "internal_error"),
    ],
)
async def test_a_failure_says_nothing_of_its_insides(client_of, error, status, code):
    async def fail(_request):
        raise error

    async with client_of(route("/", fail)) as client:
        with capture_logs() as logs:
            reply = await client.get("/")
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert "secret" not in reply.text
    is_logged = code == "internal_error"
    assert ("request failed" in {line["event"] for line in logs}) == is_logged


@pytest.mark.parametrize("limit", LIMITS.values(), ids=lambda limit: limit.name)
async def test_a_rate_that_was_too_high_says_which_and_when_again(limit):
    with pytest.raises(TooFastError) as refused:
        refuse(LimitRefusal(limit, 7))
    reply = await problems.on_refusal(None, refused.value)
    assert reply.headers["retry-after"] == "7"
    if limit.outweighed_by:
        assert "ratelimit" not in reply.headers
    else:
        assert reply.headers["ratelimit"] == f'"{limit.name}";r=0;t=7'
        policy = f'"{limit.name}";q={limit.amount};w={limit.window_s}'
        assert reply.headers["ratelimit-policy"] == policy
