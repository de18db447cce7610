"""The table of national tones."""

from __future__ import annotations

import pytest

from media.tone_plan import DEFAULT_PLAN, PLANS, Burst, plan_of


@pytest.mark.parametrize("country", [*PLANS, ""])
def test_each_plan_is_within_what_e180_allows(country: str) -> None:
    plan = plan_of(country)
    for cadence in (plan.ringback, plan.busy, plan.congestion):
        assert cadence
        for burst in cadence:
            assert 1 <= len(burst.frequencies_hz) <= 2
            assert all(400 <= hz <= 620 for hz in burst.frequencies_hz)
            assert 150 <= burst.on_ms <= 2_000
            assert 150 <= burst.off_ms <= 5_000
    # One can tell them apart: ringing pauses for seconds, busy does not.
    assert plan.ringback[-1].off_ms >= 2_000
    assert all(burst.off_ms <= 750 for burst in plan.busy + plan.congestion)


def test_unknown_countries_have_the_default() -> None:
    assert plan_of("") is plan_of("XK") is plan_of("us") is DEFAULT_PLAN


def test_codes_are_iso_3166_alpha_2() -> None:
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in PLANS)


def test_some_well_known_tones() -> None:
    assert plan_of("US").ringback == (Burst((440, 480), 2_000, 4_000),)
    assert plan_of("CA") is plan_of("US")
    assert plan_of("GB").ringback == (Burst((400, 450), 400, 200), Burst((400, 450), 400, 2_000))
    assert plan_of("DE").busy == (Burst((425,), 480, 480),)
    assert plan_of("IN").ringback[0].modulation_hz == 25
