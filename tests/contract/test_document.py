"""The grader can fail: each request and reply here has one thing wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_core.exceptions import OpenAPIError

from .conftest import ACCOUNT
from .document import Asked, Document, Json, examples_of

CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
CALL = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/CA{'a' * 32}.json"
ORDER = "To=%2B15005551000&From=%2B15005550006&Twiml=%3CResponse%2F%3E"
SUBSET = Path(__file__).parents[1] / "simulators/carrier/data/twilio_calls_subset.json"


def placed(form: str, **changes: str) -> Asked:
    return Asked("POST", CALLS, body=form.encode(), **changes)


@pytest.mark.parametrize(
    "asked",
    [
        placed(ORDER),
        placed(f"{ORDER}&StatusCallbackEvent=ringing&StatusCallbackEvent=answered"),
        placed(ORDER, content_type="application/x-www-form-urlencoded; charset=utf-8"),
        Asked("POST", CALL, body=b"Status=completed"),
        Asked("GET", CALLS, query="Status=busy&StartTime%3E=2024-11-29T00%3A09%3A39Z"),
    ],
)
def test_right_requests_pass(api: Document, asked: Asked) -> None:
    assert api.check_request(asked)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(placed(f"{ORDER}&Hello=1"), id="unknown field"),
        pytest.param(placed(f"{ORDER}&timeout=5"), id="field in the wrong case"),
        pytest.param(placed(f"{ORDER}&Hello="), id="unknown field without a value"),
        pytest.param(placed(f"{ORDER}&StatusCallbackMethod=PUT"), id="wrong word"),
        pytest.param(placed(f"{ORDER}&Timeout=soon"), id="no number"),
        pytest.param(placed(f"{ORDER}&StatusCallback=wss%3A%2F%2Fh%2F"), id="no web address"),
        pytest.param(placed(ORDER.replace("%2F%3E", "%3E")), id="broken TwiML"),
        pytest.param(placed(ORDER.replace("Response", "Answer")), id="no TwiML"),
        pytest.param(placed(ORDER.replace("%2B", "")), id="no phone number"),
        pytest.param(placed("To=%2B15005551000"), id="missing field"),
        pytest.param(placed(ORDER, content_type="application/json"), id="wrong media type"),
        pytest.param(placed(ORDER, authorization=""), id="no credentials"),
        pytest.param(placed(ORDER, query="PageSize=1"), id="another operation's parameter"),
        pytest.param(Asked("POST", CALL, body=b"Status=ended"), id="wrong word by reference"),
        pytest.param(Asked("GET", CALLS, query="Status=answered"), id="wrong word in the query"),
        pytest.param(Asked("GET", CALLS, query="StartTime%3E=yesterday"), id="no time"),
        pytest.param(Asked("GET", CALLS, query="Sort=asc"), id="unknown parameter"),
        pytest.param(Asked("GET", CALL.replace("/CA", "/MZ")), id="another thing's name"),
        pytest.param(Asked("PUT", CALLS), id="unknown method"),
        pytest.param(Asked("GET", "/2010-04-01/Accounts.json"), id="unknown path"),
    ],
)
def test_wrong_requests_are_caught(api: Document, asked: Asked) -> None:
    with pytest.raises(OpenAPIError):
        api.check_request(asked)


@pytest.fixture
def call(api: Document) -> Json:
    """The call that Twilio shows as the reply to a fetch."""
    _, body = next(examples_of(api.operation("GET", CALL)))
    return body


def check(api: Document, body: Json, status: int = 200) -> None:
    api.check_reply(Asked("GET", CALL), status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hello", 1),
        ("status", "answered"),
        ("sid", "MZ" + "a" * 32),
        ("date_created", "2010-08-31T20:36:28Z"),
        ("date_created", "yesterday"),
        ("duration", 15),
    ],
)
def test_wrong_values_in_a_reply_are_caught(
    api: Document, call: Json, name: str, value: object
) -> None:
    with pytest.raises(OpenAPIError):
        check(api, call | {name: value})


def test_a_reply_with_a_missing_field_is_caught(api: Document, call: Json) -> None:
    del call["uri"]
    with pytest.raises(OpenAPIError):
        check(api, call)


def test_a_reply_with_another_status_is_caught(api: Document, call: Json) -> None:
    with pytest.raises(OpenAPIError):
        check(api, call, status=201)


def test_twilios_own_examples_pass(api: Document, voice: Document, pricing: Document) -> None:
    """The grader asks for no more than Twilio gives."""
    shown = [(d, *example) for d in (api, voice, pricing) for example in d.examples()]
    assert len(shown) > 15
    for document, method, template, status, body in shown:
        path = re.sub(r"\{\w+\}", "x", template)
        document.check_reply(Asked(method, path), status, json.dumps(body).encode())


def test_the_committed_subset_says_what_twilio_says(whole_api: Json) -> None:
    """The part that is used without npm is a faithful copy, wording aside."""
    subset = json.loads(SUBSET.read_text("utf-8"))
    for path, item in subset["paths"].items():
        assert plain(item) == plain(whole_api["paths"][path])
    for name, schema in subset["components"]["schemas"].items():
        assert plain(schema) == plain(whole_api["components"]["schemas"][name])


def plain(node: Any) -> Any:
    """Return a part of a document without its prose."""
    if isinstance(node, dict):
        prose = isinstance(node.get("description"), str)
        return {k: plain(v) for k, v in node.items() if not (prose and k == "description")}
    return [plain(child) for child in node] if isinstance(node, list) else node
