"""Which cases of tests that are marked `by_turns` are left out."""

from itertools import combinations, product
from types import SimpleNamespace

import pytest

from tests.postgres import pytest_collection_modifyitems

PARAMETERS = {"split": [(20,), (1, 19), (3, 9, 8)], "seed": range(2), "way": ["late", "thrice"]}


def case(is_marked, params):
    names = [name for name in params if name != "engine"]
    marks = [pytest.mark.parametrize(name, PARAMETERS[name]).mark for name in names]
    return SimpleNamespace(
        params=params,
        callspec=SimpleNamespace(params=params),
        iter_markers=lambda _: marks,
        get_closest_marker=lambda _: is_marked or None,
    )


def kept(*names, is_marked=True):
    """Return the parameters of the cases that are left of all of a test with these."""
    values = [*(PARAMETERS[name] for name in names), ("sqlite", "postgres")]
    items = [
        case(is_marked, dict(zip((*names, "engine"), each, strict=True)))
        for each in product(*values)
    ]
    before, told = list(items), {}
    hook = SimpleNamespace(pytest_deselected=told.update)
    pytest_collection_modifyitems(SimpleNamespace(hook=hook), items)
    assert len(items) + len(told.get("items", ())) == len(before)
    return [item.params for item in items]


@pytest.mark.parametrize("names", [["split", "seed"], ["seed", "way"], ["split", "seed", "way"]])
def test_half_of_the_cases_meet_each_value_with_each_other_and_with_both_databases(names):
    cases = kept(*names)
    of_both = {name: [*PARAMETERS[name]] for name in names} | {"engine": ["sqlite", "postgres"]}
    assert 2 * len(cases) == len([*product(*of_both.values())])
    for one, other in combinations(of_both, 2):
        met = {(params[one], params[other]) for params in cases}
        assert met == set(product(of_both[one], of_both[other]))


def test_each_case_of_one_parameter_is_played_on_one_database():
    assert [(params["split"], params["engine"]) for params in kept("split")] == [
        ((20,), "sqlite"),
        ((1, 19), "postgres"),
        ((3, 9, 8), "sqlite"),
    ]


def test_without_parameters_or_the_mark_all_are_played():
    assert len(kept()) == 2
    assert len(kept("seed", is_marked=False)) == 4
