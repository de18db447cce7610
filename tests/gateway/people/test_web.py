"""People on real stores: each flow from its form to its mail and back, as a node serves them."""

import base64
import contextlib
import os
import re
import time
from dataclasses import replace

import aiohttp
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from accounts.erasure import Unspent
from accounts.notice import Notice
from accounts.totp import DIGITS, STEP_S
from billing.clock import utc_now
from gateway.app import PeopleServices
from gateway.people.build import new_departures, new_store, secret_box
from gateway.people.web import relying_party
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles.mail import build_writer
from gateway.roles.newcomer import make_holder
from gateway.roles.pages import new_door
from gateway.roles.serve import Gateway
from gateway.roles.storage import open_stores
from gateway.settings_variables import from_mapping
from gateway.stores.mail_outbox import SqlMailOutbox
from tests import mmdb
from tests.gateway.calls.test_live import Velocity
from tests.gateway.people.soft_passkey import SoftPasskey
from tests.valkey import free_port, valkey_server, valkey_url

__all__ = ["valkey_server", "valkey_url"]

ADA, NEW = "ada@example.com", "ada.l@example.org"
PASSWORD, OTHER, THIRD = "correct-zebra-tram-92", "violin under seven lakes", "nine blue cranes 71"
FROM_US = {"sec-fetch-site": "same-origin"}


class Browser:
    """A browser that keeps cookies and follows no redirect by itself."""

    def __init__(self, node, client):
        self.origin, self.client = node.settings.origin, client

    async def get(self, path):
        async with self.client.get(self.origin + path, allow_redirects=False) as reply:
            return reply.status, reply.headers.get("location", ""), await reply.text()

    async def post(self, path, **form):
        options = {"data": form, "headers": FROM_US, "allow_redirects": False}
        async with self.client.post(self.origin + path, **options) as reply:
            return reply.status, reply.headers.get("location", "")

    async def ask(self, path):
        """Return the challenge that a page's script is given."""
        # A script without a body declares none, where this client would.
        options = {"skip_auto_headers": ["Content-Type"], "allow_redirects": False}
        async with self.client.post(self.origin + path, headers=FROM_US, **options) as reply:
            return await reply.json()

    async def sign_in(self, password=PASSWORD, email=ADA):
        return await self.post("/sign-in", email=email, password=password)


class House:
    """A node, its mailboxes, and browsers."""

    def __init__(self, node, stack):
        self.node, self._stack = node, stack
        self.outbox = SqlMailOutbox(node.stores.engine)
        self.writer = build_writer(node.settings, node.stores.engine)

    async def browser(self):
        jar = aiohttp.CookieJar(unsafe=True)
        client = await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        return Browser(self.node, client)

    async def mails(self):
        """Return name and recipient of all mails, the oldest first."""
        mails = [(mail.notice.name, mail.notice.recipient) for mail in await self.outbox.newest(50)]
        return mails[::-1]

    async def link(self, name):
        """Return the path that the newest mail of a name leads to."""
        mail = next(mail for mail in await self.outbox.newest(50) if mail.notice.name == name)
        _, text = await self.writer.render(mail)
        return re.search(r"https?://[^/\s]+(/l/\S+)", text.text)[1]


@pytest.fixture
async def house(tmp_path, valkey_url):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLER_")}
    environ = kept | {
        "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "CALLER_TWILIO_AUTH_TOKEN": "secret",
        "CALLER_CALLER_ID": "+15005550006",
        "CALLER_CARRIER_URL": "http://127.0.0.1:9",
        "CALLER_PORT": str(free_port()),
        "CALLER_DATA_DIR": str(tmp_path),
        "CALLER_REDIS_URL": valkey_url,
        "CALLER_WEBRTC": "off",
        "CALLER_SIGN_UP": "open",
    }
    async with contextlib.AsyncExitStack() as stack:
        node = Gateway(from_mapping(environ), environ)
        await node.start()
        stack.push_async_callback(node.stop)
        yield House(node, stack)


