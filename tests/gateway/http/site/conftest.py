"""The pages on stores in memory, and a browser that follows no redirect by itself."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from html.parser import HTMLParser

import httpx
import pytest

from gateway.apps import template_packages
from gateway.buttons.acts import ButtonActs
from gateway.buttons.destination_pages import DestinationPages
from gateway.buttons.own_buttons import OwnButtons
from gateway.buttons.pages import ButtonPages
from gateway.calls.rate_table import RateTable
from gateway.http.app import create_app
from gateway.http.cookies import Cookies
from gateway.http.holders import Holders
from gateway.http.site.branding import Branding
from gateway.http.site.calls import CallPages
from gateway.http.site.door import Door
from gateway.http.site.landing import LandingPages
from gateway.http.site.rates import RatesPages
from gateway.http.site.reference import ReferencePages
from gateway.http.site.rendering import Pages
from gateway.payments.api import CardPayments
from gateway.payments.pages import CreditPages
from gateway.people.account_pages import AccountPages
from gateway.people.data_pages import DataPages
from gateway.people.document_pages import DocumentPages
from gateway.people.exports import OwnExports
from gateway.people.key_pages import KeyPages
from gateway.people.keys import Keys
from gateway.people.leaving_pages import LeavingPages
from gateway.people.link_pages import LinkPages
from gateway.people.own_documents import OwnDocuments
from gateway.people.passkey_pages import PasskeyPages
from gateway.people.privacy_pages import PrivacyPages, RestrictionPages
from gateway.people.security_pages import SecurityPages
from gateway.people.sign_in_pages import SignInCodePages, SignInPages
from gateway.people.sign_up_pages import SignUpPages
from gateway.settings import Settings
from gateway.supervision.own_rule import Supervision
from gateway.supervision.pages import SupervisionPages
from gateway.webhooks.pages import WebhookPages
from gateway.webhooks.signature import SecretMaker
from gateway.words.data_map import Kept
from tests.flat_text import flat
from tests.gateway.buttons.button_books import MemoryButtons, MemoryProofs
from tests.gateway.buttons.on_stage.test_ended_buttons import Eras
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.site.books import Closed, HolderKeys, PaymentBook, Rates, Till, new_books
from tests.gateway.http.site.webhook_books import MemoryEndpoints
from tests.gateway.people.memory import EMAIL, PASSWORD, World
from tests.gateway.people.memory_exports import MemoryExports, MemoryRows
from tests.gateway.supervision.test_own_rule import Kept as MemorySupervision

ORIGIN = "https://calls.example.com"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these tests in real time: passwords are judged in a thread."""
    return {"real": asyncio.new_event_loop}


