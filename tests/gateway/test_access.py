"""Who may do what, on two whole nodes: every route, every scope, and keys that change."""

import asyncio
import contextlib
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import pytest_asyncio
import sqlalchemy as sa

from accounts.consent import current
from accounts.link import Purpose, digest
from accounts.notice import Notice
from accounts.ports import NewHolder
from accounts.session import Session
from accounts.stores.links import make_link
from billing.rating import Rate
from billing.stores import tables
from database.engine import TIMEOUT_S, writing
from gateway.app import PeopleServices
from gateway.buttons.ports import NewButton
from gateway.charging.recovery import bring_credits
from gateway.embed.keys import KeyMode, publishable_key
from gateway.embed.rules import ButtonRules
from gateway.http.access import Access, DeclaredRoute
from gateway.http.bearer import key_hash, new_api_key
from gateway.people.build import new_hasher, new_sessions, new_store
from gateway.people.sign_up import verify_email
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.roles import storage
from gateway.roles.serve import Gateway
from gateway.scopes import PAGE, Scope
from gateway.settings_variables import from_mapping
from gateway.stores.opened import Stores
from tests.gateway.buttons.button_books import buttons_of
from tests.thorough import first_of
from tests.valkey import ValkeyServer, free_port

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("migrated_books"),
]

ECHO = "+15005551000"
CALL, PAYMENT = "call-of-alice", "payment-of-alice"
BUTTON = NewButton(
    "0123456789abcdef01234567",
    "shop",
    ButtonRules(title="Sales", destination=ECHO, day_cap_micros=10**6),
    live_key=publishable_key(KeyMode.LIVE, b"1" * 32),
    test_key=publishable_key(KeyMode.TEST, b"2" * 32),
)
PARAMETERS = {
    "node": "n1",
    "call_id": CALL,
    "payment_id": PAYMENT,
    "account_id": "alice",
    "name": "nothing.js",
    "secret": "nothing",
    "export_id": "nothing",
    "number": "1",
    "key": BUTTON.live_key,
    # Whoever may delete it would.
    "button_id": "nothing",
    "webhook_id": "nothing",
    "delivery_id": "nothing",
}
PASSWORD = "correct-zebra-tram-92"
FROM_US = {"sec-fetch-site": "same-origin"}
FROM_ELSEWHERE = {"sec-fetch-site": "cross-site"}
ENVIRON = {
    "CALLER_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "CALLER_TWILIO_AUTH_TOKEN": "secret",
    "CALLER_CALLER_ID": "+15005550006",
    "CALLER_CARRIER_URL": "http://127.0.0.1:9",
    "CALLER_STRIPE_API_KEY": "sk_test_node",
    "CALLER_STRIPE_WEBHOOK_SECRETS": "whsec_node",
    "CALLER_STRIPE_URL": "http://127.0.0.1:9",
    "CALLER_WEBRTC": "off",
    "CALLER_SIGN_UP": "open",
    # The walk tries more wrong keys than one address may.
    "CALLER_VELOCITY_LIMITS": "all=off",
    "CALLER_TRUSTED_PROXIES": "127.0.0.1",
}
CLIENTS = (str(client) for client in ipaddress.ip_network("198.18.0.0/15"))
"""An address for each request: one address may not ask as fast as the walk does."""


