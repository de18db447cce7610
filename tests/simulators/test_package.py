"""The simulators' own package: it goes with one release of the gateway, whose wheel has none."""

import tomllib

from tests.thorough import ROOT

PROJECT = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))
SIMULATORS = tomllib.loads((ROOT.parent / "simulators/pyproject.toml").read_text("utf-8"))


def test_it_goes_with_one_release_of_the_gateway() -> None:
    version = PROJECT["project"]["version"]
    assert SIMULATORS["project"]["version"] == version
    extra = PROJECT["project"]["optional-dependencies"]["simulators"]
    assert extra == [f"caller-simulators=={version}"]


def test_what_it_needs_beside_the_gateway_is_locked() -> None:
    own = PROJECT["dependency-groups"]["simulators"]
    gateway = f"caller=={PROJECT['project']['version']}"
    assert SIMULATORS["project"]["dependencies"] == [*own, gateway]


def test_the_gateway_s_wheel_has_neither_simulators_nor_benchmarks() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {"simulators", "benchmarks", "tests"} & {*packages} == set()


def test_each_of_its_modules_is_in_its_wheel() -> None:
    taken = {*SIMULATORS["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]}
    folder = ROOT.parent / "simulators"
    names = {path.relative_to(folder).parts[0] for path in folder.rglob("*.py")}
    assert names == taken
