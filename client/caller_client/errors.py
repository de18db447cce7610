"""Defines what a request may fail with.

CallerError
├── ProblemError           the gateway refused the request, and says why
├── UnreachableError       no answer came: nobody knows whether it was done
└── UnexpectedAnswerError  an answer that no gateway gives, such as a proxy's page

None has the API key in it.
"""

from __future__ import annotations

from caller_client.shapes import Problem


class CallerError(Exception):
    """Root of the tree."""


class ProblemError(CallerError):
    """The gateway refused a request, or failed (RFC 9457); go by `code`."""

    def __init__(self, problem: Problem, retry_after_s: int | None) -> None:
        super().__init__(f"{problem.code}: {problem.title} {problem.action}")
        self.problem = problem
        self.retry_after_s = retry_after_s
        """When the same request may succeed; None if that is not known."""

    @property
    def code(self) -> str:
        """The stable word for what happened."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status


class UnreachableError(CallerError):
    """No answer came, in time or at all."""


class UnexpectedAnswerError(CallerError):
    """An answer that is not the API's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"An answer with status {status} that is not of this API.")
        self.status = status
