"""Declares what a route of `/v1` takes and answers, beside the handler that does it.

The routes, their OpenAPI document and the client follow from these declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPMethod
from inspect import getdoc
from typing import Any, Final, TypeVar

from gateway.http.access import Access, DeclaredRoute, Endpoint
from gateway.problems import PROBLEMS
from gateway.scopes import Scope

PREFIX: Final = "/v1/"
"""Prefix of the paths that programs may rely on."""
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

_MARK: Final = "operation"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Once(Enum):
    """Whether a request may, or must, have an `Idempotency-Key`."""

    NO = auto()
    """Repeating it is harmless by itself, or creates nothing that lasts."""
    OPTIONAL = auto()
    REQUIRED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of one path takes and answers."""

    name: str
    """The handler's name: `operationId` of the document, and a method of the client."""
    text: str
    """The docstring of its handler."""
    method: str
    path: str
    needs: Scope | Access
    answers: tuple[Any, ...]
    """The types that an answer may have; none for an answer without a body."""
    status: int
    body: Any = None
    query: Any = None
    """A struct with a field for each query parameter; None for no parameters."""
    judges_query: bool = False
    """Whether its handler itself refuses unknown parameters."""
    problems: tuple[str, ...] = ()
    """Its own codes, without those that every route has, or that follow from the rest."""
    once: Once = Once.NO
    gives: Mapping[str, str] = field(default_factory=dict)
    """Path parameter of other operations -> where the answer has its value (RFC 6901)."""
    media_type: str = JSON
    events: Mapping[str, Any] = field(default_factory=dict)
    """For a stream: the name of each event, and the type of its data."""
    step_up: bool = False
    before_terms: bool = False

    @property
    def path_parameters(self) -> list[str]:
        """Names of the variable parts of its path, in order."""
        return _PARAMETER.findall(self.path)

    @property
    def has_body(self) -> bool:
        """Whether its method has a body, which is read even if it is not needed."""
        return self.method in WITH_BODY


class ApiRoute(DeclaredRoute):
    """The route of an operation."""

    def __init__(self, endpoint: Endpoint, operation: Operation) -> None:
        super().__init__(
            operation.path,
            endpoint,
            operation.needs,
            method=operation.method,
            step_up=operation.step_up,
        )
        self.operation = operation


def operation(
    request: str,
    needs: Scope | Access,
    *answers: Any,
    status: int = 0,
    body: Any = None,
    query: Any = None,
    judges_query: bool = False,
    problems: tuple[str, ...] = (),
    once: Once = Once.NO,
    gives: Mapping[str, str] | None = None,
    media_type: str = JSON,
    events: Mapping[str, Any] | None = None,
    step_up: bool = False,
    before_terms: bool = False,
) -> Callable[[_Handler], _Handler]:
    """Declare a handler's operation: `@operation("GET /v1/calls", Scope.RECORDS, CallPage)`.

    Without `status` it is 200, or 204 if there is no answer. Raises ValueError for an inconsistent
    declaration, when the module is imported.
    """
    method, _, path = request.partition(" ")
    if method not in HTTPMethod.__members__ or not path.startswith(PREFIX):
        raise ValueError(f"{request!r} is no method and path below {PREFIX}")
    if body is not None and method not in WITH_BODY:
        raise ValueError(f"{request!r} has no body")
    if unknown := [code for code in problems if code not in PROBLEMS]:
        raise ValueError(f"{request!r} names problems that are none: {', '.join(unknown)}")
    if any(not pointer.startswith("/") for pointer in (gives or {}).values()):
        raise ValueError(f"{request!r} gives what no JSON pointer of its answer names")

    def declare(handler: _Handler) -> _Handler:
        made = Operation(
            name=handler.__name__,
            text=getdoc(handler) or "",
            method=method,
            path=path,
            needs=needs,
            answers=answers,
            status=status or (200 if answers else 204),
            body=body,
            query=query,
            judges_query=judges_query,
            problems=problems,
            once=once,
            gives=gives or {},
            media_type=media_type,
            events=events or {},
            step_up=step_up,
            before_terms=before_terms,
        )
        setattr(handler, _MARK, made)
        return handler

    return declare


def operations_of(api: type) -> Iterator[Operation]:
    """Yield the operations that a class's methods declare, in the order of the class."""
    for member in vars(api).values():
        if isinstance(found := getattr(member, _MARK, None), Operation):
            yield found


def handlers_of(api: object) -> Iterator[tuple[Operation, Any]]:
    """Yield the operations of an object, each with its method."""
    for each in operations_of(type(api)):
        yield each, getattr(api, each.name)
