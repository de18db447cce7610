"""Faults as text: no values of variables, bounded in size, bounded in rate."""

import contextlib

import pytest

from gateway.logs import tracebacks
from gateway.logs.tracebacks import PERIOD_NS, REPEATS_MAX, SITES_MAX, RepeatBudget

SECRET = "hunter2-hunter2"


def caught(raising):
    """Return what a function raises."""
    try:
        raising()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fails(secret=SECRET):
    raise ValueError("it failed")


def fails_in_turn(depth):
    try:
        fails() if not depth else fails_in_turn(depth - 1)
    except Exception as error:
        raise RuntimeError(f"level {depth}") from error


def recurses(secret=SECRET):
    return recurses()


def fails_in_a_group():
    raise ExceptionGroup("several", [caught(fails), *(KeyError(i) for i in range(20))])


def fails_at_length():
    raise ValueError("x" * 1_000_000)


class UnprintableError(Exception):
    def __str__(self):
        raise ZeroDivisionError


def fails_unprintably():
    raise UnprintableError


@pytest.mark.parametrize(
    "raising",
    [
        fails,
        lambda: fails_in_turn(50),
        recurses,
        fails_in_a_group,
        fails_at_length,
        fails_unprintably,
    ],
)
def test_a_fault_is_told_without_values_and_within_bounds(raising):
    text = tracebacks.describe(caught(raising))
    assert text.startswith("Traceback (most recent call last):\n")
    assert SECRET not in text
    assert len(text) <= tracebacks.TEXT_CHARACTERS_MAX + 1


def test_a_fault_is_told_with_what_led_to_it():
    text = tracebacks.describe(caught(lambda: fails_in_turn(1)))
    told = [text.index(part) for part in ("level 1", "level 0", "it failed")]
    assert told == sorted(told)
    assert "in fails\n" in text


def test_a_number_that_a_message_quotes_is_redacted():
    def raising():
        raise ValueError("The 'To' number 14155552671 is not valid (error 21211).")

    assert "number … is not valid (error 21211)" in tracebacks.describe(caught(raising))


def test_a_group_is_told_with_the_first_of_its_members():
    text = tracebacks.describe(caught(fails_in_a_group))
    for part in ("several (21 sub-exceptions)", "it failed", "KeyError: 0", "KeyError: 1"):
        assert part in text
    assert "KeyError: 2" not in text


def test_a_cause_that_is_suppressed_stays_so():
    def raising():
        with contextlib.suppress(KeyError):
            fails()

    def hides():
        try:
            raising()
        except ValueError:
            raise KeyError("outer") from None

    assert "it failed" not in tracebacks.describe(caught(hides))


def test_causes_that_go_in_a_circle_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert tracebacks.describe(one).count("ValueError") == 2


def test_one_fault_is_told_from_another_by_where_it_was_raised():
    assert tracebacks.origin(caught(fails)) == tracebacks.origin(caught(lambda: fails("other")))
    assert tracebacks.origin(caught(fails)) != tracebacks.origin(caught(fails_at_length))
    assert tracebacks.origin(ValueError()) == ("ValueError", "", 0)


@pytest.mark.parametrize(
    ("line", "sensitive"),
    [
        ("redis://caller:pa55word@host:1/0 is away", "pa55word"),
        ("redis+sentinel://:pa55word@one,two/master", "pa55word"),
        ("key ck_0123456789-_ab is odd", "0123456789"),
        ("token ct_0123456789-_ab", "0123456789"),
        ("sk_live_0123456789 or rk_test_0123456789", "0123456789"),
        ("signed with whsec_0123456789", "0123456789"),
        ("AC" + "ab" * 16, "abab"),
        ("SK" + "AB" * 16, "ABAB"),
        ("Authorization: Bearer abcdefgh12", "abcdefgh12"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("To=%2B14155552671&From=x", "4155552671"),
        ("dialling +14155552671", "4155552671"),
    ],
)
def test_what_is_sensitive_by_its_form_is_redacted(line, sensitive):
    redacted = tracebacks.redact(line)
    assert sensitive not in redacted
    assert "…" in redacted


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-27T02:47:18.123456+00:00 call 0123456789abcdef took 123456789 ns",
        "https://calls.example.com:8443/v1/account is slow",
        "sk_ and AC12 are no keys, 10000000 micros no number",
        "Basic and bearer tones",
    ],
)
def test_other_text_stays_as_it_is(line):
    assert tracebacks.redact(line) == line


def test_a_site_says_a_few_lines_a_period_and_then_how_many_it_did_not():
    budget = RepeatBudget()
    said = [budget.admit("a", 0) for _ in range(1_000)]
    assert said == [0] * REPEATS_MAX + [None] * (1_000 - REPEATS_MAX)
    assert budget.admit("b", 0) == 0
    assert budget.admit("a", PERIOD_NS - 1) is None
    assert budget.admit("a", PERIOD_NS) == 1_000 - REPEATS_MAX + 1
    assert budget.admit("a", PERIOD_NS) == 0


def test_sites_are_bounded_and_the_busiest_is_kept():
    budget = RepeatBudget()
    for number in range(10 * SITES_MAX):
        budget.admit("busy", 0)
        budget.admit(number, 0)
    assert budget.admit("busy", 0) is None
    assert len(budget._sites) == SITES_MAX
