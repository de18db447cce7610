"""Defines how a refusal is reported to programs and to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """How a refusal is reported to programs (status) and to people (message, action)."""

    status: int
    message: str
    action: str
    retry: bool = False
    close_code: int = 1008
    """Of a WebSocket: 1008 refuses by policy (RFC 6455 7.4.1); 1012 and 1013, registered with IANA,
    ask to try again."""
