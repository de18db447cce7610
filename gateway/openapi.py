"""Makes the OpenAPI 3.1 document of `/v1` from what its operations declare.

Shapes are those that msgspec decodes and encodes by: their JSON Schema is of OpenAPI's own dialect.
Reads docstrings from the sources, so that it runs where the package is built and not in a node:
`python -m gateway.openapi` writes it to standard output.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import cleandoc, getsource
from textwrap import dedent
from typing import Any, Final

import msgspec
from msgspec import inspect as shapes

from gateway.apps import APPS
from gateway.http.access import Access
from gateway.http.admin_routes import ACCOUNT
from gateway.http.api.document import DocumentApi
from gateway.http.api.rates import RatesApi
from gateway.http.idempotency import HEADER, PATTERN
from gateway.http.operation import JSON, Once, Operation, operations_of
from gateway.http.problems import ProblemBody
from gateway.problems import PROBLEMS
from gateway.scopes import Scope

_OWN: Final[Mapping[str, tuple[type, ...]]] = {
    "Calls": (RatesApi,),
    "This document": (DocumentApi,),
}
"""Classes that serve operations and are part of no app."""
_LAST: Final = "Administration"


def _groups() -> Mapping[str, tuple[type, ...]]:
    groups: dict[str, tuple[type, ...]] = {}
    for apis in (*(app.apis() for app in APPS), _OWN):
        for heading, classes in apis.items():
            groups[heading] = (*groups.get(heading, ()), *classes)
    # What operators do is read by the fewest.
    groups[_LAST] = groups.pop(_LAST)
    return groups


GROUPS: Final = _groups()
"""Every class that serves operations, under the heading of its group."""

_REF: Final = "#/components/schemas/{name}"
_ANYBODY: Final = ("internal_error",)
_ASKING: Final = ("bad_request", "rate_limited", "store_unavailable")
_KEY_HOLDERS: Final = ("unauthorized", "two_credentials", "cross_origin", "account_frozen")
_PROBLEM_JSON: Final = "application/problem+json"
_WITH_WAIT: Final = frozenset({429, 503})
_PATH_WORDS: Final = {
    "account_id": "Id of the account.",
    "button_id": "Id of the button.",
    "delivery_id": "Id of the delivery.",
    "webhook_id": "Id of the webhook.",
    "call_id": "Id of the call.",
    "key": "The button's publishable key.",
    "node": "Id of the node, its CALLER_NODE.",
    "number": "Number of the request.",
    "payment_id": "Id of the payment.",
}

_INTRODUCTION: Final = (
    "Every request needs `Authorization: Bearer <api key>` with a key that has the scope that it"
    " names, but for those of visitors of buttons: they name the button's publishable key."
    " Refusals are `application/problem+json` (RFC 9457): programs go by `code`. Answers may get"
    " more fields, and refusals more codes: ignore what you do not know."
)

_ONCE_WORDS: Final = (
    "Any text of your own, new for each thing that is to be made: the same one again makes nothing"
    " more, and answers with what it made. With another body it is refused for a day."
)


def operations() -> Iterator[tuple[str, Operation]]:
    """Yield all operations, each with the group that it belongs to."""
    for group, apis in GROUPS.items():
        for api in apis:
            for each in operations_of(api):
                yield group, each


def document() -> dict[str, Any]:
    """Return the document of all operations."""
    listed = list(operations())
    schemas, components = _schemas(_types(each for _, each in listed))
    paths: dict[str, dict[str, Any]] = {}
    alone: dict[str, Any] = {}
    for group, each in listed:
        paths.setdefault(each.path, {})[each.method.lower()] = {
            "operationId": each.name,
            "tags": [group],
            **_words(each),
            **_security(each),
            **_asked(each, schemas, components),
            "responses": {**_answer(each, schemas, _links(each, listed)), **_refusals(each, alone)},
        }
    for query in {each.query for _, each in listed} - {None}:
        del components[query.__name__]
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "Caller", "version": "1", "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in GROUPS],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": dict(sorted(alone.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def codes_of(operation: Operation) -> Sequence[str]:
    """Return the codes of all problems that an operation may answer, each once."""
    codes = [*_ANYBODY, *operation.problems]
    if operation.needs is Access.PUBLIC:
        return codes
    codes += _ASKING
    if operation.needs is Access.VISITOR:
        codes += ["button_not_found"]
        codes += ["bad_origin"] if operation.has_body else []
    else:
        codes += _KEY_HOLDERS
        codes += ["scope_missing"] if isinstance(operation.needs, Scope) else []
        codes += ["terms_changed"] if operation.has_body and not operation.before_terms else []
        codes += ["step_up_needed"] if operation.step_up else []
    if operation.needs is Scope.ADMIN:
        codes += ["network_refused"]
        codes += ["account_not_found"] if operation.path.startswith(ACCOUNT) else []
    codes += ["idempotency_key_reused"] if operation.once is not Once.NO else []
    codes += ["payload_too_large"] if operation.has_body else []
    codes += ["not_found"] if operation.path_parameters else []
    return list(dict.fromkeys(codes))


def _words(operation: Operation) -> dict[str, Any]:
    summary, _, rest = operation.text.partition("\n\n")
    words = {"summary": _in_one_line(summary)}
    if rest:
        words["description"] = _in_one_line(rest)
    return words


def _security(operation: Operation) -> dict[str, Any]:
    if operation.needs in (Access.VISITOR, Access.PUBLIC):
        return {"security": []}
    scopes = [operation.needs.value] if isinstance(operation.needs, Scope) else []
    return {"security": [{"key": scopes}]}


def _asked(
    operation: Operation, schemas: Mapping[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    """Return what a request has besides its path."""
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_WORDS[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in operation.path_parameters
    ]
    if operation.query is not None:
        # A parameter that is left out is not null: each is a parameter of its own.
        struct = components[operation.query.__name__]
        parameters += [
            _query_parameter(name, schema, is_needed=name in struct["required"])
            for name, schema in struct["properties"].items()
        ]
    if operation.once is not Once.NO:
        parameters.append(
            {
                "name": HEADER,
                "in": "header",
                "required": operation.once is Once.REQUIRED,
                "description": _ONCE_WORDS,
                "schema": {"type": "string", "pattern": PATTERN},
            }
        )
    asked: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if operation.body is not None:
        content = {JSON: {"schema": schemas[operation.body]}}
        asked["requestBody"] = {"required": True, "content": content}
    return asked


def _query_parameter(name: str, schema: Mapping[str, Any], *, is_needed: bool) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key != "description"}
    if kept.get("default", "") is None:
        del kept["default"]
    if "anyOf" in kept:
        (kept,) = (each for each in kept["anyOf"] if each != {"type": "null"})
    given = {"name": name, "in": "query", "required": is_needed, "schema": kept}
    return given | ({"description": schema["description"]} if "description" in schema else {})


def _links(source: Operation, listed: Iterable[tuple[str, Operation]]) -> dict[str, Any]:
    """Return what may be asked with what an operation answers: OpenAPI's links, by operation.

    They lead to all operations of whose path the answer gives a part, and it or the operation's own
    path the others; operators are not led to what account holders do, nor those to what they do.
    """
    own = {name: f"$request.path.{name}" for name in source.path_parameters}
    found = {name: f"$response.body#{pointer}" for name, pointer in source.gives.items()}
    links: dict[str, Any] = {}
    for _, each in listed:
        needed = set(each.path_parameters)
        is_of_same = (each.needs is Scope.ADMIN) is (source.needs is Scope.ADMIN)
        if is_of_same and needed & found.keys() and needed <= found.keys() | own.keys():
            values = {name: (own | found)[name] for name in each.path_parameters}
            links[each.name] = {"operationId": each.name, "parameters": values}
    return links


def _answer(
    operation: Operation, schemas: Mapping[Any, Any], links: Mapping[str, Any]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if operation.answers:
        found = [schemas[each] for each in operation.answers]
        schema = found[0] if len(found) == 1 else {"anyOf": found}
        answer["content"] = {operation.media_type: {"schema": schema}}
    if operation.events:
        # What `itemSchema` of OpenAPI 3.2 tells, by the name of the event.
        events = {name: schemas[each] for name, each in operation.events.items()}
        answer["content"][operation.media_type]["x-events"] = events
    if links:
        answer["links"] = links
    return {str(operation.status): answer}


def _refusals(operation: Operation, alone: dict[str, Any]) -> dict[str, Any]:
    """Return the refusals by status; one of a single code is put into `alone` and referred to."""
    by_status: dict[int, list[str]] = {}
    for code in codes_of(operation):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    refusals: dict[str, Any] = {}
    for status, codes in sorted(by_status.items()):
        refusal = _refusal(status, codes)
        if len(codes) == 1:
            alone[codes[0]] = refusal
            refusal = {"$ref": f"#/components/responses/{codes[0]}"}
        refusals[str(status)] = refusal
    return refusals


def _refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    said = "\n".join(f"- `{code}`: {PROBLEMS[code].message}" for code in codes)
    of_these = {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}}
    schema = {"allOf": [{"$ref": _REF.format(name="Problem")}, of_these]}
    refusal: dict[str, Any] = {"description": said, "content": {_PROBLEM_JSON: {"schema": schema}}}
    if status in _WITH_WAIT:
        wait = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
        refusal["headers"] = {"Retry-After": wait}
    if status == 429:
        words = "Of draft-ietf-httpapi-ratelimit-headers: which limit it was, where it is a rate."
        limit = {"description": words, "schema": {"type": "string"}}
        refusal["headers"] |= {"RateLimit-Policy": limit, "RateLimit": limit}
    return refusal


def _types(listed: Iterable[Operation]) -> list[Any]:
    used: dict[Any, None] = {ProblemBody: None}
    for each in listed:
        asked = (each.body, each.query)
        shapes_of = (*asked, *each.answers, *each.events.values())
        used.update(dict.fromkeys(one for one in shapes_of if one is not None))
    return list(used)


def _schemas(types: Sequence[Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the schema of each type, and the components by name, with their docstrings."""
    made, components = msgspec.json.schema_components(types, ref_template=_REF)
    classes = {cls.__name__: cls for cls, _ in _structs(types)}
    for cls, fields in _structs(types):
        for each in fields:
            # One that is an array on the wire has none.
            if (told := components[cls.__name__].get("properties")) is not None:
                _mark_times(each.type, told[each.encode_name])
    for name, component in components.items():
        if "description" in component:
            # Up to Python 3.12 a docstring keeps its indentation.
            component["description"] = _in_one_line(cleandoc(component["description"]))
        for field, words in _field_words(classes[name]).items() if name in classes else ():
            if (described := component.get("properties", {}).get(field)) is not None:
                described["description"] = words
    components["Problem"] = components.pop(ProblemBody.__name__)
    return dict(zip(types, made, strict=True)), components


