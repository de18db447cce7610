"""One of Twilio's OpenAPI documents as a grader of requests and replies. Sends nothing.

The document alone is lenient: a name that it does not know passes, a field that is missing from a
reply passes, and its formats are words. The grader forbids the first, asks for the second and
checks the third. Error bodies are not described by Twilio; only successes can be graded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_METHODS = ("get", "post", "delete")

Json = dict[str, Any]


class UnknownNameError(OpenAPIError):
    """A parameter or a form field that the operation does not have."""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived at a server."""

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    content_type: str = FORM
    authorization: str = "Basic eA=="

    @property
    def form(self) -> dict[str, list[str]]:
        """The form's fields; each may come more than once."""
        return _grouped(self.body.decode())


class Document:
    """The part of one document that is about some of its paths."""

    def __init__(self, spec: Json, paths: tuple[str, ...] = ()) -> None:
        """Take a document; of a large one `paths` alone, which is many times faster."""
        self._spec = _closed(_cut(spec, paths) if paths else deepcopy(spec))
        self._openapi = OpenAPI.from_dict(
            self._spec, config=Config(extra_format_validators=_FORMATS)
        )
        self._host: str = self._spec["servers"][0]["url"]

    def check_request(self, asked: Asked) -> str:
        """Grade a request and return the name of its operation (`CreateCall`).

        Raises:
            OpenAPIError: the document does not allow it.
        """
        operation = self.operation(asked.method, asked.path)
        # openapi-core reads the names that it knows and is blind to all others.
        _refuse_unknown(asked.form, _form_fields(operation))
        _refuse_unknown(_grouped(asked.query), _query_names(operation))
        self._openapi.validate_request(self._request(asked))
        return str(operation["operationId"])

    def check_reply(self, asked: Asked, status: int, body: bytes, content_type: str = JSON) -> None:
        """Grade the reply to a request.

        Raises:
            OpenAPIError: Twilio would not answer so.
        """
        reply = MockResponse(body, status_code=status, content_type=content_type)
        self._openapi.validate_response(self._request(asked), reply)

    def operation(self, method: str, path: str) -> Json:
        """Return what the document says about an operation.

        Raises:
            UnknownNameError: there is none.
        """
        for template, item in self._spec["paths"].items():
            if method.lower() in item and re.fullmatch(_pattern(template), path):
                return dict(item[method.lower()])
        raise UnknownNameError(f"{method} {path}")

    def examples(self) -> Iterator[tuple[str, str, int, Json]]:
        """Yield method, path template, status and body of each reply that Twilio shows."""
        for template, item in self._spec["paths"].items():
            for method in _METHODS:
                if method in item:
                    for status, body in examples_of(item[method]):
                        yield method, template, status, body

    def _request(self, asked: Asked) -> MockRequest:
        return MockRequest(
            self._host,
            asked.method.lower(),
            asked.path,
            args=parse_qsl(asked.query, keep_blank_values=True),
            headers={"Authorization": asked.authorization},
            data=asked.body or None,
            content_type=asked.content_type,
        )


def examples_of(operation: Json) -> Iterator[tuple[int, Json]]:
    """Yield status and body of each reply to an operation that Twilio shows."""
    for status, reply in operation["responses"].items():
        shown = reply.get("content", {}).get(JSON, {}).get("examples", {})
        for example in shown.values():
            yield int(status), dict(example["value"])


# -- reading the document ------------------------------------------------------------------------


def _grouped(pairs: str) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in parse_qsl(pairs, keep_blank_values=True, strict_parsing=bool(pairs)):
        grouped.setdefault(name, []).append(value)
    return grouped


def _refuse_unknown(names: dict[str, list[str]], known: set[str]) -> None:
    if unknown := set(names) - known:
        raise UnknownNameError(*sorted(unknown))


def _form_fields(operation: Json) -> set[str]:
    if "requestBody" not in operation:
        return set()
    return set(operation["requestBody"]["content"][FORM]["schema"]["properties"])


def _query_names(operation: Json) -> set[str]:
    return {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}


def _pattern(template: str) -> str:
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))


def _cut(spec: Json, paths: tuple[str, ...]) -> Json:
    """Return the document with these paths and the schemas that they need."""
    cut = deepcopy({name: part for name, part in spec.items() if name not in ("paths", "tags")})
    cut["paths"] = deepcopy({path: spec["paths"][path] for path in paths})
    schemas = cut["components"]["schemas"]
    needed: set[str] = set()
    waiting = list(_references(cut["paths"]))
    while waiting:
        if (name := waiting.pop()) not in needed:
            needed.add(name)
            waiting += _references(schemas[name])
    cut["components"]["schemas"] = {name: schemas[name] for name in needed}
    return cut


def _references(node: Any) -> Iterator[str]:
    for child in _objects(node):
        if isinstance(reference := child.get("$ref"), str):
            yield reference.rpartition("/")[2]


def _objects(node: Any) -> Iterator[Json]:
    """Yield every JSON object in a part of the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            yield from _objects(child)


def _closed(spec: Json) -> Json:
    """Forbid properties without a name, and ask replies for all that have one."""
    _correct(spec)
    for schema in _objects(spec):
        if schema.get("type") == "object" and schema.get("properties"):
            schema.setdefault("additionalProperties", False)
    replies = [
        item[m]["responses"] for item in spec["paths"].values() for m in item if m in _METHODS
    ]
    for schema in _objects([replies, spec["components"]["schemas"]]):
        # An ICE server is marked as written without its nulls (JsonInclude.Include.NON_NULL).
        if "additionalProperties" in schema and schema.get("format") != "ice-server":
            schema["required"] = list(schema["properties"])
    return spec


def _correct(spec: Json) -> None:
    """Take the document at its examples' word where its types contradict them."""
    for schema in _objects(spec):
        # Prices are numbers by type, and strings by an extension and in every example.
        if override := _mark(schema, "overrideType"):
            schema["type"] = override
        if schema.get("format") == "inbound-call-price":
            for price in schema["properties"].values():
                price["nullable"] = True
        # What a number of the account does not use is empty, and not null.
        if "voice_application_sid" in schema.get("properties", {}):
            for name, unused in schema["properties"].items():
                if name.endswith(("_application_sid", "_url")) or name == "status_callback":
                    for rule in ("format", "minLength", "pattern"):
                        unused.pop(rule, None)


def _mark(schema: Json, name: str) -> Any:
    extension = schema.get("x-twilio")
    return extension.get(name) if isinstance(extension, dict) else None


# -- formats, named by the document and not defined there ------------------------------------------


def _is_rfc_2822(value: object) -> bool:
    try:
        return format_datetime(parsedate_to_datetime(str(value))) == value
    except ValueError:
        return False


def _is_uri(value: object) -> bool:
    """Accept web addresses, and the paths by which Twilio's lists point at their pages."""
    parts = urlsplit(str(value))
    if parts.scheme in ("http", "https"):
        return bool(parts.hostname)
    return not parts.scheme and parts.path.startswith("/2010-04-01/")


def _is_twiml(value: object) -> bool:
    try:
        return ElementTree.fromstring(str(value)).tag == "Response"
    except ElementTree.ParseError:
        return False


def _is_e164(value: object) -> bool:
    return re.fullmatch(r"\+[1-9][0-9]{6,14}", str(value)) is not None


_FORMATS: dict[str, Callable[[Any], bool]] = {
    "date-time-rfc-2822": _is_rfc_2822,
    "uri": _is_uri,
    "twiml": _is_twiml,
    # Twilio calls SIP addresses and clients too; a gateway calls phones.
    "endpoint": _is_e164,
    "phone-number": _is_e164,
}
