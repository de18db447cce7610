"""Declares what a page is, and the pages that any request may end with.

A page is a dataclass: it is all that its template gets, and names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

Errors = Mapping[str, str]
"""Field of a form -> code of what is wrong with it, a key of the words under `error.`."""


class Page(Protocol):
    """A page: a dataclass that is all that its template is given, and names it."""

    template: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@runtime_checkable
class PasskeyPage(Protocol):
    """A page that supports passkeys, which need a script."""

    passkey_host: str
    """The host that passkeys belong to; empty if there can be none, and so no script."""


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """Why a page cannot be shown."""

    template: ClassVar[str] = "error.html"
    code: str
    """A key of the words under `problem.`."""
    wait_minutes: int = 0
    """When to try again; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class SentFormPage:
    """A form that was received before, or that may have been done."""

    template: ClassVar[str] = "sent_form.html"
    code: str
    """A key of the words under `sent_form.`: `before` or `uncertain`."""