def _mark_times(kind: shapes.Type, schema: dict[str, Any]) -> None:
    """Say of times that they are: msgspec does where it refuses those without a zone."""
    match kind:
        case shapes.DateTimeType():
            schema["format"] = "date-time"
        case shapes.UnionType(types=members) if "anyOf" in schema:
            for member, each in zip(members, schema["anyOf"], strict=True):
                _mark_times(member, each)
        case shapes.DictType(value_type=value):
            _mark_times(value, schema["additionalProperties"])


def _structs(types: Sequence[Any]) -> Iterator[tuple[type, Sequence[shapes.Field]]]:
    """Yield every struct that types are made of, with its fields."""
    seen: set[type] = set()
    left: list[Any] = list(shapes.multi_type_info(types))
    while left:
        match left.pop():
            case shapes.StructType(cls=cls, fields=fields) if cls not in seen:
                seen.add(cls)
                yield cls, fields
                left += [each.type for each in fields]
            case shapes.UnionType(types=members):
                left += members
            case shapes.VarTupleType(item_type=item) | shapes.ListType(item_type=item):
                left.append(item)
            case shapes.CollectionType(item_type=item):
                left.append(item)
            case shapes.DictType(value_type=value):
                left.append(value)


@cache
def _field_words(cls: type) -> Mapping[str, str]:
    """Return the string below each field of a struct, its parents' too."""
    words: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if not issubclass(each, msgspec.Struct) or each is msgspec.Struct:
            continue
        (definition,) = ast.parse(dedent(getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in zip(definition.body, definition.body[1:], strict=False):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(text))):
                    words[name] = _in_one_line(text)
    return words


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(document()))
