"""Whoever is signed in asks the API by cookie: what they may, and what is refused."""

from dataclasses import replace

import pytest
from starlette.responses import PlainTextResponse

from billing.spend_limits import SpendLimits
from gateway.calls.redemption import Redemption
from gateway.http.access import Access
from gateway.http.bearer import Authenticator, key_hash, new_api_key
from gateway.http.cookies import Cookies
from gateway.http.holders import SHOWN_TO, Holders
from gateway.http.principal import Kind
from gateway.ports import CallOrder
from gateway.scopes import PAGE, Scope
from tests.gateway.http.test_bearer import Account, Accounts, Epochs
from tests.gateway.http.test_csrf import FIVE
from tests.gateway.people.memory import World

ORIGIN = "https://calls.example.com"
OURS = {"sec-fetch-site": "same-origin"}


class Api:
    """Two routes, and a person who is signed in."""

    def __init__(self, client_of):
        self.world, self.seen = World(), []
        self.keys, self.key = Accounts(), new_api_key()
        self.keys.by_hash[key_hash(self.key)] = Account()
        holders = Holders(self.world.browsers, Cookies(ORIGIN), frozenset({ORIGIN}))
        self.auth = Authenticator(
            self.keys,
            Epochs(),
            self.world.velocity,
            lambda: 0,
            lambda: self.world.now,
            holders=holders,
        )
        routes = [
            self.auth.route("/read", self.handle, Scope.RECORDS),
            self.auth.route("/change", self.handle, Scope.CALLS, method="POST"),
            self.auth.route("/end", self.handle, Scope.CALLS, method="DELETE"),
            self.auth.route("/ask", self.handle, Scope.CALLS, method="PUT", before_terms=True),
            self.auth.route("/key", self.handle, Access.KEY),
            self.auth.route("/admin", self.handle, Scope.ADMIN),
        ]
        self.client = client_of(routes)

    async def handle(self, _request, principal):
        self.seen.append(principal)
        return PlainTextResponse("done")

    async def ask(self, method, path, secret="", headers=()):
        given = dict(headers)
        if secret:
            given["cookie"] = f"__Host-caller={secret}"
        reply = await self.client.request(method, path, headers=given)
        return reply.status_code, reply.json()["code"] if reply.status_code >= 400 else ""


@pytest.fixture
def api(client_of):
    return Api(client_of)


async def test_a_person_is_a_principal_with_the_scopes_of_the_page(api):
    api.world.add("ada")
    who = await api.world.enter()
    assert await api.ask("GET", "/read", who.secret) == (200, "")
    (principal,) = api.seen
    assert principal.kind is Kind.HOLDER
    assert principal.account.id == "ada"
    assert principal.scopes == PAGE
    assert principal.authenticated_at == api.world.now
    assert principal.methods == {"pwd"}
    assert principal.is_proven
    assert principal.credentials_epoch == 1
    assert principal.is_stepped_up(api.world.now)
    assert who.secret not in repr(principal)
    assert await api.ask("GET", "/key", who.secret) == (200, "")
    assert await api.ask("GET", "/admin", who.secret) == (403, "scope_missing")


async def test_a_program_is_one_as_before(api):
    header = {"authorization": f"Bearer {api.key}"}
    assert await api.ask("POST", "/change", headers=header) == (200, "")
    (principal,) = api.seen
    assert (principal.kind, principal.account.id) == (Kind.PROGRAM, "alice")
    assert principal.is_proven
    assert principal.credentials_epoch is principal.authenticated_at is None
    assert not principal.methods
    assert not principal.is_stepped_up(api.world.now)


@pytest.mark.parametrize(("headers", "believed"), FIVE)
@pytest.mark.parametrize(("method", "path"), [("POST", "/change"), ("DELETE", "/end")])
async def test_a_cookie_changes_nothing_for_another_site(api, method, path, headers, believed):
    api.world.add()
    who = await api.world.enter()
    expected = (200, "") if believed else (403, "cross_origin")
    assert await api.ask(method, path, who.secret, headers) == expected
    assert len(api.seen) == believed