@dataclass
class Site:
    """Two nodes on the same stores, and an operator beside them with stores of their own."""

    nodes: list[Gateway]
    stores: Stores
    services: PeopleServices
    http: aiohttp.ClientSession

    async def new_key(self, account_id="alice", scopes=PAGE, expires_at=None):
        """Return a key and its id."""
        key = new_api_key()
        accounts = self.stores.accounts
        await accounts.create_account(account_id, "USD")
        key_id = await accounts.add_api_key(
            account_id, key_hash(key), "", scopes=scopes, expires_at=expires_at
        )
        reference = f"grant:{account_id}"
        await self.stores.ledger.add_credit(account_id, 10**7, reference=reference, kind="grant")
        await bring_credits(self.stores.gate, self.stores.ledger, account_id)
        return key, key_id

    async def new_holder(self, account_id, *, proven=True):
        """Let somebody sign up, by mail and form; return their address."""
        email = f"{account_id}@example.com"
        password_hash = await self.services.one(new_hasher).hash(PASSWORD)
        new = NewHolder(account_id, "USD", email, email, password_hash, "en", current())
        await self.services.one(new_store).sign_up(new, verify_email(email))
        if proven:
            link = await self.new_link(account_id, Purpose.PROVE_ADDRESS)
            assert await self.services.one(new_store).prove_address(link, password_hash)
        return email

    async def new_link(self, account_id, purpose):
        """Return the digest of a link as a mail brings it."""
        email, secret = f"{account_id}@example.com", f"{purpose} of {account_id}"
        await self.services.one(new_store).tell(
            account_id, Notice("verify_email", email, link=purpose)
        )
        async with writing(self.stores.engine, TIMEOUT_S) as connection:
            at = datetime.now(UTC)
            assert await make_link(connection, purpose, account_id, email, at=at, secret=secret)
        return digest(secret)

    async def sign_in(self, email, node=None):
        """Return the cookie that a browser gets."""
        url = f"http://127.0.0.1:{(node or self.nodes[0]).port}/sign-in"
        form = {"email": email, "password": PASSWORD}
        options = {"data": form, "headers": FROM_US, "allow_redirects": False}
        async with self.http.post(url, **options) as reply:
            assert reply.status == 303, await reply.text()
            return f"caller={reply.cookies['caller'].value}"

    async def ask(self, node, method, path, key="", headers=None, **options):
        """Return status and code (or body) of a node's answer."""
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **(headers or FROM_US)}
        headers["x-forwarded-for"] = next(CLIENTS)
        url = f"http://127.0.0.1:{node.port}{path}"
        options["allow_redirects"] = False
        if not {"data", "json"} & options.keys():
            # As a browser's script, which declares no type of no body.
            options["skip_auto_headers"] = ["Content-Type"]
        async with self.http.request(method, url, headers=headers, **options) as reply:
            is_json = "json" in reply.headers.get("content-type", "")
            # Nothing at HEAD.
            body = (await reply.json() or {}) if is_json else {}
        return reply.status, body

    async def answers(self, key, method="GET", path="/v1/ledger", **options):
        """Return what each node says: a code, or "" where it serves."""
        found = [await self.ask(node, method, path, key, **options) for node in self.nodes]
        return [body.get("code", "") for _, body in found]

    async def start(self, node, token):
        """Redeem a token at a node; return the type or the code of the first answer."""
        url = f"http://127.0.0.1:{node.port}/n/{node.settings.node}/media/browser"
        async with self.http.ws_connect(url) as socket:
            await socket.send_json({"type": "start", "version": 1, "token": token})
            message = await socket.receive_json()
        return message.get("code") or message["type"]


@contextlib.asynccontextmanager
async def running(folder, redis_url, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLER_")}
    # Nobody is sent to a node of whose stop another does not know yet.
    at_once = asyncio.Event()
    at_once.set()
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in ("n1", "n2"):
            environ = (
                kept
                | ENVIRON
                | {
                    "CALLER_NODE": name,
                    "CALLER_PORT": str(free_port()),
                    "CALLER_DATA_DIR": str(folder),
                    "CALLER_REDIS_URL": redis_url,
                    **more,
                }
            )
            nodes.append(Gateway(from_mapping(environ), environ))
            await nodes[-1].start()
            stack.push_async_callback(nodes[-1].stop, at_once)
        stores = await storage.open_stores(nodes[0].settings, is_child=True)
        stack.push_async_callback(stores.close)
        services = PeopleServices(
            settings=nodes[0].settings, stores=stores, taking_back=TAKING_BACK
        )
        stack.push_async_callback(services.one(new_hasher).close)
        # Each request says itself whose it is.
        client = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        yield Site(nodes, stores, services, await stack.enter_async_context(client))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory, migrated_books):
    """Two nodes for all tests, which make keys of their own."""
    folder = tmp_path_factory.mktemp("site")
    with contextlib.closing(ValkeyServer().start()) as server:
        async with running(folder, server.url) as site:
            await site.new_key()
            await add_objects_of_alice(site)
            yield site


