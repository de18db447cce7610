"""The table of national tones."""

from __future__ import annotations

import pytest

from media.tone_plan import DEFAULT_PLAN, PLANS, Cadence, plan_of


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


# The same facts as people write them: frequencies, then milliseconds on and off.
WELL_KNOWN = {
    "US": ("440+480 2000 4000", "480+620 500 500", "480+620 250 250"),
    "CA": ("440+480 2000 4000", "480+620 500 500", "480+620 250 250"),
    "GB": ("400+450 400 200 400 2000", "400 375 375", "400 400 350 225 525"),
    "IE": ("400+450 400 200 400 2000", "425 500 500", "425 250 250"),
    "DE": ("425 1000 4000", "425 480 480", "425 240 240"),
    "FR": ("440 1500 3500", "440 500 500", "440 250 250"),
    "ES": ("425 1500 3000", "425 200 200", "425 200 200 200 200 200 600"),
    "IT": ("425 1000 4000", "425 500 500", "425 200 200"),
    "NL": ("425 1000 4000", "425 500 500", "425 250 250"),
    "AU": ("400+450 400 200 400 2000", "425 375 375", "425 375 375"),
    "NZ": ("400+450 400 200 400 2000", "400 500 500", "400 250 250"),
    "JP": ("400*16 1000 2000", "400 500 500", "400 500 500"),
    "IN": ("400*25 400 200 400 2000", "400 750 750", "400 250 250"),
    "BR": ("425 1000 4000", "425 250 250", "425 250 250 750 250"),
    "CN": ("450 1000 4000", "450 350 350", "450 700 700"),
    "": ("425 1000 4000", "425 500 500", "425 250 250"),
}


def written(cadence: Cadence) -> str:
    first = cadence[0]
    sound = "+".join(map(str, first.frequencies_hz))
    swing = f"*{first.modulation_hz}" if first.modulation_hz else ""
    return " ".join([sound + swing, *(f"{burst.on_ms} {burst.off_ms}" for burst in cadence)])


@pytest.mark.parametrize("country", WELL_KNOWN)
def test_well_known_tones(country: str) -> None:
    plan = plan_of(country)
    assert (
        written(plan.ringback),
        written(plan.busy),
        written(plan.congestion),
    ) == WELL_KNOWN[country]


@pytest.mark.parametrize("country", [*PLANS, ""])
def test_a_cadence_is_one_sound(country: str) -> None:
    plan = plan_of(country)
    for cadence in (plan.ringback, plan.busy, plan.congestion):
        assert len({(burst.frequencies_hz, burst.modulation_hz) for burst in cadence}) == 1