class Form(HTMLParser):
    """What a browser would send of the page's forms, and what it shows."""

    def __init__(self, html):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = flat(self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def input(self, name):
        return next(attrs for attrs in self.of("input") if attrs.get("name") == name)


class Site:
    """All pages, the world behind them, and a browser."""

    def __init__(self, *, is_open=True, is_offered=True, origin=ORIGIN):
        self.origin = origin
        self.world = world = World()
        self.balance = 12_340_000
        self.books = new_books()
        holders = Holders(world.browsers, Cookies(origin), frozenset({origin}))
        self.pages = Pages(Branding("Example Calls", "help@example.com"), template_packages())
        self.door = door = Door(holders, self.pages, lambda: world.now, world.velocity)
        self.rows, self.exports = MemoryRows(), MemoryExports(world)
        self.own_exports = OwnExports(self.exports, lambda: world.now, world.new_secret)
        self.till, self.rates, self.velocity = Till(), Rates(), Velocity()
        books, table = self.books, RateTable(self.rates, Closed)
        self.call_pages = CallPages(door, books.index, books.statements)
        self.credit_pages = CreditPages(
            door,
            Settings(public_origin=origin),
            books.index.credit,
            table,
            books.statements,
            PaymentBook(self.till),
            self.velocity,
            CardPayments(self.till, self.till),
            lambda: secrets.token_urlsafe(18),
        )
        self.rates_pages = RatesPages(door, self.velocity, self.rates, Closed, table, "USD")
        self.table = table
        self.home_countries, self.landing_button = (), ""
        self.keys = HolderKeys()
        self.key_pages = KeyPages(
            door,
            Keys(self.keys, world.velocity, lambda: world.now),
            lambda: secrets.token_urlsafe(18),
        )
        self.webhooks = MemoryEndpoints(lambda: world.now)
        self.webhook_pages = WebhookPages(
            door,
            self.webhooks,
            SecretMaker(["k" * 32]),
            (),
        )
        self.supervision = MemorySupervision()
        self.buttons = MemoryButtons()
        self.proofs = MemoryProofs(self.buttons)
        self.eras, self.refused, self.running = Eras(), {}, 0
        acts = ButtonActs(self.buttons, self.eras, world.velocity, lambda: world.now, 3_600)
        self.own_buttons = OwnButtons(acts, self, self.running_of)
        self.documents = OwnDocuments()
        self.is_open, self.is_offered = is_open, is_offered
        self.rebuild()

    def rebuild(self):
        """Take the pages as they are now into the application."""
        door, world = self.door, self.world
        self.routes = [
            *LandingPages(
                door,
                self.table,
                "USD",
                self.home_countries,
                self.is_open,
                self.landing_button,
            ).routes(),
            *SignUpPages(door, world.sign_up, self.is_open).routes(),
            *SignInPages(
                door, world.sign_in, world.browsers, world.passkeys, self.is_open
            ).routes(),
            *SignInCodePages(door, world.sign_in).routes(),
            *SecurityPages(door, world.enrolment, world.passkeys, self.is_offered).routes(),
            *PasskeyPages(door, world.passkeys).routes(),
            *LinkPages(door, world.links, world.passwords, world.sign_in, world.addresses).routes(),
            *AccountPages(
                door,
                world.passwords,
                world.addresses,
                world.browsers,
                world.sign_outs,
                self.balance_of,
                world.privacy,
                world.is_leaving,
            ).routes(),
            *LeavingPages(door, world.leaving, Kept()).routes(),
            *PrivacyPages(door, world.privacy, self.documents, lambda: world.now).routes(),
            *RestrictionPages(door, world.privacy).routes(),
            *SupervisionPages(
                door, Supervision(self.supervision, world.velocity, lambda: world.now)
            ).routes(),
            *DataPages(door, self.rows, world.browsers, self.own_exports, Kept()).routes(),
            *DocumentPages(door, self.documents, Kept()).routes(),
            *self.call_pages.routes(),
            *self.credit_pages.routes(),
            *self.rates_pages.routes(),
            *self.key_pages.routes(),
            *self.webhook_pages.routes(),
            *ButtonPages(
                door,
                self.own_buttons,
                self.balance_of,
                ORIGIN,
                lambda: secrets.token_urlsafe(18),
            ).routes(),
            *DestinationPages(door, self.own_buttons, self.proofs).routes(),
            *ReferencePages(door, ORIGIN).routes(),
            *self.pages.routes(),
        ]
        self.client = self.new_browser()

    async def running_of(self, _account_id, _key_id):
        if isinstance(self.running, Exception):
            raise self.running
        return self.running

    async def of_day(self, _button_id, _at):
        return self.refused

    async def balance_of(self, _account_id):
        if isinstance(self.balance, Exception):
            raise self.balance
        return self.balance

    def new_browser(self):
        transport = httpx.ASGITransport(
            create_app(self.routes, show_missing=self.door.show_missing),
            raise_app_exceptions=False,
        )
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN)

    async def get(self, path):
        return await self.client.get(path)

    async def post(self, path, headers=None, **fields):
        given = {"sec-fetch-site": "same-origin"} if headers is None else headers
        return await self.client.post(path, data=fields, headers=given)

    async def enter(self, email=EMAIL, password=PASSWORD, **fields):
        return await self.post("/sign-in", email=email, password=password, **fields)

    def read(self, reply):
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        return Form(reply.text)

    @property
    def cookie(self):
        return self.client.cookies.get("__Host-caller", "").strip('"')


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def closed_site():
    return Site(is_open=False)


def place(reply):
    """Return where a redirect leads."""
    assert reply.status_code == 303, (reply.status_code, re.sub(r"<[^>]*>", "", reply.text))
    return reply.headers["location"]