async def add_objects_of_alice(site):
    """Put a call and a payment into the books."""
    at = datetime.now(UTC)
    call = {
        **dict.fromkeys(("codec", "origin", "cause_name", "carrier_call_id"), ""),
        **dict.fromkeys(("browser_quality", "carrier_quality"), "{}"),
        "id": CALL,
        "account_id": "alice",
        "opened": True,
        "closed": True,
        "node": "n1",
        "destination": ECHO,
        "country": "US",
        "currency": "USD",
        "created_at": at,
        "rate": Rate(per_minute_micros=1).to_json(),
        "spent_micros": 0,
        "seconds": 0,
        "cause": 16,
        "ended_by": "caller",
        "ended_at": at,
    }
    payment = {
        "id": PAYMENT,
        "account_id": "alice",
        "kind": "checkout",
        "micros": 1,
        "state": "paid",
        "currency": "USD",
        "created_at": at,
        "updated_at": at,
    }
    buttons = buttons_of(site.stores)
    await buttons.note_proven("alice", None, ECHO)
    await buttons.make("alice", None, BUTTON)
    async with site.stores.engine.begin() as connection:
        await connection.execute(sa.insert(tables.calls), call)
        await connection.execute(sa.insert(tables.payments), payment)


def requests(node):
    """Yield each route with the method and the address of a request to it."""
    for route in node.app.routes:
        assert isinstance(route, DeclaredRoute), route
        path = route.path_format.format(
            **{name: PARAMETERS[name] for name in route.param_convertors}
        )
        for method in route.methods:
            yield route.needs, method, path


def body_of(path):
    """Return a body that is good where what it is about is looked up after it is read."""
    return {"stars": 1} if path.endswith("/feedback") else {}


async def test_every_route_lets_in_whom_it_says_and_nobody_else(site):
    past = datetime.now(UTC) - timedelta(seconds=1)
    revoked, revoked_id = await site.new_key()
    await site.stores.accounts.revoke_api_key("alice", revoked_id)
    expired, _ = await site.new_key(expires_at=past)
    invalid = ["", new_api_key(), revoked, expired, revoked.upper()]
    valid = {frozenset({scope}): (await site.new_key(scopes={scope}))[0] for scope in Scope}
    valid[frozenset()] = (await site.new_key(scopes=()))[0]
    node, seen = site.nodes[0], set()
    for needs, method, path in requests(node):
        seen.add(needs)
        # Programs send JSON, and pages forms.
        kind = "json" if path.startswith("/v1/") else "data"
        options = {kind: {"none": ""}} if method in ("POST", "PUT") else {}
        for key in invalid:
            status, body = await site.ask(node, method, path, key, **options)
            expected = {
                Access.PUBLIC: None,
                Access.FORM: None,
                Access.VISITOR: None,
                Access.SIGNED: (403, "bad_signature"),
                # To the page where people sign in.
                Access.HOLDER: (303, ""),
            }
            _check(expected.get(needs, (401, "unauthorized")), method, path, status, body)
        for scopes, key in valid.items():
            status, body = await site.ask(node, method, path, key, **options)
            if needs is Access.SIGNED:
                _check((403, "bad_signature"), method, path, status, body)
            elif needs is Access.HOLDER:
                _check((303, ""), method, path, status, body)
            elif needs in Access or needs in scopes:
                _check(None, method, path, status, body)
            else:
                _check((403, "scope_missing"), method, path, status, body)
                assert method == "HEAD" or body["scope"] == needs
    # A button's key is no bearer token.
    assert seen == {*Access, *Scope} - {Scope.EMBED}


