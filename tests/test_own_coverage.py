"""What `make coverage` says of what it has measured, and which test files are whose."""

import pytest

from tests.own_coverage import FLOOR_PERCENT, Row, Share, are_run, is_run
from tests.own_tests import ROOT, TESTED_BY, modules, own_tests


def row(taken, *tests):
    share = Share(taken, 100)
    is_measured = are_run(tests, [], thorough=False)
    return Row(
        "media.vad", tests, is_measured, share, Share(100, 100), Share(90, 100), Share(95, 100)
    )


@pytest.mark.parametrize(("taken", "total", "percent"), [(3, 4, 75), (0, 2, 0), (0, 0, 100)])
def test_a_share_of_nothing_is_all(taken, total, percent):
    assert Share(taken, total).percent == percent


def test_a_module_at_the_floor_is_well():
    assert row(FLOOR_PERCENT, "tests/media/test_vad.py").fault == ""


def test_a_module_below_the_floor_is_named_with_its_tests():
    fault = row(FLOOR_PERCENT - 1, "tests/media/test_vad.py").fault
    assert "tests/media/test_vad.py takes 74 % of the branches of media.vad" in fault
    assert "no test file of its own" in row(0).fault


@pytest.mark.parametrize("test", ["tests/calls/test_shutdown.py", "tests/money/test_clocks.py"])
def test_a_module_whose_own_tests_are_not_run_is_not_judged(test):
    assert row(0, test).fault == ""
    assert "not all run here" in str(row(0, test))


def test_with_thorough_all_is_run_but_what_sees_processes():
    assert is_run("tests/money/test_clocks.py", thorough=True)
    assert is_run("tests/gateway/cli/test_ledger.py", thorough=True)
    assert not is_run("tests/gateway/cli/test_ledger.py", thorough=False)
    assert not is_run("tests/calls/test_shutdown.py", thorough=True)


def test_in_pieces_a_module_is_judged_where_all_of_its_tests_are():
    tests = own_tests("billing.stores.column_audit")
    assert tests == (
        "tests/billing/sql/test_audit.py",
        "tests/billing/sql/test_planted_faults.py",
    )
    folder, file = ROOT / "tests/billing", ROOT / tests[0]
    assert are_run(tests, [folder], thorough=True)
    assert are_run(tests, [], thorough=True)
    assert not are_run(tests, [file], thorough=True)
    assert not are_run(tests, [ROOT / "tests/media"], thorough=True)
    assert not are_run(["tests/calls/test_shutdown.py"], [], thorough=True)


def test_a_module_with_a_test_that_is_left_out_is_judged_where_that_is_named():
    tests = own_tests("billing.stores.column_audit")
    assert not are_run(tests, [], thorough=False), "the other one is thorough"
    assert not are_run(tests, [ROOT / "tests/billing"], thorough=False)
    assert are_run(tests, [ROOT / test for test in tests], thorough=False)
    assert row(0, *tests).fault == ""


def test_what_sees_processes_keeps_no_module_from_being_judged():
    tests = own_tests("gateway.roles.process")
    assert "tests/calls/test_shutdown.py" in tests
    assert are_run(tests, [], thorough=False)


def test_a_row_shows_own_and_all():
    shown = str(row(7, "tests/media/test_vad.py")).split()
    assert (shown[0], shown[3], shown[-1]) == ("7/100", "100/100", "media.vad")


def test_own_tests_lie_at_the_same_path_or_are_named():
    assert own_tests("media.vad") == ("tests/media/test_vad.py",)
    assert own_tests("billing.stores.booking") == ("tests/billing/sql/test_booking.py",)
    assert own_tests("gateway.knobs") == ("tests/gateway/test_settings.py",)
    assert own_tests("gateway.nowhere") == ()


def test_what_is_named_exists():
    known = {module for module, _ in modules()}
    assert TESTED_BY.keys() <= known
    named = {test for tests in TESTED_BY.values() for test in tests}
    assert [test for test in named if not (ROOT / test).exists()] == []