async def signed_up(house):
    """Return a browser of ada's, who has proven her address and signed in."""
    browser = await house.browser()
    form = {"email": ADA, "password": PASSWORD, "terms": "true", "adult": "true"}
    assert await browser.post("/sign-up", **form) == (303, "/sign-up/done")
    link = await house.link("verify_email")
    assert "Confirm your e-mail address" in (await browser.get(link))[2]
    assert (await browser.post(link, password=OTHER))[0] == 422
    assert await browser.post(link, password=PASSWORD) == (303, "/account?said=address_proven")
    assert (await browser.post(link, password=PASSWORD))[0] == 410
    return browser


@pytest.mark.thorough
async def test_whoever_signed_up_with_the_address_of_somebody_else_is_out_at_its_proof(house):
    stranger, owner = await house.browser(), await house.browser()
    form = {"email": ADA, "password": PASSWORD, "terms": "true", "adult": "true"}
    await stranger.post("/sign-up", **form)
    assert await stranger.sign_in() == (303, "/account")
    await owner.post("/sign-up", **{**form, "password": OTHER})
    assert await house.mails() == [("verify_email", ADA)] * 2
    assert (await owner.post(await house.link("verify_email"), password=OTHER))[0] == 422
    assert (await stranger.get("/account"))[0] == 200
    await owner.post("/reset", email=ADA)
    link = await house.link("reset_password")
    assert await owner.post(link, password=OTHER) == (303, "/account?said=password_changed")
    assert (await stranger.get("/account"))[1].endswith("said=session_over")
    assert (await stranger.sign_in())[0] == 422
    assert await owner.sign_in(OTHER) == (303, "/account")
    assert "not confirmed" not in (await owner.get("/account"))[2]


@pytest.mark.thorough
async def test_a_proof_ends_the_sessions_of_before(house):
    before = await house.browser()
    form = {"email": ADA, "password": PASSWORD, "terms": "true", "adult": "true"}
    await before.post("/sign-up", **form)
    await before.sign_in()
    browser, link = await house.browser(), await house.link("verify_email")
    assert (await browser.post(link, password=PASSWORD))[0] == 303
    assert (await browser.get("/account"))[0] == 200
    assert (await before.get("/account"))[1].endswith("said=session_over")


async def test_from_the_sign_up_to_the_account(house):
    browser = await signed_up(house)
    status, _, page = await browser.get("/account")
    assert status == 200
    assert ADA in page
    assert "$0.00" in page
    status, _, key = await browser.get("/v1/key")
    assert status == 200
    assert '"calls"' in key
    form = {"email": "Ada@Example.com", "password": OTHER, "terms": "true", "adult": "true"}
    assert await (await house.browser()).post("/sign-up", **form) == (303, "/sign-up/done")
    assert await house.mails() == [("verify_email", ADA), ("address_known", ADA)]
    assert (await browser.sign_in("wrong"))[0] == 422


@pytest.mark.thorough
async def test_a_forgotten_password_is_set_anew_and_ends_every_session(house):
    browser = await signed_up(house)
    other = await house.browser()
    assert await other.post("/reset", email=ADA) == (303, "/reset?said=sent_if_known")
    link = await house.link("reset_password")
    assert (await other.post(link, password="short"))[0] == 422
    assert await other.post(link, password=OTHER) == (303, "/account?said=password_changed")
    assert (await browser.get("/account"))[1].endswith("said=session_over")
    assert (await browser.sign_in())[0] == 422
    assert await browser.sign_in(OTHER) == (303, "/account")
    assert ("password_changed", ADA) in await house.mails()