async def test_no_route_of_visitors_is_open_without_a_key_that_stands(site):
    node, buttons = site.nodes[0], buttons_of(site.stores)
    turned = publishable_key(KeyMode.LIVE, b"3" * 32)
    await buttons.turn(
        "alice", None, BUTTON.id, new_key=turned, ends_at=datetime.now(UTC) + timedelta(days=1)
    )
    for needs, method, path in requests(node):
        if needs is not Access.VISITOR:
            continue
        options = {"json": {}} if method == "POST" else {}
        wrong = [publishable_key(KeyMode.LIVE, b"9" * 32), "ck_x", BUTTON.live_key.lower()]
        for key in wrong:
            found = await site.ask(node, method, path.replace(BUTTON.live_key, key), **options)
            # The frame is served without a button, and says that there is none.
            code = "not_found" if path.endswith(".svg") else ""
            _check(
                (404, "button_not_found" if path.startswith("/v1/") else code), method, path, *found
            )
        for key in (turned, BUTTON.test_key, BUTTON.live_key):
            found = await site.ask(node, method, path.replace(BUTTON.live_key, key), **options)
            _check(None, method, path, *found)
            assert found[0] != 404, path
    # And as a bearer token it is nothing.
    assert await site.answers(BUTTON.live_key) == ["unauthorized"] * 2


def _check(expected, method, path, status, body):
    what = (method, path, status, body)
    if expected is None:
        assert status not in (401, 403, 500), what
    else:
        assert status == expected[0], what
        assert method == "HEAD" or body.get("code", "") == expected[1], what


def _expected_of(needs, method, who):
    """Return what somebody's browser is answered: None for what it asks for."""
    is_change = method not in ("GET", "HEAD")
    match needs:
        case Access.PUBLIC:
            return None
        case Access.VISITOR:
            # Only the frame asks, and that is a page of ours.
            return (403, "bad_origin") if who == "elsewhere" and is_change else None
        case Access.SIGNED:
            return 403, "bad_signature"
        case _ if who == "elsewhere" and is_change:
            # On pages it is a page that says so.
            return 403, "" if needs in (Access.FORM, Access.HOLDER) else "cross_origin"
        case Access.FORM:
            return None
        case Scope.ADMIN if who not in ("locked", "ended"):
            # Nobody is an operator by being signed in.
            return 403, "scope_missing"
        case Access.HOLDER:
            return (303, "") if who in ("locked", "ended") else None
        case _:
            return (401, "unauthorized") if who in ("locked", "ended") else None


@pytest.mark.parametrize("who", first_of(["signed-in", "unproven", "locked", "ended", "elsewhere"]))
async def test_every_route_lets_in_people_as_it_says(site, who):
    account_id = f"holder-{who}"
    email = await site.new_holder(account_id, proven=who != "unproven")
    node = site.nodes[1]
    source = FROM_ELSEWHERE if who == "elsewhere" else FROM_US
    if who == "locked":
        link = await site.new_link(account_id, Purpose.NOT_ME)
        assert await site.services.one(new_store).lock(link, verify_email(email))
    for needs, method, path in requests(node):
        # Anew each time: some routes end the session.
        cookie = await _session_of(site, account_id)
        if who == "ended":
            await site.services.one(new_sessions).end_all(account_id)
        options = {"json": {}} if method in ("POST", "PUT") and path.startswith("/v1/") else {}
        headers = {**source, "cookie": cookie}
        status, body = await site.ask(node, method, path, headers=headers, **options)
        if who == "unproven" and body.get("code") == "address_unproven":
            assert method in ("POST", "PUT")
            continue
        _check(_expected_of(needs, method, who), method, path, status, body)


async def _session_of(site, account_id):
    """Return the cookie of a new session, without the work of a password."""
    at = datetime.now(UTC)
    epoch = (await site.services.one(new_store).holder(account_id)).credentials_epoch
    session = Session(account_id, "device", frozenset({"pwd"}), epoch, at, at, at)
    return f"caller={await site.services.one(new_sessions).begin(session)}"


