"""The document says of each operation what it declares, in shapes that are JSON Schema."""

import json
import re
from typing import Any

import jsonschema
import pytest

from gateway.buttons.own_buttons import USAGE_DAYS
from gateway.http.access import Access
from gateway.http.operation import Once
from gateway.http.problems import problem
from gateway.openapi import codes_of, document, operations
from gateway.problems import PROBLEMS
from gateway.scopes import Scope
from gateway.webhooks.ports import REPLAYED_MAX, EndReason

DOCUMENT = document()
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = [each for _, each in operations()]


def told(operation):
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


def test_each_operation_has_a_name_of_its_own_and_stands_at_its_path():
    names = [each.name for each in OPERATIONS]
    assert len(set(names)) == len(names) > 60
    assert sum(map(len, DOCUMENT["paths"].values())) == len(names)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_an_operation_is_told_whole(operation):
    found = told(operation)
    assert (found["operationId"], found["summary"][-1]) == (operation.name, ".")
    is_open = operation.needs in (Access.VISITOR, Access.PUBLIC)
    scope = [operation.needs] if isinstance(operation.needs, Scope) else []
    assert found["security"] == ([] if is_open else [{"key": scope}])
    statuses = {str(PROBLEMS[code].status) for code in codes_of(operation)}
    assert found["responses"].keys() == {str(operation.status), *statuses}
    parameters = {(each["in"], each["name"]) for each in found.get("parameters", ())}
    assert {name for where, name in parameters if where == "path"} == {
        part[1:-1] for part in operation.path.split("/") if part.startswith("{")
    }
    assert (("header", "Idempotency-Key") in parameters) is (operation.once is not Once.NO)
    assert ("requestBody" in found) is (operation.body is not None)


@pytest.mark.parametrize(
    ("operation", "name", "pointer"),
    [(each, name, pointer) for each in OPERATIONS for name, pointer in each.gives.items()],
    ids=lambda each: getattr(each, "name", each),
)
def test_what_an_answer_gives_is_in_its_shape_and_leads_somewhere(operation, name, pointer):
    (answer,) = operation.answers
    found: dict[str, Any] = {"$ref": f"#/components/schemas/{answer.__name__}"}
    for part in pointer.split("/")[1:]:
        if "$ref" in found:
            found = SCHEMAS[found["$ref"].rpartition("/")[2]]
        found = found["items"] if part.isdigit() else found["properties"][part]
    assert found["type"] in ("string", "integer")
    links = told(operation)["responses"][str(operation.status)]["links"].values()
    assert f"$response.body#{pointer}" in [each["parameters"].get(name) for each in links]


def test_a_link_leads_to_what_the_answer_and_the_path_give():
    tested = DOCUMENT["paths"]["/v1/webhooks/{webhook_id}/test"]["post"]["responses"]["202"]
    parameters = {"webhook_id": "$request.path.webhook_id", "delivery_id": "$response.body#/id"}
    replay = {"operationId": "replay_webhook_delivery", "parameters": parameters}
    assert tested["links"] == {"replay_webhook_delivery": replay}


def test_operators_are_led_to_what_operators_do_and_others_to_what_they_do():
    def led_to(path):
        return DOCUMENT["paths"][path]["get"]["responses"]["200"]["links"].keys()

    assert led_to("/v1/live-calls") == {"show_call", "end_call", "give_feedback", "supervise_call"}
    assert led_to("/v1/admin/live-calls") == {"end_any_call", "supervise_any_call"}


def test_every_shape_is_a_schema_that_says_what_it_is():
    for name, schema in SCHEMAS.items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name


def test_fields_are_told_by_the_words_below_them_also_those_of_a_parent():
    fields = SCHEMAS["TokenReply"]["properties"]
    assert fields["affordable_seconds"]["description"].startswith("How long balance, spend caps")


def test_a_time_is_one_wherever_it_stands():
    fields = SCHEMAS["StateView"]["properties"]
    assert fields["created_at"]["format"] == "date-time"
    assert fields["locked_at"]["anyOf"] == [
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ]
    assert fields["lifted"]["additionalProperties"]["format"] == "date-time"


def test_what_a_request_may_have_is_no_shape():
    assert not {"PageAsked", "LinesAsked", "RateAsked"} & SCHEMAS.keys()
    (limit, before) = DOCUMENT["paths"]["/v1/ledger"]["get"]["parameters"]
    assert (limit["schema"]["maximum"], limit["required"]) == (200, False)
    assert before["schema"] == {"type": "string", "pattern": r"^(charge|credit):[^\u0000]+$"}


def parts_of(schema):
    """Yield all schemas that a schema is made of, whatever refers to them."""
    names, left = set(), [schema]
    while left:
        match left.pop():
            case {"$ref": name, **beside}:
                if name not in names:
                    names.add(name)
                    left.append(SCHEMAS[name.rpartition("/")[2]])
                left.append(beside)
            case dict(found):
                yield found
                left += found.values()
            case list(found):
                left += found


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.body], ids=lambda each: each.name
)
def test_a_body_takes_nothing_that_it_does_not_name_however_deep(operation):
    body = told(operation)["requestBody"]["content"]["application/json"]["schema"]
    for part in parts_of(body):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False, part["title"]
        if (items := part.get("prefixItems")) is not None:
            # Else what comes after the last of them is dropped.
            assert part["maxItems"] == len(items), part


def words_of(told):
    """Yield all text for people in a part of the document."""
    for name, part in told.items() if isinstance(told, dict) else enumerate(told):
        if name in ("summary", "description") and isinstance(part, str):
            yield part
        elif isinstance(part, dict | list):
            yield from words_of(part)


def test_nothing_is_told_by_a_name_of_the_source():
    for words in words_of(DOCUMENT):
        assert not re.search(r"`\w+(\.\w+)*\.[A-Z]\w*`|\b(?!CALLER_)[A-Z]+_[A-Z_]+\b", words), words
    replay = DOCUMENT["paths"]["/v1/webhooks/{webhook_id}/replay"]["post"]["summary"]
    assert f"{REPLAYED_MAX:,}" in replay
    for name in ("ButtonView", "OneButtonView"):
        assert f" {USAGE_DAYS}," in SCHEMAS[name]["properties"]["usage"]["description"]
    why = SCHEMAS["WebhookView"]["properties"]["disabled_why"]["description"]
    of_deliveries = {
        EndReason.DISABLED,
        EndReason.TOO_MANY,
        EndReason.TOO_LONG,
        EndReason.FORGOTTEN,
    }
    assert {each for each in EndReason if f"`{each}`" in why} == set(EndReason) - of_deliveries


@pytest.mark.parametrize("code", PROBLEMS)
def test_each_problem_is_of_the_shape_of_problems(code):
    reply = problem(code, field="amount", scope="calls")
    schema = {"$ref": "#/components/schemas/Problem", "components": DOCUMENT["components"]}
    jsonschema.validate(json.loads(reply.body), schema)
    assert reply.status_code == PROBLEMS[code].status


def test_what_may_be_tried_again_says_when():
    refused = DOCUMENT["components"]["responses"]["rate_limited"]
    assert refused["headers"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 1}


@pytest.mark.parametrize("path", ["/v1/live-feed", "/v1/admin/live-feed"])
def test_a_stream_tells_the_shape_of_each_of_its_events(path):
    answer = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    assert answer["schema"] == {"type": "string"}
    assert answer["x-events"] == {
        name: {"$ref": f"#/components/schemas/{shape}"}
        for name, shape in (
            ("snapshot", "FeedSnapshot"),
            ("delta", "FeedDelta"),
            ("end", "FeedEnd"),
        )
    }
