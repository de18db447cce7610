"""Schedules what happens without a request: one appointment per object. Pure.

Knows identifiers and times; runs nothing until it is asked to.
"""

from __future__ import annotations

from collections.abc import Callable

Action = Callable[[int], None]
"""Called with the time, in nanoseconds of the epoch."""


class Schedule:
    """Appointments by the identifier of their object; there are as many as open objects at most."""

    def __init__(self) -> None:
        self._appointments: dict[str, tuple[int, Action]] = {}

    def set(self, object_id: str, at_ns: int, action: Action) -> None:
        """Make an appointment in place of the object's former one."""
        self._appointments[object_id] = (at_ns, action)

    def drop(self, object_id: str) -> None:
        """Cancel an object's appointment, if it has one."""
        self._appointments.pop(object_id, None)

    def advance(self, now_ns: int) -> None:
        """Do what is due, in order of time; what that schedules for now waits for the next turn."""
        # A snapshot: an action may make appointments and cancel those of others.
        due = sorted(
            (at_ns, object_id)
            for object_id, (at_ns, _) in self._appointments.items()
            if at_ns <= now_ns
        )
        for _, object_id in due:
            # Removed before it acts, so that an action that raises is not repeated for ever; absent
            # where an earlier one in this turn has cancelled it.
            if (appointment := self._appointments.pop(object_id, None)) is not None:
                appointment[1](now_ns)

    @property
    def next_ns(self) -> int | None:
        """When the next appointment is due; None without one."""
        return min((at_ns for at_ns, _ in self._appointments.values()), default=None)