async def test_whoever_has_not_accepted_the_terms_in_force_looks_and_ends(api):
    api.world.add("ada")
    api.world.departures.versions["ada"] = {}
    who = await api.world.enter()
    for method, path in (("GET", "/read"), ("DELETE", "/end"), ("PUT", "/ask")):
        assert await api.ask(method, path, who.secret, OURS) == (200, "")
    assert await api.ask("POST", "/change", who.secret, OURS) == (403, "terms_changed")
    assert len(api.seen) == 3


async def test_a_page_that_was_shown_to_another_account_does_nothing(api):
    api.world.add("ada")
    api.world.add("bob", "bob@example.com")
    who = await api.world.enter("bob@example.com")
    for method, path in (("GET", "/read"), ("POST", "/change"), ("DELETE", "/end")):
        assert await api.ask(method, path, who.secret, {**OURS, SHOWN_TO: "bob"}) == (200, "")
        seen = len(api.seen)
        for named in ("ada", "", "bob, ada"):
            answer = await api.ask(method, path, who.secret, {**OURS, SHOWN_TO: named})
            assert answer == (409, "form_of_another_account")
        assert len(api.seen) == seen
    # A key needs no such field, and no session means no one.
    header = {"authorization": f"Bearer {api.key}", SHOWN_TO: "ada"}
    assert await api.ask("POST", "/change", headers=header) == (200, "")
    assert await api.ask("GET", "/read", "an-ended-session-1", {SHOWN_TO: "ada"}) == (
        401,
        "unauthorized",
    )


async def test_a_key_and_a_cookie_at_once_are_neither(api):
    api.world.add()
    who = await api.world.enter()
    both = {"authorization": f"Bearer {api.key}", **OURS}
    for secret in (who.secret, "an-ended-session-1"):
        assert await api.ask("POST", "/change", secret, both) == (400, "two_credentials")
    # Another site's cookie of a like name is no session of ours.
    given = {"authorization": f"Bearer {api.key}", "cookie": "caller=0123456789abcdef"}
    assert (await api.client.get("/read", headers=given)).status_code == 200


async def test_an_ended_session_is_nobody(api):
    api.world.add()
    who = await api.world.enter()
    await api.world.browsers.sign_out(who.secret)
    assert await api.ask("GET", "/read", who.secret) == (401, "unauthorized")
    assert await api.ask("GET", "/read") == (401, "unauthorized")


async def test_sql_that_is_away_is_said(api):
    api.world.add()
    who = await api.world.enter()
    api.world.later(minutes=5)
    api.world.people.is_away = True
    assert await api.ask("GET", "/read", who.secret) == (503, "store_unavailable")


async def test_the_order_of_a_person_is_good_while_they_stand(api):
    api.world.add()
    order = CallOrder(
        account_id="ada",
        destination="+442079460018",
        country="GB",
        codec="pcmu",
        origin="",
        currency="USD",
        rate="",
        rate_description="",
        credentials_epoch=1,
    )
    holders = Holders(api.world.browsers, Cookies(ORIGIN), frozenset({ORIGIN}))
    redemption = Redemption(api.keys, Epochs(), None, lambda: api.world.now, people=holders.caller)
    assert await redemption.redeem(order) == (order, "")
    lowered = SpendLimits(3)
    api.world.accounts["ada"] = replace(api.world.accounts["ada"], limits=lowered)
    redeemed, _ = await redemption.redeem(order)
    assert redeemed.limits == lowered
    api.world.change(credentials_epoch=2)
    assert await redemption.redeem(order) is None
    plain = Redemption(api.keys, Epochs(), None, lambda: api.world.now)
    assert await plain.redeem(order) is None, "where nobody can be signed in"
