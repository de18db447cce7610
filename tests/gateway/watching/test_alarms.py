"""What is wrong enough to be told, and when it is over: by figures and a clock alone."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.charging.audited import AUDIT_LINE, Audited
from gateway.stores.erasure_journal import JOURNAL_LINE
from gateway.watching.alarms import (
    ALARMS_MAX,
    BY_NAME,
    LEFT_LINES,
    NOT_MAILED,
    PARTS_AFTER_S,
    RULES,
    STORE_AWAY,
    SUBJECT_MAX,
    Alarm,
    AlarmBoard,
)
from gateway.watching.left_calls import LeftCalls
from gateway.watching.totals import LastMinute
from tests.gateway.watching.watched import LOST, WELL, country_of, figures_of, node_of, prefix_of

NOW_S = 1_700_000_000.0


def lag(value, node="n1"):
    return figures_of(node_of(node, lag_ms=value))


def full(calls):
    return figures_of(node_of(calls=calls))


def failing(percent, country="DE"):
    return figures_of(countries=[country_of(country, failed=percent)])


def audited(count, rule="balance is not ledger less holds", age_s=0.0):
    """Return figures after an audit."""
    found = Audited(at_s=NOW_S - age_s, findings={rule: count} if count else {})
    return figures_of(audit=found, at_s=NOW_S)


def names(changes):
    return [(change.alarm.name, change.is_over) for change in changes]


def after(alarms, *figures, begin_s=NOW_S, step_s=1.0):
    """Look once a second; return what has changed, and after how many seconds."""
    found = []
    for number, each in enumerate(figures):
        changes = alarms.look(each, begin_s + number * step_s)
        found += [(number, *name) for name in names(changes)]
    return found


CASES = {
    # Rule: figures that raise it, just do not, end it, just do not.
    "node_lost": (LOST, WELL, WELL, LOST),
    "loop_lag": (lag(250), lag(249.9), lag(100), lag(100.1)),
    "node_full": (full(90), full(89), full(80), full(81)),
    "calls_fail": (failing(30), failing(29), failing(20), failing(21)),
    "no_network": [
        figures_of(last_minute=LastMinute(*ended)) for ended in ((6, 3), (4, 4), (10, 1), (9, 1))
    ],
    "slow_ringing": [
        figures_of(countries=[country_of(pdd_ms=ms)]) for ms in (11_000, 10_999, 8_000, 8_001)
    ],
    "low_mos": [figures_of(talking=5, mos=mos) for mos in (3.1, 3.11, 3.6, 3.59)],
    "one_way_audio": [figures_of(talking=10, silent=n) for n in (2, 1, 1, 2)],
    "spend": [figures_of(spend={"USD": n}, most=100) for n in (100, 99, 80, 81)],
    "errors": [figures_of(errors={"it broke": n} if n else {}) for n in (1, 0, 0, 1)],
    "ghost_calls": [figures_of(left=LeftCalls(at_carrier=n)) for n in (1, 0, 0, 1)],
    "audit_failure": [audited(n) for n in (1, 0, 0, 1)],
    "deletions_wait": [figures_of(errors={JOURNAL_LINE: n} if n else {}) for n in (1, 0, 0, 1)],
    "store_rights": [figures_of(lacking=rights) for rights in ("+set", "", "", "+set")],
    "store_away": [figures_of(away_s=seconds) for seconds in (10, 9.9, 1, 1.1)],
}


def test_all_rules_have_a_case():
    assert list(CASES) == [rule.name for rule in RULES]


@pytest.mark.parametrize("name", CASES)
def test_a_rule_is_raised_and_over_at_its_bounds_after_its_time_and_not_before(name):
    rule, (bad, nearly_bad, good, nearly_good) = BY_NAME[name], CASES[name]
    raised_s, over_s = int(rule.raise_after_s), int(rule.clear_after_s)
    assert after(AlarmBoard(), *[nearly_bad] * 200) == []
    alarms = AlarmBoard()
    (raised,) = after(alarms, *[bad] * (raised_s + 1))
    assert (raised[0], raised[2]) == (raised_s, False)
    assert raised[1].startswith(f"{name}:")
    begin_s = NOW_S + raised_s + 1
    assert after(alarms, *[bad, nearly_good] * 100, begin_s=begin_s) == []
    ends = [good] * (over_s + 1)
    assert after(alarms, *ends, begin_s=begin_s + 200) == [(over_s, raised[1], True)]
    assert alarms.standing() == []


@pytest.mark.parametrize("name", ["node_full", "calls_fail", "low_mos", "one_way_audio", "spend"])
def test_what_is_bad_for_too_short_a_time_rings_not_at_all(name):
    bad, nearly_bad, *_ = CASES[name]
    for held_s in range(int(BY_NAME[name].raise_after_s)):
        assert after(AlarmBoard(), *([bad] * (held_s + 1) + [nearly_bad]) * 3) == []


@given(st.lists(st.sampled_from([120.0, 249.0, 250.0, 340.0]), min_size=1, max_size=60))
def test_a_figure_that_swings_about_the_bound_rings_once(values):
    assert len(after(AlarmBoard(), lag(250), *map(lag, values))) == 1


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(0, 40)), max_size=60))
def test_an_alarm_begins_and_ends_by_turns_and_stands_in_between(looks):
    alarms, now_s, stands = AlarmBoard(), NOW_S, False
    for value, passed_s in looks:
        now_s += passed_s
        for change in alarms.look(lag(value), now_s):
            assert change.is_over == stands
            stands = not change.is_over
        assert [each.name for each in alarms.standing()] == ["loop_lag:n1"] * stands


def test_a_node_that_was_told_to_stop_is_not_missed():
    stopped = figures_of(node_of("n2", is_lost=True, is_draining=True))
    assert after(AlarmBoard(), *[stopped] * 60) == []


def test_of_a_node_that_is_gone_nothing_else_is_said():
    gone = figures_of(node_of("n2", is_lost=True, lag_ms=900.0, calls=100))
    assert after(AlarmBoard(), *[gone] * 60) == [(3, "node_lost:n2", False)]


def test_nodes_that_are_missed_for_a_moment_are_not_lost():
    # What is kept of nodes was emptied, and each has spoken again within two seconds.
    assert after(AlarmBoard(), WELL, LOST, LOST, LOST, WELL, LOST, WELL) == []


def test_a_subject_that_is_gone_is_over_as_one_that_is_well_and_rings_again():
    alarms, nothing = AlarmBoard(), figures_of()
    assert after(alarms, *[failing(90)] * 31) == [(30, "calls_fail:DE", False)]
    assert after(alarms, *[nothing] * 31, begin_s=NOW_S + 40) == [(30, "calls_fail:DE", True)]
    again = after(alarms, *[failing(90)] * 31, begin_s=NOW_S + 90)
    assert again == [(30, "calls_fail:DE", False)]


@pytest.mark.parametrize(
    ("few", "enough"),
    [
        (figures_of(talking=4, mos=2.0), figures_of(talking=5, mos=2.0)),
        (figures_of(talking=4, silent=4), figures_of(talking=5, silent=5)),
        (
            figures_of(countries=[country_of(attempts=19, failed=19)]),
            figures_of(countries=[country_of(attempts=20, failed=20)]),
        ),
    ],
    ids=["mos", "silence", "country"],
)
def test_too_few_calls_say_nothing_and_calls_that_are_too_few_by_turns_ring_once(few, enough):
    assert after(AlarmBoard(), *[few] * 100) == []
    alarms = AlarmBoard()
    assert len(after(alarms, *[enough] * 40)) == 1
    assert after(alarms, *([few] * 10 + [enough] * 35) * 5, begin_s=NOW_S + 40) == []


def test_a_clock_that_is_set_back_begins_a_wait_again_and_never_makes_one_endless():
    alarms = AlarmBoard()
    assert after(alarms, *[full(95)] * 29) == []
    hour_ago_s = NOW_S - 3600
    assert after(alarms, *[full(95)] * 31, begin_s=hour_ago_s) == [(30, "node_full:n1", False)]
    assert after(alarms, *[full(10)] * 29, begin_s=hour_ago_s + 31) == []
    day_ago_s = NOW_S - 86_400
    assert after(alarms, *[full(10)] * 31, begin_s=day_ago_s) == [(30, "node_full:n1", True)]


def test_a_clock_that_jumps_forward_rings_no_more_than_once():
    alarms = AlarmBoard()
    assert after(alarms, full(95), full(95), full(95), step_s=7200) == [(1, "node_full:n1", False)]


def test_of_ten_thousand_subjects_as_many_ring_as_may_and_the_first_ones_stay():
    alarms = AlarmBoard()
    many = figures_of(*(node_of(f"n{n:05}", lag_ms=500.0) for n in range(10_000)))
    assert len(alarms.look(many, NOW_S)) == ALARMS_MAX
    assert alarms.look(many, NOW_S + 1) == []
    first = [f"loop_lag:n{n:05}" for n in range(ALARMS_MAX)]
    assert [each.name for each in alarms.standing()] == first
    over = [change for second in range(40) for change in alarms.look(figures_of(), NOW_S + second)]
    assert names(over) == [(name, True) for name in first]


def test_whatever_stands_it_is_told_that_the_store_is_away():
    alarms = AlarmBoard()
    alarms.look(figures_of(*(node_of(f"n{n}", lag_ms=500.0) for n in range(300))), NOW_S)
    assert names(alarms.look(figures_of(away_s=11), NOW_S + 1)) == [(f"{STORE_AWAY}:", False)]


def test_while_the_store_is_away_nothing_else_begins_or_ends():
    alarms = AlarmBoard()
    alarms.look(lag(500), NOW_S)
    away = figures_of(node_of("n1"), node_of("n2", is_lost=True), away_s=60)
    assert after(alarms, *[away] * 90, begin_s=NOW_S + 1) == [(0, f"{STORE_AWAY}:", False)]
    assert [each.rule for each in alarms.standing()] == ["loop_lag", STORE_AWAY]
    only = figures_of(node_of("n9", lag_ms=900.0))
    assert names(alarms.look(only, NOW_S + 100, only_store=True)) == []


@pytest.mark.parametrize(
    "name", ["n\nBcc: x@evil.example", "n\r\n\r\nbody", "\x00", "n" * (SUBJECT_MAX + 1), "\u202en2"]
)
def test_what_nobody_can_be_named_is_no_subject(name):
    bad = figures_of(node_of(name, is_lost=True), errors={name: 5}, countries=[])
    assert after(AlarmBoard(), *[bad] * 10) == []


@pytest.mark.parametrize("name", ["{value}", "{0.__class__}", "%s", "<b>", "a:b", "käse 100 %"])
def test_a_name_is_told_as_it_is(name):
    (change,) = AlarmBoard().look(figures_of(errors={name: 7}), NOW_S)
    assert change.alarm.title == f"An error is logged: {name} (7 times)."
    assert change.alarm.name == f"errors:{name}"


def test_an_alarm_says_its_figure_in_the_unit_that_people_read():
    alarms = AlarmBoard()
    slow = figures_of(countries=[country_of(pdd_ms=12_345)])
    after(alarms, *[slow] * 31)
    (alarm,) = alarms.standing()
    assert (alarm.title, alarm.value, alarm.unit, alarm.since_s) == (
        "Calls to DE take 12.3 s until they ring.",
        12.3,
        "s",
        NOW_S + 30,
    )


def test_an_alarm_that_stands_knows_its_figure_of_now_and_tells_the_one_that_it_began_with():
    alarms = AlarmBoard()
    (begun,) = [change for n in range(9) for change in alarms.look(lag(61_922.9), NOW_S + n)]
    assert begun.alarm.title == "Node n1 is late: 61.9 s."
    assert after(alarms, lag(120), begin_s=NOW_S + 9) == []
    (alarm,) = alarms.standing()
    assert (alarm.title, alarm.value) == (begun.alarm.title, 61_922.9)
    assert (alarm.as_now().title, alarm.now) == ("Node n1 is late: 120 ms.", 120)
    # Too few calls to say anything, for example: the last that is known stays.
    alarms.look(figures_of(), NOW_S + 10)
    assert alarms.standing() == [alarm]


def test_a_long_figure_is_told_in_all_its_digits():
    (change,) = AlarmBoard().look(figures_of(errors={"it broke": 12_345_678}), NOW_S)
    assert change.alarm.title == "An error is logged: it broke (12345678 times)."


def test_spend_is_of_no_interest_without_a_bound_and_judged_by_currency():
    spend = {"USD": 10**12, "EUR": 5}
    assert after(AlarmBoard(), *[figures_of(spend=spend)] * 60) == []
    bad = [figures_of(spend=spend, most=10**6)] * 60
    assert after(AlarmBoard(), *bad) == [(10, "spend:USD", False)]


def test_that_a_mail_did_not_leave_rings_no_alarm_of_which_a_mail_would_not_leave():
    own = NOT_MAILED
    logged = figures_of(errors={own: 3, "it broke": 1})
    assert after(AlarmBoard(), *[logged] * 9) == [(0, "errors:it broke", False)]


def by_prefix(whole, *parts, rule="failed"):
    """Return figures of a country, and of its prefixes; each of them `(attempts, figure)`."""
    prefixes = [
        prefix_of(f"+491{n}", attempts=attempts, **{rule: figure})
        for n, (attempts, figure) in enumerate(parts)
    ]
    attempts, figure = whole
    row = country_of(attempts=attempts, prefixes=tuple(prefixes), **{rule: figure})
    return figures_of(countries=[row])


PREFIX_S = int(PARTS_AFTER_S)
PREFIX_FAILS = by_prefix((200, 40), (40, 38), (40, 0))
"""All calls to one prefix fail: a fifth of those to its country."""
PREFIX_SLOW = by_prefix((200, 3_000), (40, 20_000), (40, 2_000), rule="pdd_ms")


@pytest.mark.parametrize(
    ("rule", "bad"), [("calls_fail", PREFIX_FAILS), ("slow_ringing", PREFIX_SLOW)]
)
def test_a_prefix_that_fails_in_a_country_that_is_well_is_told_of_by_name(rule, bad):
    alarms = AlarmBoard()
    assert after(alarms, *[bad] * 300) == [(PREFIX_S, f"{rule}:DE +4910", False)]
    ends = after(alarms, *[figures_of(countries=[country_of()])] * 60, begin_s=NOW_S + 300)
    assert ends == [(30, f"{rule}:DE +4910", True)]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("calls_fail", by_prefix((100, 60), (98, 60))),
        ("calls_fail", by_prefix((100, 60), (50, 30), (40, 24))),
        ("slow_ringing", by_prefix((100, 12_000), (98, 12_000), rule="pdd_ms")),
        ("slow_ringing", by_prefix((100, 12_000), (50, 12_000), (50, 12_000), rule="pdd_ms")),
    ],
    ids=["only one fails", "all fail", "only one is slow", "all are slow"],
)
def test_of_a_country_in_which_all_busy_prefixes_are_bad_the_country_alone_is_told_of(rule, bad):
    # Some of its prefixes have crossed the bound before it did, by less than they have to wait.
    first = by_prefix((200, 10), (40, 30)) if rule == "calls_fail" else PREFIX_SLOW
    looks = [first] * (PREFIX_S - 60) + [bad] * 300
    assert after(AlarmBoard(), *looks) == [(PREFIX_S - 30, f"{rule}:DE", False)]


@pytest.mark.parametrize(
    ("rule", "begin", "more"),
    [
        # The prefix has come to most calls of its country, the rest of which is as well as ever.
        ("calls_fail", PREFIX_FAILS, by_prefix((200, 120), (140, 119))),
        ("slow_ringing", PREFIX_SLOW, by_prefix((200, 20_000), (140, 20_000), rule="pdd_ms")),
    ],
)
def test_what_is_told_of_a_prefix_is_not_told_again_of_its_country(rule, begin, more):
    alarms = AlarmBoard()
    assert len(after(alarms, *[begin] * (PREFIX_S + 1))) == 1
    assert after(alarms, *[more] * 300, begin_s=NOW_S + 200) == []
    assert [each.subject for each in alarms.standing()] == ["DE +4910"]


def test_where_the_rest_of_a_country_fails_as_well_that_is_told_and_its_prefixes_no_more():
    alarms = AlarmBoard()
    after(alarms, *[PREFIX_FAILS] * (PREFIX_S + 1))
    # Of all its calls the rest that fails is a seventh; of the rest it is half.
    worse = by_prefix((200, 168), (140, 138), (40, 20))
    assert after(alarms, *[worse] * 300, begin_s=NOW_S + 200) == [(30, "calls_fail:DE", False)]


def test_a_prefix_that_goes_on_failing_is_told_of_once_its_country_is_well():
    alarms = AlarmBoard()
    bad = by_prefix((100, 60), (50, 40))
    assert len(after(alarms, *[bad] * 200)) == 1
    ends = after(alarms, *[PREFIX_FAILS] * 60, begin_s=NOW_S + 200)
    assert ends == [(30, "calls_fail:DE", True), (30, "calls_fail:DE +4910", False)]


def test_prefixes_of_one_name_in_two_countries_and_in_none_are_told_apart():
    def row(country, failed):
        part = prefix_of("+1", failed=failed)
        return country_of(country, attempts=1_000, prefixes=(part,))

    bad = figures_of(countries=[row("US", 39), row("CA", 1), row("", 39)])
    found = {name for _, name, _ in after(AlarmBoard(), *[bad] * 200)}
    assert found == {"calls_fail:US +1", "calls_fail:no country +1"}


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 90)),
        min_size=1,
        max_size=20,
    )
)
def test_an_alarm_of_a_country_never_stands_for_what_its_rest_does_not_show(looks):
    """Whatever comes when: a prefix begins only where no alarm of its country stands."""
    alarms, now_s = AlarmBoard(), NOW_S
    for failed, others, passed_s in looks:
        now_s += passed_s
        before = {each.subject for each in alarms.standing()}
        bad = by_prefix((120, failed + others), (60, failed))
        for change in alarms.look(bad, now_s):
            if not change.is_over and change.alarm.subject == "DE +4910":
                assert "DE" not in before
            if not change.is_over and change.alarm.subject == "DE" and "DE +4910" in before:
                assert others / 60 >= 0.3


@pytest.mark.parametrize("line", sorted(LEFT_LINES))
def test_a_ghost_that_no_list_has_rings_as_a_call_of_nobody_and_not_as_an_error(line):
    given_up = figures_of(errors={line: 2})
    assert after(AlarmBoard(), *[given_up] * 9) == [(0, "ghost_calls:at the carrier", False)]


def test_calls_at_the_carrier_and_of_lost_nodes_are_told_apart_and_counted():
    alarms = AlarmBoard()
    alarms.look(figures_of(left=LeftCalls(2, 3), errors={"ghost dropped": 1}), NOW_S)
    assert [each.title for each in alarms.standing()] == [
        "Calls that nobody looks after, at the carrier: 3.",
        "Calls that nobody looks after, of lost nodes: 3.",
    ]


def test_what_to_do_about_calls_of_nobody_names_lines_that_the_manual_of_operations_has():
    named = set(re.findall(r"`([^`]+)`", BY_NAME["ghost_calls"].action))
    assert {"ghost not ended", *LEFT_LINES, "call placed"} == named
    events = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    assert all(f"`{line}`" in events for line in named)


def test_a_journal_that_cannot_be_written_rings_by_its_rule_with_the_next_step():
    failing = figures_of(errors={JOURNAL_LINE: 2})
    # It is over as soon as the line is not logged any more.
    assert after(AlarmBoard(), *[failing] * 3, *[figures_of()] * 2) == [
        (0, "deletions_wait:", False),
        (4, "deletions_wait:", True),
    ]
    assert "`caller check`" in BY_NAME["deletions_wait"].action
    assert f"`{JOURNAL_LINE}`" in (Path(__file__).parents[3] / "docs/operations.md").read_text()


def test_what_an_audit_finds_rings_by_its_rule_and_not_as_an_error():
    bad = audited(2)
    bad.errors[AUDIT_LINE] = 1
    alarms = AlarmBoard()
    assert [name for name, _ in names(alarms.look(bad, NOW_S))] == [
        "audit_failure:balance is not ledger less holds"
    ]
    # Another fault is told even where somebody is at the first.
    other = audited(1, rule="credit not in the ledger")
    changes = after(alarms, *[other] * 31, begin_s=NOW_S + 1)
    assert [change[1:] for change in changes] == [
        ("audit_failure:credit not in the ledger", False),
        ("audit_failure:balance is not ledger less holds", True),
    ]


def test_an_audit_that_is_not_made_for_days_is_told_of_and_one_that_never_was_is_not():
    day_s = 86_400
    assert after(AlarmBoard(), *[audited(0, age_s=2.9 * day_s)] * 9) == []
    assert after(AlarmBoard(), *[figures_of(at_s=NOW_S)] * 9) == []
    assert after(AlarmBoard(), *[audited(0, age_s=3 * day_s)] * 9) == [
        (0, "audit_failure:not done for days", False)
    ]


def test_what_another_process_has_found_goes_on_and_ends_here():
    first = AlarmBoard()
    first.look(lag(500), NOW_S)
    second = AlarmBoard()
    second.adopt(first.standing())
    assert second.standing() == first.standing()
    assert second.look(lag(500), NOW_S + 1) == []
    ends = after(second, *[lag(1)] * 31, begin_s=NOW_S + 2)
    assert ends == [(30, "loop_lag:n1", True)]


def test_of_what_was_found_elsewhere_no_more_is_taken_than_may_stand_and_nothing_unknown():
    def alarm(rule, subject):
        return Alarm(rule=rule, subject=subject, title="", value=1, unit="", since_s=NOW_S)

    alarms = AlarmBoard()
    alarms.adopt([alarm("loop_lag", f"n{n}") for n in range(10_000)])
    assert len(alarms.standing()) == ALARMS_MAX
    alarms.adopt([alarm("no_such_rule", "n1")])
    assert alarms.standing() == []


def test_only_the_alarm_that_was_told_of_is_noted_as_told():
    alarms = AlarmBoard()
    (change,) = alarms.look(lag(500), NOW_S)
    before = msgspec.structs.replace(change.alarm, since_s=NOW_S - 60)
    alarms.note_told(before, NOW_S + 1)
    assert alarms.standing()[0].told_s is None
    alarms.note_told(change.alarm, NOW_S + 1)
    assert alarms.standing()[0].told_s == NOW_S + 1
    gone = msgspec.structs.replace(change.alarm, subject="n9")
    alarms.note_told(gone, NOW_S + 1)
    assert len(alarms.standing()) == 1


def test_a_right_that_is_missing_is_named_and_the_store_is_not_said_to_be_away():
    alarms = AlarmBoard()
    silent = figures_of(away_s=600, lacking="&caller/watch/*")
    found = [change for n in range(60) for change in alarms.look(silent, NOW_S + n)]
    assert names(found) == [("store_rights:&caller/watch/*", False)]
    assert found[0].alarm.title == "Valkey refuses what nodes need: &caller/watch/*."
    assert not alarms.is_store_away
    # Nothing else is judged while nothing is heard: not by what was known before.
    assert after(
        AlarmBoard(), *[figures_of(LOST.nodes[0], away_s=600, lacking="+publish")] * 60
    ) == [(0, "store_rights:+publish", False)]


def test_an_alarm_that_the_store_is_away_ends_where_it_answers_that_a_right_is_missing():
    alarms = AlarmBoard()
    (raised,) = after(alarms, figures_of(away_s=10))
    assert raised == (0, "store_away:", False)
    told = after(alarms, *[figures_of(away_s=20, lacking="+publish")] * 10)
    assert told == [(0, "store_rights:+publish", False), (5, "store_away:", True)]
