"""`POST /v1/call-tokens` with a button: the owner's back end asks, in the name of a visitor."""

from dataclasses import replace

import pytest

from gateway.buttons.admission import ButtonAdmission
from gateway.buttons.door import ButtonDoor
from gateway.embed.keys import KeyMode, publishable_key
from gateway.http.bearer import Authenticator, key_hash
from gateway.http.cookies import Cookies
from gateway.http.holders import Holders
from tests.gateway.buttons.on_stage.test_admission import Challenges
from tests.gateway.buttons.on_stage.test_ended_buttons import Eras
from tests.gateway.buttons.shop import BUTTON, KEY, NOW, Buttons
from tests.gateway.http.test_bearer import Account, Epochs
from tests.gateway.own_calls.test_api import ECHO, PAGE, Api, code_of
from tests.gateway.people.memory import World

OF_BOB, OF_NOBODY = (publishable_key(KeyMode.LIVE, of * 32) for of in (b"2", b"3"))


class ShopApi(Api):
    """The API of a node on which alice and bob have a button each."""

    def __init__(self, stage, client_of):
        super().__init__(stage, client_of)
        self.world, buttons = World(), Buttons()
        self.accounts.by_hash[key_hash("ck_bob")] = Account("bob", key_id="k9")
        buttons.by[OF_BOB] = replace(
            BUTTON, button_id="b9", account_id="bob", key_id="k9", key=OF_BOB
        )
        door = ButtonDoor(
            buttons,
            self.accounts,
            Epochs(),
            self.node.velocity,
            own_origins={PAGE},
            clock_ns=stage.clock_ns,
            utc_now=lambda: NOW,
        )
        auth = Authenticator(
            self.accounts,
            Epochs(),
            self.node.velocity,
            stage.clock_ns,
            lambda: NOW,
            holders=Holders(self.world.browsers, Cookies(PAGE), frozenset({PAGE})),
        )
        admission = ButtonAdmission(self.admission, Challenges(), stage.gate, Eras(), buttons)
        api = replace(self.api, auth=auth, buttons=door, button_admission=admission)
        self.client = client_of(api.routes())

    async def sign(self, button=KEY, account="alice", visitor="v-7", **body):
        body = {"button": button, "visitor": visitor, **body}
        return await self.ask("POST", "/v1/call-tokens", account, json=body)


@pytest.fixture
def api(stage, client_of):
    return ShopApi(stage, client_of)


async def test_a_back_end_gets_a_token_without_a_word_of_money(api):
    reply = await api.sign()
    assert reply.status_code == 201
    told = reply.json()
    assert set(told) == {"token", "expires_at", "expires_in_seconds", "media_url", "codec"}
    order = api.node.tokens.orders[told["token"]]
    assert (order.account_id, order.destination, order.key_id) == ("alice", ECHO, "k1")
    assert (order.visitor.button_id, order.visitor.signer_key_id) == ("b1", "k1")
    assert "v-7" not in str(order.visitor)


async def test_what_the_admission_refuses_is_said(api):
    reply = await api.sign(destination=ECHO)
    assert (code_of(reply), reply.json()["field"]) == ((400, "bad_request"), "destination")
    assert code_of(await api.sign(codec="opus")) == (422, "codec_unknown")
    assert code_of(await api.sign(origin="https://evil.example")) == (403, "bad_origin")
    assert api.node.tokens.orders == {}


@pytest.mark.parametrize("visitor", ["", "  "])
async def test_a_back_end_says_whom_it_calls_for(api, visitor):
    reply = await api.sign(visitor=visitor)
    assert (code_of(reply), reply.json()["field"]) == ((422, "visitor_needed"), "visitor")
    assert api.node.tokens.orders == {}


@pytest.mark.parametrize(
    ("button", "account"), [(OF_BOB, "alice"), (KEY, "bob"), (OF_NOBODY, "alice"), ("b1", "alice")]
)
async def test_buttons_of_others_are_none(api, button, account):
    reply = await api.sign(button, account)
    assert (code_of(reply), reply.json()["field"]) == ((404, "button_not_found"), "button")
    assert api.node.tokens.orders == {}


async def test_people_call_by_themselves_and_not_in_the_name_of_visitors(api):
    api.world.add("alice")
    who = await api.world.enter()
    reply = await api.client.post(
        "/v1/call-tokens",
        json={"button": KEY, "visitor": "v-7"},
        headers={"cookie": f"__Host-caller={who.secret}", "sec-fetch-site": "same-origin"},
    )
    assert code_of(reply) == (404, "button_not_found")
    assert api.node.tokens.orders == {}