async def test_people_reach_only_their_own_account(site):
    await site.new_holder("carla")
    node = site.nodes[0]
    for needs, method, path in requests(node):
        if (
            needs in (Access.PUBLIC, Access.VISITOR, Access.FORM, Access.SIGNED)
            or path == "/v1/phonebook"
        ):
            continue
        if path.startswith("/account/devices/"):
            continue
        # Anew each time: some routes end the session.
        headers = {**FROM_US, "cookie": await _session_of(site, "carla")}
        is_json = method in ("POST", "PUT") and path.startswith("/v1/")
        options = {"json": body_of(path)} if is_json else {}
        status, body = await site.ask(node, method, path, headers=headers, **options)
        assert "alice" not in str(body), path
        # Of what is deleted, or nobody's, a person is told nothing.
        if CALL in path or PAYMENT in path or (BUTTON.id in path and "/delete" not in path):
            assert status == (403 if path.startswith("/v1/admin/") else 404), path
        if path == "/v1/key" and method == "GET":
            assert (status, body["account"]) == (200, "carla")


async def test_a_form_that_was_open_while_somebody_else_signed_in_changes_nothing(site):
    await site.new_holder("greta")
    node, shown = site.nodes[0], 0
    for needs, method, path in requests(node):
        if needs is not Access.HOLDER:
            continue
        headers = {**FROM_US, "cookie": await _session_of(site, "greta")}
        if method == "POST":
            found = await site.ask(node, method, path, headers=headers, data={"owner": "alice"})
            # Two look for the button first, and there is none.
            looks_first = path in {f"/account/buttons/nothing/{act}" for act in ("rules", "turn")}
            assert found[0] == (404 if looks_first else 409), path
        elif method == "GET":
            url = f"http://127.0.0.1:{node.port}{path}"
            async with site.http.get(url, headers=headers) as reply:
                html = (await reply.read()).decode(errors="replace")
            forms = html.count('<form method="post"')
            assert html.count('<input type="hidden" name="owner" value="greta">') == forms, path
            shown += forms
    assert shown > 30


async def test_a_person_calls_and_a_token_is_worth_no_more_than_they(site):
    first, second = site.nodes
    email = await site.new_holder("dora")
    cookie = await site.sign_in(email)
    headers = {**FROM_US, "cookie": cookie}

    async def asked(path="/v1/check-tokens", **body):
        return await site.ask(second, "POST", path, headers=headers, json=body)

    assert (await asked("/v1/call-tokens", destination=ECHO))[1]["code"] == "insufficient_credit"
    tokens = [(await asked())[1]["token"] for _ in range(2)]
    assert await site.start(first, tokens.pop()) == "check-ready"
    epoch = (await site.services.one(new_store).holder("dora")).credentials_epoch
    password_hash = await site.services.one(new_hasher).hash("another of mine 99")
    changed = await site.services.one(new_store).set_password(
        "dora", epoch, password_hash, verify_email(email)
    )
    assert changed.credentials_epoch == epoch + 1
    assert await site.start(first, tokens.pop()) == "bad_token"


async def test_who_has_not_proven_their_address_reads_and_places_no_call(site):
    cookie = await site.sign_in(await site.new_holder("ella", proven=False))
    headers = {**FROM_US, "cookie": cookie}
    node = site.nodes[0]

    async def asked(method, path, **body):
        options = {"json": body} if body else {}
        status, said = await site.ask(node, method, path, headers=headers, **options)
        return status, said.get("code", "")

    assert await asked("GET", "/v1/account") == (200, "")
    assert await asked("GET", "/v1/calls") == (200, "")
    unproven = (403, "address_unproven")
    assert await asked("POST", "/v1/call-tokens", destination=ECHO) == unproven
    assert await asked("POST", "/v1/check-tokens", origin="") == unproven
    assert await asked("POST", "/v1/top-ups", amount="10.00") == unproven
    status, quote = await site.ask(
        node, "POST", "/v1/quotes", headers=headers, json={"destination": ECHO}
    )
    assert (status, quote["refusal"]["code"]) == (200, "address_unproven")


async def test_a_session_that_is_ended_is_over_at_once_everywhere(site):
    cookie = await site.sign_in(await site.new_holder("fay"), site.nodes[0])
    headers = {**FROM_US, "cookie": cookie}
    for node in site.nodes:
        assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 200
    status, _ = await site.ask(site.nodes[1], "POST", "/sign-out", headers=headers)
    assert status == 303
    for node in site.nodes:
        assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 401


