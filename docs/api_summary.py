"""Writes the API in brief: a line for each operation, and one for each shape with its fields.

The document itself is built and not committed; a change of it is reviewed by these lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_HEAD: Final = """\
The API of `GET /v1/openapi.json` in brief, written by `make docs`: a line for each operation (its
name, parameters, body, answer and scope), then one for each shape. `?` marks what may be left out.
A line that goes or changes may break a client; one that is added does not.

"""
_NOT_TOLD: Final = frozenset({"title", "description", "default", "additionalProperties"})


def text(document: Mapping[str, Any]) -> str:
    """Return the lines of a document."""
    schemas: Mapping[str, Mapping[str, Any]] = document["components"]["schemas"]
    shapes = [f"{name}: {_shape(schema)}" for name, schema in sorted(schemas.items())]
    return _HEAD + "\n".join([*_operations(document["paths"]), "", *shapes, ""])


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in sorted(paths.items()):
        for method, told in sorted(methods.items()):
            asked = [
                f"{each['name']}{'' if each['required'] else '?'} {_type(each['schema'])}"
                for each in told.get("parameters", ())
                if each["in"] != "path"
            ]
            asked += [_type(schema) for schema in _schemas_in(told.get("requestBody", {}))]
            (status, answer), *_ = told["responses"].items()
            answers = [_type(schema) for schema in _schemas_in(answer)]
            answers += [
                f"{event} {_type(schema)}"
                for content in answer.get("content", {}).values()
                for event, schema in content.get("x-events", {}).items()
            ]
            scopes = [scope for each in told["security"] for scope in each["key"]]
            needs = ", ".join(scopes) or ("any key" if told["security"] else "no key")
            yield (
                f"{method.upper()} {path}: {told['operationId']}({', '.join(asked)})"
                f" -> {', '.join([status, *answers])}; {needs}"
            )


def _schemas_in(told: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in told.get("content", {}).values():
        yield each["schema"]


def _shape(schema: Mapping[str, Any]) -> str:
    if "properties" not in schema:
        return _type(schema)
    needed = schema.get("required", ())
    fields = [
        f"{name}{'' if name in needed else '?'} {_type(each)}"
        for name, each in schema["properties"].items()
    ]
    return ", ".join(fields) or "nothing"


def _type(schema: Mapping[str, Any]) -> str:
    """Return a type with its bounds, such as `string (maxLength 60)`."""
    left = {key: value for key, value in schema.items() if key not in _NOT_TOLD}
    match left:
        case {"$ref": reference}:
            del left["$ref"]
            kind = reference.rpartition("/")[2]
        case {"anyOf": choices}:
            del left["anyOf"]
            kind = " or ".join(map(_type, choices))
        case {"enum": values}:
            left.pop("type", None)
            del left["enum"]
            kind = "|".join(map(str, values))
        case {"type": "array", "prefixItems": items}:
            left = {}
            kind = f"[{', '.join(map(_type, items))}]"
        case {"type": "array", "items": dict() as items}:
            del left["type"], left["items"]
            kind = f"[{_type(items)}…]"
        case {"type": "object"}:
            del left["type"]
            values = schema.get("additionalProperties")
            kind = f"{{{_type(values)}…}}" if isinstance(values, dict) else "object"
        case _:
            kind = str(left.pop("type", "anything"))
    bounds = ", ".join(f"{key} {value}" for key, value in left.items())
    return f"{kind} ({bounds})" if bounds else kind