@pytest.mark.thorough
async def test_a_thief_is_put_out_and_the_owner_comes_back(house):
    own = await signed_up(house)
    thief = await house.browser()
    assert await thief.sign_in() == (303, "/account")
    assert await own.post(await house.link("new_device")) == (303, "/sign-in?said=locked")
    for browser in (own, thief):
        assert (await browser.get("/account"))[0] == 303
    assert (await thief.sign_in())[0] == 422
    link = await house.link("locked")
    assert await own.post(link, password=OTHER) == (303, "/account?said=password_changed")
    assert await own.sign_in(OTHER) == (303, "/account")
    assert (await thief.sign_in())[0] == 422


@pytest.mark.thorough
async def test_password_and_sessions_are_changed_by_who_is_signed_in(house):
    browser, other = await signed_up(house), await house.browser()
    await other.sign_in()
    said = "/account?said=password_changed"
    assert await browser.post("/account/password", password=OTHER) == (303, said)
    assert (await other.get("/account"))[0] == 303
    assert (await browser.get("/account"))[0] == 200
    await other.sign_in(OTHER)
    page = (await browser.get("/account/devices"))[2]
    name = re.search(r'name="name" value="([^"]+)"', page)[1]
    await browser.post("/account/devices/end", name=name)
    assert (await other.get("/account"))[0] == 303
    assert (await browser.get("/account"))[0] == 200
    assert await browser.post("/confirm", password=OTHER, next="/account/address") == (
        303,
        "/account/address",
    )
    assert await browser.post("/sign-out") == (303, "/sign-in?said=signed_out")
    assert (await browser.get("/account"))[0] == 303


@pytest.mark.thorough
async def test_an_address_is_changed_and_changed_back(house):
    browser = await signed_up(house)
    asked = "/account?said=change_asked"
    assert await browser.post("/account/address", email=NEW) == (303, asked)
    link = await house.link("change_address")
    assert NEW in (await browser.get(link))[2]
    assert await browser.post(link) == (303, "/account?said=address_changed")
    assert await browser.sign_in(email=NEW) == (303, "/account")
    undo = await house.link("address_changed")
    assert ("address_changed", ADA) in await house.mails()
    assert await browser.post(undo) == (303, "/sign-in?said=locked")
    assert (await browser.sign_in(email=NEW))[0] == 422
    assert await browser.post(await house.link("locked"), password=THIRD) == (
        303,
        "/account?said=password_changed",
    )
    assert await browser.sign_in(THIRD) == (303, "/account")


@pytest.mark.thorough
async def test_a_second_factor_and_a_passkey_sign_in_on_real_stores(house):
    browser = await signed_up(house)
    assert await browser.post("/account/second-factor/begin") == (303, "/account/second-factor")
    page = (await browser.get("/account/second-factor"))[2]
    key = re.search(r"<code[^>]*>([A-Z2-7 ]+)</code>", page)[1].replace(" ", "")
    secret = base64.b32decode(key)
    step = int(time.time()) // STEP_S
    # Of the next step: this one may end before the form is read.
    assert await browser.post("/account/second-factor", code=code_of(secret, step + 1)) == (
        303,
        "/account/recovery-codes?said=second_factor_on",
    )
    codes = (await browser.get("/account/recovery-codes/download"))[2].split()
    assert len(codes) == 10
    assert ("second_factor_changed", ADA) in await house.mails()
    other = await house.browser()
    assert await other.sign_in() == (303, "/sign-in/code?next=%2Faccount")
    used = await other.post("/sign-in/code", code=code_of(secret, step + 1))
    assert used[0] == 422, "that code is used up"
    assert await other.post("/sign-in/code", code=codes[0]) == (
        303,
        "/account?said=recovery_code_used",
    )
    assert ("recovery_code_used", ADA) in await house.mails()
    assert "Unused recovery codes: 9." in (await other.get("/account/security"))[2]

    passkey = SoftPasskey(origin=house.node.settings.origin)
    asked = await other.ask("/account/passkeys/options")
    answer = passkey.create(asked["options"])
    added = await other.post("/account/passkeys", ceremony=asked["ceremony"], answer=answer)
    assert added == (303, "/account/security?said=passkey_added")
    assert (await browser.get("/account"))[0] == 303, "all other browsers are signed out"
    third = await house.browser()
    asked = await third.ask("/sign-in/passkey/options")
    answer = passkey.get(asked["options"])
    entered = await third.post("/sign-in/passkey", ceremony=asked["ceremony"], answer=answer)
    assert entered == (303, "/account")
    assert (await third.get("/account"))[0] == 200
    again = await third.post("/sign-in/passkey", ceremony=asked["ceremony"], answer=answer)
    assert again == (303, "/sign-in?next=%2Faccount&said=passkey_late")


