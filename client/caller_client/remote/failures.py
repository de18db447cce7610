"""Says what went wrong in a sentence, what to do next, and by which code the program ends. Pure."""

from __future__ import annotations

from typing import Final

import httpx

from caller_client.errors import CallerError, ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.remote.lines import plain

# Those of the gateway's own commands.
EXIT_FINDINGS: Final = 1
EXIT_SETTINGS: Final = 2
EXIT_UNAVAILABLE: Final = 3
EXIT_CRASHED: Final = 70
"""EX_SOFTWARE of BSD's sysexits.h."""
EXIT_INTERRUPTED: Final = 130
"""As shells have it: 128 and the number of SIGINT."""

_NEW_KEY: Final = (
    "`caller accounts new-key ACCOUNT --scope admin`, where the gateway runs, makes one."
)
_HINTS: Final = {
    "unauthorized": f"Check CALLER_REMOTE_KEY or CALLER_REMOTE_KEY_FILE. {_NEW_KEY}",
    "scope_missing": f"Use a key with the scope admin. {_NEW_KEY}",
    "call_not_found": "It may have ended. `caller-remote calls list` shows the live ones.",
    "node_not_found": "`caller-remote nodes list` shows the running ones.",
}
"""Code of a problem -> what to do, where that is not what the gateway says."""


class CommandError(Exception):
    """Why a command does not do what it is for."""

    def __init__(self, what: str, hint: str, code: int = EXIT_SETTINGS) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.code = code


def failure_of(error: CallerError, origin: str, *, is_act: bool) -> CommandError:
    """Return the failure that an error of the client is.

    Args:
        error: What the client has raised.
        origin: Where the gateway should be.
        is_act: Whether the request was to change something.

    """
    match error:
        case ProblemError():
            return _of_problem(error)
        case UnexpectedAnswerError():
            what = f"What answers at {origin} is no gateway: status {error.status}."
            if is_act and error.status < 300:
                return CommandError(what, "Nothing is known to be done. Check --url, and look.")
            if error.status >= 500 or error.status == 429:
                hint = "A proxy may stand before it, and the gateway be away. Try again."
                return CommandError(what, hint, EXIT_UNAVAILABLE)
            return CommandError(what, "Check --url, or CALLER_REMOTE_URL.")
        case UnreachableError():
            return _of_silence(error, origin, is_act=is_act)
        case _:
            return CommandError(plain(str(error)), "Try again.", EXIT_UNAVAILABLE)


def _of_problem(error: ProblemError) -> CommandError:
    problem = error.problem
    what = plain(problem.title)
    if problem.field:
        what += plain(f" ({': '.join(filter(None, (problem.field, problem.reason)))})")
    hint = _HINTS.get(error.code, plain(problem.action))
    if error.code == "node_stopping":
        return CommandError(what, hint, EXIT_FINDINGS)
    is_away = problem.retry or error.status >= 500 or error.status == 429
    return CommandError(what, hint, EXIT_UNAVAILABLE if is_away else EXIT_SETTINGS)


def _of_silence(error: UnreachableError, origin: str, *, is_act: bool) -> CommandError:
    cause = error.__cause__
    said = plain(str(cause or "")) or plain(str(error))
    what = f"No answer came from {origin}: {said.rstrip('.')}."
    # Before there was a connection nothing can have been sent by it.
    if is_act and not isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout):
        hint = "It may have been done: look, before you try again."
    else:
        hint = "Check --url, or CALLER_REMOTE_URL, and whether the gateway runs."
    return CommandError(what, hint, EXIT_UNAVAILABLE)
