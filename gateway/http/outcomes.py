"""Declares why an act of a person was not done, as pages and programs are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionOver:
    """Nothing has changed, because the requesting session ended meanwhile."""


@dataclass(frozen=True, slots=True)
class StepUpNeeded:
    """The person must prove again who they are."""


@dataclass(frozen=True, slots=True)
class Faults:
    """The errors of a form: field -> code."""

    by_field: Mapping[str, str]
