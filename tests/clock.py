"""A clock that a test moves."""

from datetime import datetime


class Clock:
    """Returns the same moment until the test sets another."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now
