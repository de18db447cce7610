"""A person opens countries: after a step-up, a few a day, with a mail about each."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.http.outcomes import Faults, SessionOver, StepUpNeeded
from gateway.people.countries import Countries, CountryClosed, CountryOpened


class Kept:
    """`gateway.people.countries.HolderCountries` in memory."""

    def __init__(self):
        self.countries, self.notices, self.is_over = set(), [], False

    async def opened(self, _account_id):
        return frozenset(self.countries)

    async def open_country(self, _account_id, _epoch, country, *, day_max, notice):
        if self.is_over:
            return None
        if country in self.countries:
            return True
        if len(self.countries) >= day_max:
            return False
        self.countries.add(country)
        self.notices.append(notice)
        return True

    async def close_country(self, _account_id, _epoch, country):
        self.countries.discard(country)
        return not self.is_over


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
async def who(world):
    world.add()
    return await world.enter()


def countries(world, kept, home=("US",)):
    return Countries(kept, frozenset(home), 1, lambda: world.now)


async def test_a_country_is_opened_and_told_of(world, kept, who):
    flow = countries(world, kept)
    assert await flow.open_country(who, "FR", "France") == CountryOpened()
    assert await flow.opened(who) == {"FR"}
    (notice,) = kept.notices
    assert (notice.name, notice.values) == ("country_opened", {"country": "France"})
    full = Faults({"country": "countries_used_up"})
    assert await flow.open_country(who, "IT", "Italy") == full
    assert await flow.close_country(who, "FR") == CountryClosed()
    assert await flow.opened(who) == frozenset()


async def test_what_is_no_country_or_open_already_is_not_kept(world, kept, who):
    flow = countries(world, kept)
    unknown = Faults({"country": "country_unknown"})
    assert await flow.open_country(who, "XX", "") == unknown
    assert await flow.open_country(who, "US", "United States") == CountryOpened()
    everywhere = countries(world, kept, home=())
    assert await everywhere.open_country(who, "FR", "France") == CountryOpened()
    assert kept.notices == []


async def test_it_needs_a_password_lately_and_a_session_that_stands(world, kept, who):
    flow = countries(world, kept)
    kept.is_over = True
    assert await flow.open_country(who, "FR", "France") == SessionOver()
    assert await flow.close_country(who, "FR") == SessionOver()
    before = who.session.authenticated_at - timedelta(minutes=10)
    old = replace(who, session=replace(who.session, authenticated_at=before))
    assert await flow.open_country(old, "FR", "France") == StepUpNeeded()