def code_of(secret, step):
    return TOTP(secret, DIGITS, SHA1(), STEP_S).generate(step * STEP_S).decode()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://calls.example.com", "calls.example.com"),
        ("https://calls.example.com:8443", "calls.example.com"),
        ("http://127.0.0.1:8080", "localhost"),
        ("http://127.0.0.1", "localhost"),
        ("http://localhost:8080", "localhost"),
        ("https://192.0.2.1", ""),
        ("https://[2001:db8::1]", ""),
    ],
)
def test_passkeys_belong_to_the_host_of_the_public_origin(origin, host):
    party = relying_party(from_mapping({"CALLER_PUBLIC_ORIGIN": origin}))
    assert party.id == host
    assert origin in party.origins
    works_at = origin.replace("127.0.0.1", "localhost") if host else ""
    assert party.origin == works_at


def test_nodes_that_share_a_database_are_given_the_key():
    shared = {"CALLER_DATABASE_URL": "postgresql://u:p@h/d"}
    assert secret_box(from_mapping(shared)) is None
    keyed = shared | {"CALLER_SECOND_FACTOR_KEYS": "k" * 32}
    box = secret_box(from_mapping(keyed))
    assert box.open(box.seal(b"secret", "ada"), "ada") == b"secret"


@pytest.fixture
async def stores(tmp_path, valkey_url):
    settings = from_mapping({"CALLER_DATA_DIR": str(tmp_path), "CALLER_REDIS_URL": valkey_url})
    stores = await open_stores(settings)
    yield settings, stores
    await stores.close()


@pytest.mark.parametrize("holds_calls", [True, False])
async def test_who_leaves_is_frozen_at_the_gate_and_calls_held_here_end_at_once(
    stores, holds_calls
):
    settings, stores = stores

    async def frozen():
        return list((await stores.gate.snapshot(stores.gate.partition("ada"))).frozen)

    charged = []

    async def charge_now(account_id):
        charged.append((account_id, await frozen()))

    services = PeopleServices(
        settings=settings,
        stores=stores,
        taking_back=TAKING_BACK,
        **({"on_credit": charge_now} if holds_calls else {}),
    )
    await stores.accounts.create_account("ada", "USD")
    await make_holder(stores.engine, "ada", PASSWORD, "en")
    epoch = (await services.one(new_store).holder("ada")).credentials_epoch
    told = Notice("deletion_asked", ADA)
    departures = services.one(new_departures)
    assert await departures.ask_deletion("ada", epoch, Unspent.REFUND, utc_now(), told)
    assert await frozen() == ["ada"]
    assert charged == [("ada", ["ada"])] * holds_calls


async def test_a_visitors_country_is_told_where_there_is_a_file(stores, tmp_path):
    settings, stores = stores
    file = mmdb.write(tmp_path / "countries.mmdb", {"203.0.113.0/24": "DE"})
    for path, country in (("", ""), (str(file), "DE")):
        with_file = replace(settings, address_countries=path)
        services = PeopleServices(settings=with_file, stores=stores, taking_back=TAKING_BACK)
        door = new_door(services, Velocity())
        assert door.country_of("203.0.113.7") == country