@pytest.mark.parametrize("act", ["set", "lock", "end"])
async def test_another_credentials_epoch_holds_at_once_everywhere(site, act):
    name = f"hal-{act}"
    email = await site.new_holder(name)
    headers = {**FROM_US, "cookie": await site.sign_in(email)}
    for node in site.nodes:
        assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 200
    people, notice = site.services.one(new_store), Notice("password_changed", email)
    epoch = (await people.holder(name)).credentials_epoch
    # The session itself is left as it is: that it is found does not say that it stands.
    if act == "set":
        assert await people.set_password(name, epoch, "another hash", notice)
    elif act == "lock":
        assert await people.lock(await site.new_link(name, Purpose.NOT_ME), notice)
    else:
        assert await people.end_sessions(name, epoch)
    for node in site.nodes:
        assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 401


async def test_a_deleted_account_has_nobody_signed_in(site):
    cookie = await site.sign_in(await site.new_holder("gwen"))
    headers = {**FROM_US, "cookie": cookie}
    node = site.nodes[0]
    assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 200
    await site.stores.accounts.mark_deleted("gwen")
    assert (await site.ask(node, "GET", "/v1/key", headers=headers))[0] == 401


async def test_a_key_reaches_only_its_own_account(site):
    alice, _ = await site.new_key()
    bob, _ = await site.new_key("bob")
    node = site.nodes[0]
    for path, found in ((f"/v1/calls/{CALL}", 200), (f"/v1/top-ups/{PAYMENT}", 200)):
        assert (await site.ask(node, "GET", path, alice))[0] == found
    for _, method, path in requests(node):
        if path.startswith("/v1/") and path not in ("/v1/phonebook", "/v1/rates"):
            options = {"json": body_of(path)} if method in ("POST", "PUT") else {}
            status, body = await site.ask(node, method, path, bob, **options)
            assert "alice" not in str(body), path
            if CALL in path or PAYMENT in path:
                # What is the operators' alone tells nothing of what there is.
                assert status == (403 if path.startswith("/v1/admin/") else 404), path


async def test_an_operators_key_reaches_every_account_and_places_no_call(site):
    key, key_id = await site.new_key("operators", {Scope.ADMIN})
    first, second = site.nodes
    cookie = await site.sign_in(await site.new_holder("ivy"))
    headers = {**FROM_US, "cookie": cookie}
    ivy, _ = await site.new_key("ivy")

    async def act(name, **body):
        path = f"/v1/admin/accounts/ivy/{name}"
        return await site.ask(first, "POST", path, key, json={"reason": "a test", **body})

    assert await site.answers(ivy, **TOKEN) == ["", ""]
    assert await site.answers(key, **TOKEN) == ["scope_missing"] * 2
    assert await act("freeze") == (204, {})
    assert await site.answers(ivy, **TOKEN) == ["account_frozen"] * 2
    assert await act("unfreeze") == (204, {})
    assert await site.answers(ivy, **TOKEN) == ["", ""]
    assert await act("sign-out") == (204, {})
    assert (await site.ask(second, "GET", "/v1/key", headers=headers))[0] == 401
    assert await act("credit", amount="2.50", reference="r1") == (200, {"booked": True})
    assert await act("credit", amount="2.50", reference="r1") == (200, {"booked": False})
    _, state = await site.ask(second, "GET", "/v1/admin/accounts/ivy", key)
    assert (state["email"], state["sessions"], state["frozen"]) == ("ivy@example.com", 0, False)
    assert state["balance"]["text"] == "$12.50"
    _, log = await site.ask(second, "GET", "/v1/admin/accounts/ivy/log?limit=2", key)
    assert [(line["act"], line["operator"]) for line in log["lines"]] == [
        ("credited", f"key {key_id}"),
        ("sessions_ended", f"key {key_id}"),
    ]


TOKEN = {"method": "POST", "path": "/v1/call-tokens", "json": {"destination": ECHO}}


