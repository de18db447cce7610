"""Composes what every page needs: how pages look, and the door through which people come in."""

from __future__ import annotations

from dataclasses import replace

from billing.clock import utc_now
from gateway.app import PeopleServices
from gateway.apps import template_packages
from gateway.http.site.door import Door
from gateway.http.site.rendering import Pages
from gateway.people.build import new_address_countries, new_holders
from gateway.ports import Velocity
from gateway.roles.branding import load_branding
from gateway.stores.sent_answers import SqlAnsweredForms
from gateway.stores.wishes import RedisWishes


def new_pages(services: PeopleServices) -> Pages:
    """Return what renders pages, in the name of the service. May raise SettingsError."""
    return Pages(load_branding(services.settings), template_packages())


def new_door(services: PeopleServices, velocity: Velocity) -> Door:
    """Return what all pages are opened through. May raise SettingsError."""
    wishes = RedisWishes(services.stores.redis, secret=services.settings.shared_secret)
    countries = services.one(new_address_countries)
    door = Door(
        services.one(new_holders),
        services.one(new_pages),
        utc_now,
        velocity,
        SqlAnsweredForms(wishes),
    )
    return door if countries is None else replace(door, country_of=countries.country)
