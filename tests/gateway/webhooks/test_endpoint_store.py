"""Endpoints of accounts, as programs read and change them by `/v1/webhooks` on a real database."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa

from accounts.notice import Notice
from accounts.ports import NewHolder
from accounts.stores import holders
from gateway.editors import ByKey
from gateway.http.app import create_app
from gateway.http.bearer import Authenticator, key_hash, new_api_key
from gateway.limits.velocity import Use
from gateway.people.store import SqlPeople
from gateway.personal_data.taking_back import TAKING_BACK
from gateway.scopes import PAGE, Scope
from gateway.stores.accounts import KEY_ID_CHARACTERS, SqlAccountStore
from gateway.stores.mail_outbox import mail_outbox, queue_notice
from gateway.webhooks.acts import WebhookActs
from gateway.webhooks.api import WebhooksApi
from gateway.webhooks.ports import ENDPOINTS_MAX, EndpointForm
from gateway.webhooks.signature import SecretMaker, read_secret
from gateway.webhooks.tables import take_webhooks_back
from tests.gateway.calls.test_live import Velocity
from tests.gateway.http.test_bearer import Epochs
from tests.gateway.webhooks.world import World, change_of, receiving

URL = "https://hooks.example.com/caller?token=1"


class Api:
    """The routes on a database, and programs of two accounts."""

    def __init__(self, engine, maker=None):
        self.world = World(engine)
        self.accounts = SqlAccountStore(engine)
        self.velocity = Velocity()
        auth = Authenticator(
            self.accounts, Epochs(), Velocity(), lambda: 0, lambda: datetime.now(UTC)
        )
        self.routes = WebhooksApi(
            auth,
            WebhookActs(self.world.endpoints, maker or self.world.maker, ("127.0.0.1",)),
            self.velocity,
        ).routes()
        self.count = 0

    async def program(self, account_id, scopes=PAGE):
        await self.accounts.create_account(account_id, "USD")
        key = new_api_key()
        await self.accounts.add_api_key(account_id, key_hash(key), "", scopes=scopes)
        transport = httpx.ASGITransport(create_app(self.routes), raise_app_exceptions=False)
        headers = {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    def once(self, name=""):
        self.count += not name
        return {"Idempotency-Key": f"key-of-this-{name or self.count:0>8}"}

    async def add(self, client, url=URL, **body):
        reply = await client.post("/v1/webhooks", json={"url": url, **body}, headers=self.once())
        assert reply.status_code == 201, reply.text
        return reply.json()


@pytest.fixture
async def api(engine):
    made = Api(engine)
    yield made
    await made.world.poster.close()


@pytest.fixture
async def alice(api):
    return await api.program("alice")


@pytest.fixture
async def bob(api):
    return await api.program("bob")


async def test_an_endpoint_is_added_shown_changed_and_deleted(api, alice):
    added = await api.add(alice, label="shop", types=["call.cut_off", "call.ended"])
    secret = added.pop("secret")
    assert len(read_secret(secret)) == 32
    assert added == {
        "id": added["id"],
        "url": URL,
        "label": "shop",
        "types": ["call.ended", "call.cut_off"],
        "created_at": api.world.clock().isoformat().replace("+00:00", "Z"),
        "disabled_at": None,
        "disabled_why": "",
        "failing_since": None,
        "old_secret_until": None,
    }
    one = f"/v1/webhooks/{added['id']}"
    assert (await alice.get(one)).json() == added
    assert (await alice.get("/v1/webhooks")).json() == {"webhooks": [added]}
    shown = await alice.get(f"{one}/secret")
    assert (shown.json()["secret"], shown.headers["cache-control"]) == (secret, "no-store")
    changed = await alice.patch(one, json={"disabled": True, "types": []})
    assert changed.json() == added | {
        "types": [],
        "disabled_at": added["created_at"],
        "disabled_why": "by_owner",
    }
    other = "https://other.example.com/"
    again = await alice.patch(one, json={"disabled": False, "url": other, "label": ""})
    assert again.json() == added | {"types": [], "url": other, "label": ""}
    assert (await alice.delete(one)).status_code == 204
    assert (await alice.get(one)).json()["code"] == "webhook_not_found"
    assert (await alice.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_a_repeat_adds_and_turns_nothing_more(api, alice):
    body = {"url": URL}
    replies = [await alice.post("/v1/webhooks", json=body, headers=api.once("a")) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    one = f"/v1/webhooks/{replies[0].json()['id']}"
    turned = [await alice.post(f"{one}/rotate", headers=api.once("b")) for _ in range(2)]
    assert turned[0].json() == turned[1].json()
    assert turned[0].json()["secret"] != replies[0].json()["secret"]
    # A key that another act has had is new to this one: a secret that leaked must not stay.
    again = await alice.post(f"{one}/rotate", headers=api.once("a"))
    secrets = [reply.json()["secret"] for reply in (replies[0], turned[0], again)]
    assert len({*secrets}) == 3
    until = datetime.fromisoformat(turned[0].json()["old_secret_until"])
    assert until == api.world.clock() + timedelta(hours=24)
    for path in ("/v1/webhooks", f"{one}/rotate"):
        refused = await alice.post(path, json=body)
        assert (refused.status_code, refused.json()["field"]) == (400, "Idempotency-Key")


async def test_the_holder_is_told_of_each_new_address_once_whoever_sets_it(api, engine):
    await api.accounts.create_account("nobodys", "USD")
    people = SqlPeople(engine, queue_notice, taking_back=TAKING_BACK)
    assert await people.sign_up(
        NewHolder("ada", "USD", "ada@example.com", "ada@example.com", "hash", "en", {}),
        Notice("verify_email", "ada@example.com"),
    )
    async with engine.begin() as connection:
        await holders.change(connection, "ada", email_proven_at=api.world.clock())

    async def told():
        async with engine.connect() as connection:
            of = mail_outbox.c
            query = sa.select(of.recipient, of.values_json, of.link_purpose).where(
                of.notice == "webhook_set", of.account_id.in_(("ada", "nobodys"))
            )
            rows = await connection.execute(query.order_by(of.created_at))
            return [(to, json.loads(kept)["label"], link) for to, kept, link in rows]

    key = new_api_key()
    await api.accounts.add_api_key("ada", key_hash(key), "", scopes={Scope.WEBHOOKS})
    editor = ByKey(key_hash(key)[:KEY_ID_CHARACTERS])
    for _ in range(2):
        await api.world.endpoints.add("ada", editor, "wh_1", EndpointForm(URL, "", ""), "seed")
    mail = ("ada@example.com", "hooks.example.com", "not_me")
    assert await told() == [mail]
    for form in (EndpointForm(label="shop"), EndpointForm(URL), EndpointForm(is_disabled=True)):
        await api.world.endpoints.change("ada", editor, "wh_1", form)
    assert await told() == [mail]
    api.world.pass_time(seconds=1)
    other = EndpointForm("https://evil.example/")
    await api.world.endpoints.change("ada", editor, "wh_1", other)
    again = (mail[0], "shop", mail[2])
    assert await told() == [mail, again]
    # Whoever enables what was set long ago reads on there: a lock reaches it as well.
    api.world.pass_time(days=30)
    for _ in range(2):
        await api.world.endpoints.change("ada", editor, "wh_1", EndpointForm(is_disabled=False))
    assert await told() == [mail, again, again]
    lock_at = api.world.clock()
    async with engine.begin() as connection:
        taken = await take_webhooks_back(change_of(connection, "ada", lock_at), lock_at)
    assert taken == {"webhooks": ["shop"]}
    # Of an account without a holder nobody is told.
    await api.world.endpoints.add("nobodys", None, "wh_2", EndpointForm(URL, "", ""), "seed")
    assert len(await told()) == 3


async def test_an_hour_has_so_many_addresses_and_a_repeat_is_none(api, alice):
    body = {"url": URL}
    for _ in range(2):
        added = await alice.post("/v1/webhooks", json=body, headers=api.once("a"))
    one = f"/v1/webhooks/{added.json()['id']}"
    for change in ({"label": "x"}, {"types": []}, {"disabled": True}):
        assert (await alice.patch(one, json=change)).is_success
    once = Use("account_webhooks_hour", "alice")
    assert api.velocity.used == [once]
    for change in ({"url": "https://evil.example/"}, {"disabled": False}):
        assert (await alice.patch(one, json=change)).is_success
    assert api.velocity.used == [once] * 3
    api.velocity.refuses["account_webhooks_hour"] = 60
    before = (await alice.get(one)).json()
    for refused in (
        await alice.patch(one, json={"url": "https://evil.example/2"}),
        await alice.patch(one, json={"disabled": False}),
        await alice.post("/v1/webhooks", json=body, headers=api.once("b")),
    ):
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["Retry-After"] == "60"
    assert (await alice.get("/v1/webhooks")).json()["webhooks"] == [before]


async def test_another_accounts_endpoint_is_none(api, alice, bob):
    added = await api.add(alice)
    await api.world.tell("alice")
    one = f"/v1/webhooks/{added['id']}"
    (delivery,) = (await alice.get(f"{one}/deliveries")).json()["deliveries"]
    asked = [
        await bob.get(one),
        await bob.get(f"{one}/secret"),
        await bob.get(f"{one}/deliveries"),
        await bob.patch(one, json={"disabled": True}),
        await bob.delete(one),
        await bob.post(f"{one}/rotate", headers=api.once()),
        await bob.post(f"{one}/test"),
        await bob.post(f"{one}/replay", json={"since": "2026-11-28T00:00:00Z"}),
        await bob.post(f"{one}/deliveries/{delivery['id']}/replay"),
        # Nor is one that never was, or cannot be.
        await bob.get("/v1/webhooks/wh_none"),
        await bob.get("/v1/webhooks/%00"),
        await alice.post(f"{one}/deliveries/dlv_none/replay"),
        await alice.post(f"{one}/deliveries/%00/replay"),
    ]
    problems = {(reply.status_code, reply.json()["code"]) for reply in asked}
    assert problems == {(404, "webhook_not_found")}
    assert len({reply.text for reply in asked}) == 1
    assert (await alice.get(one)).json()["disabled_at"] is None
    # Two accounts may use one idempotency key.
    mine, theirs = [
        (await each.post("/v1/webhooks", json={"url": URL}, headers=api.once("c"))).json()
        for each in (alice, bob)
    ]
    assert mine["id"] != theirs["id"]
    assert mine["secret"] != theirs["secret"]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"url": "http://example.com/"}, "webhook_refused", "url"),
        ({"url": "https://127.0.0.2/"}, "webhook_refused", "url"),
        ({"url": "https://u:p@example.com/"}, "webhook_refused", "url"),
        ({"url": "https://example.com/\0"}, "webhook_refused", "url"),
        ({"url": URL, "types": ["alarm.raised"]}, "bad_request", "types"),
        ({"url": URL, "label": "a\0b"}, "bad_request", "label"),
        ({"url": URL, "label": "x" * 81}, "bad_request", "label"),
        ({"url": "https://example.com/" + "x" * 2_000}, "bad_request", "url"),
        ({"url": URL, "types": ["call.ended"] * 65}, "bad_request", "types"),
        ({"url": URL, "secret": "whsec_mine"}, "bad_request", "secret"),
        ({}, "bad_request", "url"),
        ({"url": None}, "bad_request", "url"),
        ([], "bad_request", None),
    ],
)
async def test_what_is_wrong_is_said(api, alice, body, code, field):
    refused = await alice.post("/v1/webhooks", json=body, headers=api.once())
    assert (refused.json()["code"], refused.json().get("field")) == (code, field)
    assert 400 <= refused.status_code < 500
    if isinstance(body, dict) and body.get("url"):
        one = (await api.add(alice))["id"]
        assert (await alice.patch(f"/v1/webhooks/{one}", json=body)).json()["code"] == code


async def test_there_are_few(api, alice):
    for _ in range(ENDPOINTS_MAX):
        await api.add(alice)
    refused = await alice.post("/v1/webhooks", json={"url": URL}, headers=api.once())
    assert (refused.status_code, refused.json()["code"]) == (409, "webhooks_too_many")
    assert len((await alice.get("/v1/webhooks")).json()["webhooks"]) == ENDPOINTS_MAX


async def test_deliveries_are_shown_with_their_attempts_a_page_at_a_time(api, alice):
    async with receiving() as receiver:
        added = await api.add(alice, receiver.url)
        one = f"/v1/webhooks/{added['id']}"
        receiver.status = 500
        for _ in range(3):
            await api.world.tell("alice")
            api.world.pass_time(seconds=1)
        await api.world.send()
        tested = await alice.post(f"{one}/test")
        assert (tested.status_code, tested.json()["state"]) == (202, "queued")
        # Another one at once is a delivery of its own.
        api.world.pass_time(seconds=1)
        again = await alice.post(f"{one}/test")
        assert (again.status_code, again.json()["id"] != tested.json()["id"]) == (202, True)
        receiver.status = 204
        await api.world.send()
    first = (await alice.get(f"{one}/deliveries?limit=4")).json()
    assert [each["type"] for each in first["deliveries"]] == [
        *["webhook.test"] * 2,
        *["call.credit_warning"] * 2,
    ]
    newest = first["deliveries"][0]
    assert (newest["state"], newest["next_try_at"], newest["failure"]) == ("sent", None, "")
    failed = first["deliveries"][2]
    assert (failed["state"], failed["failure"]) == ("queued", "status 500")
    (attempt,) = failed["attempts"]
    assert attempt == {
        "number": 1,
        "at": attempt["at"],
        "status": 500,
        "ms": attempt["ms"],
        "reason": "status 500",
    }
    rest = (await alice.get(f"{one}/deliveries?limit=3&before={first['next']}")).json()
    assert (len(rest["deliveries"]), rest["next"]) == (1, None)
    for query in ("limit=0", "limit=201", "limit=x", "before=%00", "before=x", "before="):
        assert (await alice.get(f"{one}/deliveries?{query}")).status_code == 400
    assert (await alice.get(f"{one}/deliveries?before=dlv_none")).json()["deliveries"] == []


async def test_what_failed_is_sent_again_on_demand(api, alice):
    added = await api.add(alice)
    one = f"/v1/webhooks/{added['id']}"
    await api.world.tell("alice", 2)
    await alice.patch(one, json={"disabled": True})
    await api.world.spool.tidy()
    since = {"since": "2020-01-01T00:00:00Z"}
    refused = await alice.post(f"{one}/replay", json=since)
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
    assert (await alice.post(f"{one}/test")).json()["code"] == "webhook_disabled"
    await alice.patch(one, json={"disabled": False})
    replayed = await alice.post(f"{one}/replay", json=since)
    assert (replayed.status_code, replayed.json()) == (202, {"replayed": 2})
    delivery = (await alice.get(f"{one}/deliveries")).json()["deliveries"][0]
    assert delivery["state"] == "queued"
    again = await alice.post(f"{one}/deliveries/{delivery['id']}/replay")
    assert (again.status_code, again.json()["message_id"]) == (202, delivery["message_id"])
    for body in ({}, {"since": "yesterday"}, {"since": "2020-01-01T00:00:00"}):
        assert (await alice.post(f"{one}/replay", json=body)).status_code == 400


async def test_all_of_it_needs_the_scope(api):
    reader = await api.program("carol", PAGE - {Scope.WEBHOOKS})
    for path in ("/v1/webhooks", "/v1/webhooks/wh_1", "/v1/webhooks/wh_1/deliveries"):
        refused = await reader.get(path)
        assert (refused.status_code, refused.json()["scope"]) == (403, "webhooks")


async def test_a_key_that_was_revoked_meanwhile_changes_nothing(api, alice):
    added = await api.add(alice)
    editor = api.world.endpoints
    gone = await editor.change("alice", 99, added["id"], EndpointForm(is_disabled=True))
    assert gone == "session_over"
    assert await editor.remove("alice", 99, added["id"]) == "session_over"
    assert await editor.turn("alice", 99, added["id"], "seed") == "session_over"
    assert await editor.add("alice", 99, "wh_x", EndpointForm(URL), "seed") == "session_over"
    assert (await alice.get(f"/v1/webhooks/{added['id']}")).json()["disabled_at"] is None


async def test_without_a_key_for_secrets_none_is_made(engine):
    api = Api(engine, SecretMaker(()))
    alice = await api.program("alice")
    refused = await alice.post("/v1/webhooks", json={"url": URL}, headers=api.once())
    assert (refused.status_code, refused.json()["code"]) == (501, "webhooks_off")
    added = await api.world.add("alice", URL)
    shown = await alice.get(f"/v1/webhooks/{added.id}/secret")
    assert shown.json()["code"] == "webhooks_off"
    assert (await alice.get(f"/v1/webhooks/{added.id}")).status_code == 200
    await api.world.poster.close()
