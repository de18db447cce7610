"""Serves `/docs/api`: the API's document in readable form, a page for each operation.

Its text is the document's, in English; only the headings are in the reader's language.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.http.access import DeclaredRoute
from gateway.http.api.document import read_document
from gateway.http.site.door import Door
from gateway.http.site.reference_pages import (
    Entry,
    Field,
    OperationLine,
    OperationPage,
    ReferencePage,
    RefusalRow,
    SchemaShape,
)

REFERENCE: Final = "/docs/api"
_REFUSAL: Final = re.compile(r"^- `(\w+)`: (.*)$", re.M)
_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "default": "default {}",
}


@dataclass(frozen=True, slots=True)
class ReferencePages:
    """Handlers of the pages."""

    door: Door
    origin: str

    def routes(self) -> list[DeclaredRoute]:
        """Return the pages' routes."""
        return [
            self.door.page(REFERENCE, self.show),
            self.door.page(f"{REFERENCE}/{{name}}", self.show_operation),
        ]

    async def show(self, request: Request) -> Response:
        """Show the list of operations."""
        await self.door.recognise(request)
        return self.door.show(request, reader().index())

    async def show_operation(self, request: Request) -> Response:
        """Show one operation."""
        page = reader().page(request.path_params["name"], self.origin)
        if page is None:
            raise HTTPException(404)
        await self.door.recognise(request)
        return self.door.show(request, page)


@lru_cache(maxsize=1)
def reader() -> Reader:
    """Return the reader of our own document, created when a page is first requested."""
    return Reader(read_document())


class Reader:
    """Reads our own document, which has the shapes that `http.openapi` writes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas: Mapping[str, Any] = document["components"]["schemas"]
        self._specs = {
            spec["operationId"]: (_line(method, path, spec), spec)
            for path, methods in document["paths"].items()
            for method, spec in methods.items()
        }

    def index(self) -> ReferencePage:
        """Return the page of all operations."""
        groups: dict[str, list[OperationLine]] = {tag["name"]: [] for tag in self._document["tags"]}
        for line, spec in self._specs.values():
            groups[spec["tags"][0]].append(line)
        return ReferencePage(self._document["info"]["description"], [*groups.items()])

    def page(self, name: str, origin: str) -> OperationPage | None:
        """Return the page of an operation, whose example goes to `origin`.

        None if there is none.
        """
        if name not in self._specs:
            return None
        entry = self._entry(*self._specs[name], origin)
        return OperationPage(entry, self._reached([entry.body, *entry.answers]))

    def _entry(self, line: OperationLine, spec: Mapping[str, Any], origin: str) -> Entry:
        body = _shapes_in(_content(spec.get("requestBody", {})))
        (status, answer), *_ = spec["responses"].items()
        scopes = [scope for each in spec["security"] for scope in each["key"]]
        return Entry(
            line=line,
            words=spec.get("description", ""),
            scope=scopes[0] if scopes else "",
            parameters=[
                _field(each["name"], each["schema"], each["description"], each["required"])
                for each in spec.get("parameters", ())
            ],
            body=body[0] if body else "",
            status=status,
            answers=_shapes_in(_content(answer)) or _events_in(answer),
            links=list(answer.get("links", ())),
            refusals=list(self._refusals(spec["responses"])),
            example=self._example(line, spec, origin),
        )

    def _reached(self, names: Sequence[str]) -> Sequence[SchemaShape]:
        """Return shapes, and those of their fields."""
        found: dict[str, SchemaShape] = {}
        left = [name for name in names if name]
        while left:
            name = left.pop(0)
            if name not in found:
                found[name] = self._shape(name)
                left += [each.shape for each in found[name].fields if each.shape]
        return [*found.values()]

    def _shape(self, name: str) -> SchemaShape:
        schema = self._schemas[name]
        needed = schema.get("required", ())
        fields = [
            _field(each, spec, spec.get("description", ""), each in needed)
            for each, spec in schema.get("properties", {}).items()
        ]
        return SchemaShape(name, schema["description"], fields, schema.get("enum", ()))

    def _refusals(self, responses: Mapping[str, Any]) -> Iterator[RefusalRow]:
        for status, spec in responses.items():
            if "$ref" in spec:
                code = spec["$ref"].rpartition("/")[2]
                spec = self._document["components"]["responses"][code]  # noqa: PLW2901
            for code, words in _REFUSAL.findall(spec["description"]):
                yield RefusalRow(status, code, words)

    def _example(self, line: OperationLine, spec: Mapping[str, Any], origin: str) -> str:
        parameters = spec.get("parameters", ())
        needed = {each["name"]: each["schema"] for each in parameters if each["required"]}
        query = [
            f"{each['name']}={self._sample(each['schema'])}"
            for each in parameters
            if each["in"] == "query" and each["required"]
        ]
        address = origin + line.path + (f"?{'&'.join(query)}" if query else "")
        method = () if line.method == "GET" else ("-X", line.method)
        parts = [" ".join(["curl", *method, shlex.quote(address)])]
        if spec["security"]:
            parts.append('-H "Authorization: Bearer $KEY"')
        if "Idempotency-Key" in needed:
            parts.append('-H "Idempotency-Key: $(uuidgen)"')
        if schema := _content(spec.get("requestBody", {})):
            text = json.dumps(self._sample(schema), ensure_ascii=False)
            parts.append(f"-d {shlex.quote(text)}")
        return " \\\n  ".join(parts)

    def _sample(self, schema: Mapping[str, Any]) -> Any:
        """Return a value that fits a schema: its example, or the smallest one."""
        if "$ref" in schema:
            return self._sample(self._schemas[schema["$ref"].rpartition("/")[2]])
        if given := schema.get("examples") or schema.get("enum"):
            return given[0]
        if schema["type"] == "object":
            fields, needed = schema.get("properties", {}), schema.get("required", ())
            shown = [each for each in fields if each in needed or "examples" in fields[each]]
            return {name: self._sample(fields[name]) for name in shown}
        if schema.get("format") == "date-time":
            return "2030-01-31T00:00:00Z"
        plain = {"array": [], "boolean": True, "integer": schema.get("minimum", 1)}
        return plain.get(schema["type"], "…" * schema.get("minLength", 1))


def _line(method: str, path: str, spec: Mapping[str, Any]) -> OperationLine:
    return OperationLine(spec["operationId"], method.upper(), path, spec["summary"])


def _content(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a body; empty if there is none."""
    for each in spec.get("content", {}).values():
        schema: Mapping[str, Any] = each["schema"]
        return schema
    return {}