@pytest.mark.parametrize("by_hand", ["accounts", "node"])
async def test_a_revoked_key_is_refused_at_once_everywhere(site, by_hand):
    """Whoever revokes it: the operator's process, or another node."""
    accounts = site.stores.accounts if by_hand == "accounts" else site.nodes[1].stores.accounts
    for _ in range(3):
        key, key_id = await site.new_key()
        assert await site.answers(key) == ["", ""]
        await accounts.revoke_api_key("alice", key_id)
        assert await site.answers(key) == ["unauthorized"] * 2


async def test_every_other_change_holds_at_once_everywhere(site):
    key, key_id = await site.new_key("carol")
    other, _ = await site.new_key("carol")
    accounts = site.stores.accounts
    assert await site.answers(key) == await site.answers(key, **TOKEN) == ["", ""]
    await accounts.set_key_scopes("carol", key_id, {Scope.CALLS})
    assert await site.answers(key) == ["scope_missing"] * 2
    await accounts.set_key_scopes("carol", key_id, PAGE)
    assert await site.answers(key) == ["", ""]
    await accounts.set_caps("carol", {"call": 1})
    assert await site.answers(key, **TOKEN) == ["cap_reached"] * 2
    await accounts.set_caps("carol", {"call": None})
    await accounts.set_key_cap("carol", key_id, 1)
    assert await site.answers(key, **TOKEN) == ["cap_reached"] * 2
    await accounts.set_key_cap("carol", key_id, None)
    await site.stores.freeze("carol", True)
    assert await site.answers(key, **TOKEN) == ["account_frozen"] * 2
    await site.stores.freeze("carol", False)
    assert await site.answers(key, **TOKEN) == ["", ""]
    await accounts.set_key_expiry("carol", key_id, datetime.now(UTC))
    assert await site.answers(key) == ["unauthorized"] * 2
    assert await site.answers(other) == ["", ""]
    await accounts.mark_deleted("carol")
    assert await site.answers(other) == ["unauthorized"] * 2


async def test_a_token_is_worth_no_more_than_its_key(site):
    accounts, (first, second) = site.stores.accounts, site.nodes

    async def issued(key, path="/v1/call-tokens", **body):
        status, reply = await site.ask(first, "POST", path, key, json=body)
        assert status == 201
        return reply["token"]

    key, key_id = await site.new_key()
    keep, keep_id = await site.new_key()
    tokens = [await issued(key, destination=ECHO), await issued(key, "/v1/check-tokens")]
    kept = [await issued(keep, "/v1/check-tokens") for _ in range(3)]
    assert await site.start(second, kept.pop()) == "check-ready"
    await accounts.revoke_api_key("alice", key_id)
    for token in tokens:
        assert await site.start(second, token) == "bad_token"
    assert await site.start(second, kept.pop()) == "check-ready"
    await accounts.set_key_scopes("alice", keep_id, PAGE - {Scope.CALLS})
    assert await site.start(second, kept.pop()) == "bad_token"


@pytest.mark.thorough
async def test_what_redis_lost_or_cannot_say_is_asked_of_the_book(tmp_path, own_valkey):
    async with running(tmp_path, own_valkey.url) as site:
        key, key_id = await site.new_key()
        assert await site.answers(key) == ["", ""]
        keys = tables.api_keys

        async def revoke_silently(at):
            """Change the book alone, as a process does that dies before it tells."""
            async with site.stores.engine.begin() as connection:
                await connection.execute(
                    sa.update(keys).where(keys.c.id == key_id).values(revoked_at=at)
                )

        await revoke_silently(datetime.now(UTC))
        assert await site.answers(key) == ["", ""], "believed, for ten seconds at most"
        own_valkey.kill()
        assert await site.answers(key) == ["unauthorized"] * 2
        await revoke_silently(None)
        assert await site.answers(key) == ["", ""]
        own_valkey.start()
        assert await site.answers(key) == ["", ""]
        await revoke_silently(datetime.now(UTC))
        assert own_valkey.command("FLUSHALL") == b"+OK\r\n"
        assert await site.answers(key) == ["unauthorized"] * 2
