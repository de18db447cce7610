"""What went wrong, what to do, and the code to end with."""

import httpx
import pytest
from caller_client.errors import CallerError, ProblemError, UnexpectedAnswerError, UnreachableError
from caller_client.remote import failures
from caller_client.remote.failures import failure_of
from caller_client.shapes import Problem

from gateway import errors
from gateway.errors import EXIT_FINDINGS, EXIT_SETTINGS, EXIT_UNAVAILABLE
from gateway.problems import PROBLEMS

AT = "https://calls.example.com"


def problem(code, **more):
    entry = PROBLEMS[code]
    body = Problem(
        type="t",
        title=entry.message,
        status=entry.status,
        code=code,
        action=entry.action,
        retry=entry.retry,
        **more,
    )
    return ProblemError(body, None)


def unreachable(cause):
    error = UnreachableError(type(cause).__name__)
    error.__cause__ = cause
    return error


def test_codes_are_those_of_the_gateway_s_own_commands():
    names = [name for name in vars(failures) if name.startswith("EXIT_")]
    assert len(names) == 5
    assert {name: getattr(failures, name) for name in names} == {
        name: getattr(errors, name) for name in names
    }


@pytest.mark.parametrize(
    ("code", "exit_code", "hint"),
    [
        ("unauthorized", EXIT_SETTINGS, "CALLER_REMOTE_KEY"),
        ("scope_missing", EXIT_SETTINGS, "--scope admin"),
        ("network_refused", EXIT_SETTINGS, "CALLER_ADMIN_NETWORKS"),
        ("call_not_found", EXIT_SETTINGS, "calls list"),
        ("node_not_found", EXIT_SETTINGS, "nodes list"),
        ("node_stopping", EXIT_FINDINGS, "Start it again"),
        ("node_silent", EXIT_UNAVAILABLE, "Try again"),
        ("store_unavailable", EXIT_UNAVAILABLE, ""),
        ("rate_limited", EXIT_UNAVAILABLE, ""),
        ("internal_error", EXIT_UNAVAILABLE, ""),
    ],
)
def test_a_refusal_is_told_with_what_helps(code, exit_code, hint):
    failure = failure_of(problem(code), AT, is_act=False)
    assert (failure.what, failure.code) == (PROBLEMS[code].message, exit_code)
    assert hint in failure.hint


def test_a_field_that_is_wrong_is_named_and_nothing_commands_the_terminal():
    error = problem("bad_request", field="reason", reason="too_long\x1b[2J")
    assert failure_of(error, AT, is_act=True).what.endswith("(reason: too_long?[2J)")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, EXIT_SETTINGS),
        (404, EXIT_SETTINGS),
        (429, EXIT_UNAVAILABLE),
        (502, EXIT_UNAVAILABLE),
    ],
)
def test_who_is_no_gateway_is_named(status, code):
    failure = failure_of(UnexpectedAnswerError(status), AT, is_act=False)
    assert (failure.code, AT in failure.what, str(status) in failure.what) == (code, True, True)
    acted = failure_of(UnexpectedAnswerError(status), AT, is_act=True)
    assert ("Nothing is known to be done" in acted.hint) is (status == 200)


@pytest.mark.parametrize(
    ("cause", "is_act", "is_known"),
    [
        (httpx.ConnectError("[SSL] certificate has expired"), True, True),
        (httpx.ConnectTimeout(""), True, True),
        (httpx.ReadTimeout(""), True, False),
        (httpx.ReadTimeout(""), False, True),
        (None, True, False),
    ],
)
def test_an_act_that_was_perhaps_done_is_told_as_such(cause, is_act, is_known):
    failure = failure_of(unreachable(cause), AT, is_act=is_act)
    assert ("It may have been done" in failure.hint) is not is_known
    assert failure.code == EXIT_UNAVAILABLE
    assert (str(cause) if cause else "NoneType") in failure.what


def test_any_other_failure_has_a_sentence_too():
    assert failure_of(CallerError("odd"), AT, is_act=False).what == "odd"