def _shapes_in(schema: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the shapes that a body may have."""
    choices = schema.get("anyOf", [schema])
    return [each["$ref"].rpartition("/")[2] for each in choices if "$ref" in each]


def _events_in(answer: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of the shapes of a stream's events."""
    spec: dict[str, Any] = next(iter(answer.get("content", {}).values()), {})
    return _shapes_in({"anyOf": [*spec.get("x-events", {}).values()]})


def _field(name: str, schema: Mapping[str, Any], words: str, is_needed: bool) -> Field:
    kind, shape = _kind(schema)
    bounds = [said.format(_text(schema[key])) for key, said in _BOUNDS.items() if key in schema]
    return Field(name, ", ".join([kind, *bounds]) if kind else "", shape, words, is_needed)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value != "" else '""'


def _kind(schema: Mapping[str, Any]) -> tuple[str, str]:
    """Return a value's kind in words, and the shape that it consists of."""
    if "$ref" in schema:
        return "", schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        kinds = [_kind(each) for each in schema["anyOf"]]
        shapes = [shape for _, shape in kinds if shape]
        words = " or ".join(kind for kind, _ in kinds if kind)
        return (f"{words} or", shapes[0]) if shapes else (words, "")
    if "enum" in schema:
        return " or ".join(map(_text, schema["enum"])), ""
    if schema.get("type") == "array":
        kind, shape = _kind(schema["items"]) if isinstance(schema.get("items"), dict) else ("", "")
        return f"list of {kind}".strip(), shape
    if isinstance(schema.get("additionalProperties"), dict):
        kind, shape = _kind(schema["additionalProperties"])
        return f"map of {kind}".strip(), shape
    return str(schema.get("format") or schema.get("type", "any")), ""
