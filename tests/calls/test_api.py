"""The API against bad requests: each gets a problem that says what to do; nothing else happens."""

from typing import Any

import httpx
import pytest

from gateway.http.bearer import key_hash, new_api_key
from tests.calls.world import Customer, World

TOKENS = "/v1/call-tokens"


def problem(reply: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal; it must have all that programs and people need."""
    body = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert body["type"] == "urn:caller:problem:" + body["code"]
    assert body["title"]
    assert body["action"]
    assert body["status"] == reply.status_code
    assert isinstance(body["retry"], bool)
    return reply.status_code, body["code"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("", "number_invalid"),
        ("hello", "number_invalid"),
        ("15005551000", "number_invalid"),
        ("+1500555100０", "number_invalid"),
        ("+" + "9" * 15, "number_invalid"),
        ("+1234567890123456", "number_invalid"),
        ("sip:bob@example.com", "number_invalid"),
        ("+4471", "number_too_short"),
        ("911", "number_emergency"),
        ("+1911", "number_emergency"),
        ("112", "number_emergency"),
        ("999", "number_emergency"),
        ("+19005551234", "number_premium"),
        ("+449098790000", "number_premium"),
        ("+881612345678", "number_premium"),
        ("+85021234567", "destination_not_priced"),
    ],
)
async def test_a_number_that_may_not_be_called_says_why(
    world: World, customer: Customer, number: str, code: str
):
    reply = await customer.http.post(TOKENS, json={"destination": number})
    assert problem(reply) == (422, code)
    assert reply.json()["field"] == "destination"


async def test_a_body_that_is_not_one_is_refused(world: World, customer: Customer):
    async def answer(content: Any) -> tuple[int, str]:
        return problem(await customer.http.post(TOKENS, content=content))

    async def pieces():
        for _ in range(50):
            yield b" " * 100

    ok = b'{"destination":"+15005551000"'
    for bad in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"destination":42}',
        b'{"codec":"pcmu"}',
        ok + b',"colour":"red"}',
        ok + b',"codec":null}',
        b'{"destination":"' + b"1" * 65 + b'"}',
    ):
        assert await answer(bad) == (400, "bad_request"), bad[:40]
    assert await answer(ok + b" " * 5000 + b"}") == (413, "payload_too_large")
    assert await answer(pieces()) == (413, "payload_too_large")
    assert await answer(ok + b',"codec":"opus"}') == (422, "codec_unknown")
    await customer.ordinary_call()


async def test_no_key_opens_nothing(world: World, customer: Customer):
    revoked = new_api_key()
    async with world.stores() as stores:
        key_id = await stores.accounts.add_api_key(customer.account_id, key_hash(revoked), "old")
        await stores.accounts.revoke_api_key(customer.account_id, key_id)
    wrong = [
        "",
        customer.key,
        "Basic " + customer.key,
        "Bearer",
        "Bearer " + new_api_key(),
        "Bearer " + revoked,
        "Bearer " + customer.key + "x",
        "Bearer " + customer.key.upper(),
        "Bearer ck_" + "x" * 5000,
    ]
    async with httpx.AsyncClient(base_url=world.base) as client:
        for value in wrong:
            headers = {"authorization": value} if value else {}
            for method, path in (
                ("POST", TOKENS),
                ("GET", "/v1/calls"),
                ("GET", "/v1/calls/x"),
                ("DELETE", "/v1/calls/x"),
                ("GET", "/v1/account"),
                ("GET", "/v1/phonebook"),
            ):
                reply = await client.request(method, path, headers=headers)
                assert problem(reply) == (401, "unauthorized"), value[:30]
                assert reply.headers["www-authenticate"] == "Bearer"


async def test_an_account_sees_and_ends_only_its_own_calls(world: World, customer: Customer):
    stranger = await world.new_customer()
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        for method in ("GET", "DELETE"):
            reply = await stranger.http.request(method, f"/v1/calls/{call_id}")
            assert problem(reply) == (404, "call_not_found")
        assert (await stranger.http.get("/v1/calls")).json()["calls"] == []
        await phone.hang_up()
    await customer.record(call_id)
    for method in ("GET", "DELETE"):
        reply = await stranger.http.request(method, f"/v1/calls/{call_id}")
        assert problem(reply) == (404, "call_not_found")
    before = await stranger.http.get("/v1/calls", params={"before": call_id})
    assert before.json()["calls"] == []
    await stranger.http.aclose()


async def test_what_is_not_served_says_so(world: World, customer: Customer):
    http = customer.http
    assert problem(await http.get("/v1/nothing")) == (404, "not_found")
    assert problem(await http.get("/n/other/twilio/nothing/x")) == (404, "not_found")
    # The callbacks of a node that is gone are taken by any other.
    assert problem(await http.post("/n/other/twilio/status/x")) == (403, "bad_signature")
    assert problem(await http.get(TOKENS)) == (405, "method_not_allowed")
    assert problem(await http.get("/v1/calls/" + "x" * 3000)) == (404, "call_not_found")
    assert problem(await http.get("/v1/calls/%00")) == (404, "call_not_found")
    for limit in ("0", "201", "-1", "x", "1" * 5000, "²"):
        reply = await http.get("/v1/calls", params={"limit": limit})
        assert problem(reply) == (400, "bad_request")
        assert reply.json()["field"] == "limit"
    unknown = await http.get("/v1/calls", params={"before": "nonsense\0"})
    assert unknown.status_code in (200, 400)
    for path in ("/n/n1/media/nobody", "/n/other/media/browser"):
        assert (await http.get(path)).status_code in (400, 404, 426)
    assert (await http.get("/healthz")).json()["status"] == "ok"
    assert (await http.get("/readyz")).json() == {"status": "ok"}
    _, ready = await world.readiness(await world.new_operator())
    assert ready["status"] == "ok"


async def test_a_frozen_account_places_no_call(world: World):
    customer = await world.new_customer()
    async with world.stores() as stores:
        await stores.ledger.freeze(customer.account_id, True)
    reply = await customer.http.post(TOKENS, json={"destination": "+15005551000"})
    assert problem(reply) == (403, "account_frozen")
    await customer.http.aclose()
