"""Declares the pages of buttons; each dataclass is all that its template gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar

from gateway.embed.ports import (
    ProvenDestination,
)
from gateway.embed.refusals import Reason
from gateway.http.site.bars import Bar
from gateway.http.site.forms import ButtonFields


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of a button's calls in a period, and its budget."""

    calls: int
    cost: str
    """As money."""
    budget: str
    """As money; empty for none."""


@dataclass(frozen=True, slots=True)
class ButtonRow:
    """A button in the list."""

    id: str
    label: str
    destination: str
    """Masked; empty if its owner's back end names each call's."""
    state: str
    """A key of the words under `button_state.`."""
    opens_at: datetime | None
    """When it opens, if closed and known."""
    today: Spent
    month: Spent


@dataclass(frozen=True, slots=True)
class ButtonsPage:
    """The buttons of an account."""

    template: ClassVar[str] = "buttons.html"
    buttons: Sequence[ButtonRow]
    may_more: bool
    """Whether the account may have another one."""
    said: str = ""


@dataclass(frozen=True, slots=True)
class ButtonFormPage:
    """The form of a button: a new one, or the rules of one that is there."""

    template: ClassVar[str] = "button_form.html"
    button_id: str
    """Empty for a new one."""
    form: ButtonFields
    destinations: Sequence[str]
    """The numbers that can be chosen, E.164."""
    zones: Sequence[str]
    seconds_most: int
    currency: str
    needs_proof: bool = False
    """Whether the sender needs a step-up first."""
    errors: Mapping[str, str] = field(default_factory=dict)
    wrong_lines: Mapping[str, str] = field(default_factory=dict)
    """Field -> the line in it that is wrong, with its number."""


@dataclass(frozen=True, slots=True)
class EndingKey:
    """A live key that was replaced and still works."""

    key: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A day with calls."""

    day: date
    calls: int
    answered: int
    seconds: int
    cost: str
    """As money."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The calls of each day, as a picture."""

    width: int
    height: int
    bars: Sequence[Bar]
    first: date
    last: date
    most: int
    """Calls of the tallest bar."""


@dataclass(frozen=True, slots=True)
class ButtonPage:
    """One button: the code to paste, its state and its cost."""

    template: ClassVar[str] = "button.html"
    button: ButtonRow
    running: int
    """Its running calls, on all nodes."""
    refused: Mapping[Reason, int]
    """Reason -> visitors who were refused today, the most frequent first."""
    title: str
    origin: str
    """The gateway's origin."""
    origins: Sequence[str]
    live_key: str
    test_key: str
    ending: Sequence[EndingKey]
    chart: Chart
    usage: Sequence[UsageRow]
    """The newest day first."""
    once: str
    overlaps: Sequence[int]
    """Days that a replaced key may stay valid."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DestinationsPage:
    """The numbers that are proven to be an account's, and the form that proves another."""

    template: ClassVar[str] = "destinations.html"
    destinations: Sequence[ProvenDestination]
    callers: Mapping[str, Sequence[str]]
    """Number -> the names of the buttons that call it."""
    number: str
    """As typed; empty at first."""
    is_called: bool
    """Whether the number has been called, and the code is awaited."""
    minutes: int
    """How long a code is valid."""
    refusal: str = ""
    """Why the number cannot be called: a key of the words under `problem.`; empty if it can."""
    wait_minutes: int = 0
    """When to try again; 0 if unknown."""
    said: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
