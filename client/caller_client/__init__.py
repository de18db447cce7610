"""Typed client of the Caller voice gateway's REST API.

`Caller` for programs that wait, `AsyncCaller` for those on asyncio. `operations` and `shapes` are
generated from the gateway's OpenAPI document; the rest is written. `remote` is the command line
`caller-remote`.
"""

from caller_client.errors import CallerError, ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.operations import AsyncCaller, Caller

__version__ = "0.1.0"

__all__ = [
    "AsyncCaller",
    "Caller",
    "CallerError",
    "ProblemError",
    "UnexpectedAnswerError",
    "UnreachableError",
]
