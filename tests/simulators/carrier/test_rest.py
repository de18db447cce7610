"""The REST API through twilio-python, and its replies against Twilio's OpenAPI document."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openapi_core.exceptions import OpenAPIError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from simulators.carrier.rest import EXCEPTION_HANDLERS
from tests.contract.document import Asked, Document
from tests.contract.graded import Form, Graded

from .conftest import Carrier, Start
from .peer import ACCOUNT, FROM, TOKEN, until

PREFIX = f"/2010-04-01/Accounts/{ACCOUNT}"
CALLS = f"{PREFIX}/Calls.json"


@pytest.fixture(scope="module")
def document() -> Document:
    text = (Path(__file__).parent / "data/twilio_calls_subset.json").read_text()
    return Document(json.loads(text))


async def test_every_reply_is_what_the_document_says(carrier: Carrier, document: Document) -> None:
    async with Graded(document, carrier.service.url, (ACCOUNT, TOKEN)) as ask:
        order: Form = {
            "To": "+15005551000",
            "From": FROM,
            "Twiml": carrier.peer.twiml(),
            "StatusCallback": f"{carrier.peer.http}/status",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "TimeLimit": "60",
        }
        created = await ask("POST", CALLS, order)
        assert created["status"] == "queued"
        assert (created["price"], created["duration"], created["start_time"]) == (None, None, None)
        assert (created["queue_time"], created["price_unit"]) == ("0", "USD")
        sid = created["sid"]
        await carrier.peer.media()
        assert (await ask("GET", f"{PREFIX}/Calls/{sid}.json"))["status"] == "in-progress"
        await ask("POST", f"{PREFIX}/Calls/{sid}.json", {"Status": "completed"})
        await carrier.over(sid)
        ended = await ask("GET", f"{PREFIX}/Calls/{sid}.json")
        assert (ended["status"], int(ended["duration"]) > 0) == ("completed", True)
        listed = await ask("GET", CALLS, To="+15005551000", PageSize="1")
        assert [call["sid"] for call in listed["calls"]] == [sid]
        assert (await ask("POST", f"{PREFIX}/Tokens.json", {"Ttl": "60"}))["ttl"] == "60"
        await ask("GET", f"{PREFIX}/OutgoingCallerIds.json")
        await ask("POST", f"{PREFIX}/OutgoingCallerIds.json", {"PhoneNumber": "+442071838750"})
        assert await ask("DELETE", f"{PREFIX}/Calls/{sid}.json") is None


async def test_the_document_catches_a_wrong_field(carrier: Carrier, document: Document) -> None:
    """The grader can fail: an unknown parameter and a spoiled reply do not pass."""
    order: Form = {"To": "+15005551000", "From": FROM, "Twiml": "<Response/>"}
    async with Graded(document, carrier.service.url, (ACCOUNT, TOKEN)) as ask:
        spoilt: list[Form] = [{"Hello": "1"}, {"Timeout": "x"}]
        for wrong in spoilt:
            with pytest.raises(OpenAPIError):
                await ask("POST", CALLS, order | wrong)
    asked = Asked("GET", f"{PREFIX}/Calls/CA{'1' * 32}.json")
    with pytest.raises(OpenAPIError):
        document.check_reply(asked, 200, b'{"hello":1}')


async def test_twilio_python_places_updates_and_lists(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    assert (call.status, call.direction, call.to_formatted) == (
        "queued",
        "outbound-api",
        "(500) 555-1000",
    )
    await carrier.peer.media()
    await carrier.update(call.sid, status="completed")
    await carrier.over(call.sid)
    listed = await asyncio.to_thread(
        carrier.client.calls.list,
        to="+15005551000",
        status="completed",
        start_time_after=call.date_created.replace(hour=0, minute=0, second=0),
    )
    assert [c.sid for c in listed] == [call.sid]
    others = await asyncio.to_thread(carrier.client.calls.list, from_="+15005551000")
    assert others == []


async def test_twilio_python_turns_pages(carrier: Carrier) -> None:
    placed = [(await carrier.place("+15005551004", twiml="<Response/>")).sid for _ in range(5)]
    listed = await asyncio.to_thread(carrier.client.calls.list, page_size=2)
    assert [call.sid for call in listed] == placed[::-1]


async def test_the_price_comes_in_time_and_negative(carrier: Carrier) -> None:
    call = await carrier.place("+15005551007")
    await carrier.over(call.sid)
    async with asyncio.timeout(20):
        while (seen := await carrier.fetch(call.sid)).price is None:
            await asyncio.sleep(0.02)
    assert (seen.price, seen.price_unit) == ("-0.01400", "USD")


async def test_magic_numbers_raise_twilios_errors(carrier: Carrier) -> None:
    codes = {
        "+15005550001": 21217,
        "+15005550002": 21214,
        "+15005550003": 21215,
        "+15005550004": 21216,
        "+1911": 21211,
    }
    for to, code in codes.items():
        with pytest.raises(TwilioRestException) as caught:
            await carrier.place(to)
        assert (caught.value.status, caught.value.code) == (400, code)
    assert carrier.peer.hooks == []


async def test_only_own_numbers_may_call_until_they_are_verified(carrier: Carrier) -> None:
    order = {"to": "+15005551004", "from_": "+442071838750", "twiml": "<Response/>"}
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(carrier.client.calls.create, **order)
    assert caught.value.code == 21210
    request = await asyncio.to_thread(
        carrier.client.validation_requests.create, phone_number="+442071838750"
    )
    assert len(request.validation_code) == 6
    ids = await asyncio.to_thread(
        carrier.client.outgoing_caller_ids.list, phone_number="+442071838750"
    )
    assert len(ids) == 1
    assert (await asyncio.to_thread(carrier.client.calls.create, **order)).sid
    with pytest.raises(TwilioRestException) as again:
        await asyncio.to_thread(
            carrier.client.validation_requests.create, phone_number="+442071838750"
        )
    assert again.value.code == 21450


async def test_wrong_credentials_are_401(carrier: Carrier) -> None:
    pairs = [(ACCOUNT, "wrong"), ("AC" + "b" * 32, TOKEN), ("", ""), ("SK1", TOKEN)]
    headers = ["", "Basic", "Basic !", "Basic /w==", "Bearer x"]
    async with httpx.AsyncClient(base_url=carrier.service.url) as http:
        url = f"{PREFIX}/Calls.json"
        replies = [await http.get(url, auth=pair) for pair in pairs]
        replies += [await http.get(url, headers={"Authorization": h}) for h in headers]
        replies.append(await http.get(url.replace("a" * 32, "b" * 32), auth=(ACCOUNT, TOKEN)))
    assert [(r.status_code, r.json()["code"]) for r in replies] == [(401, 20003)] * 10


async def test_an_api_key_works_too(start: Start) -> None:
    async with start(api_key_sid="SK" + "c" * 32, api_key_secret="s") as carrier:
        client = Client("SK" + "c" * 32, "s", ACCOUNT)
        client.api.base_url = carrier.service.url
        assert await asyncio.to_thread(client.calls.list) == []


async def test_credentials_are_of_one_region(start: Start) -> None:
    hosts = {
        "api.dublin.ie1.twilio.com": 200,
        "api.frankfurt.ie1.twilio.com": 200,
        "api.sydney.au1.twilio.com": 401,
        "api.dublin.us1.twilio.com": 401,
        "api.twilio.com": 401,
        "127.0.0.1": 200,
    }
    async with start(region="ie1") as carrier, httpx.AsyncClient() as http:
        url = f"{carrier.service.url}{PREFIX}/Calls.json"
        for host, status in hosts.items():
            reply = await http.get(url, auth=(ACCOUNT, TOKEN), headers={"Host": host})
            assert reply.status_code == status, host
            assert status == 200 or reply.json()["code"] == 20003


async def test_errors_have_twilios_body(carrier: Carrier) -> None:
    table = [
        ("GET", f"{PREFIX}/Calls/CA{'0' * 32}.json", 404, 20404),
        ("POST", f"{PREFIX}/Calls/CA{'0' * 32}.json", 404, 20404),
        ("DELETE", f"{PREFIX}/Calls/CA{'0' * 32}.json", 404, 20404),
        ("GET", f"{PREFIX}/Messages.json", 404, 20404),
        ("PUT", f"{PREFIX}/Calls.json", 405, 20004),
        ("GET", "/v2/Voice/Numbers/hello", 404, 20404),
        ("GET", "/v1/DialingPermissions/Countries/XX", 404, 20404),
        ("GET", f"{PREFIX}/Calls.json?Page=x", 400, 20001),
        ("POST", f"{PREFIX}/Calls.json", 400, 21201),
    ]
    async with httpx.AsyncClient(base_url=carrier.service.url, auth=(ACCOUNT, TOKEN)) as http:
        for method, path, status, code in table:
            reply = await http.request(method, path)
            assert reply.status_code == status
            assert reply.json() == {
                "code": code,
                "message": reply.json()["message"],
                "more_info": f"https://www.twilio.com/docs/errors/{code}",
                "status": status,
            }


async def test_odd_bodies_are_refused(carrier: Carrier) -> None:
    bodies = [b"To=%ff&" + b"a=1&" * 300, b"a" * 70_000, b"\xff\xfe"]
    async with httpx.AsyncClient(base_url=carrier.service.url, auth=(ACCOUNT, TOKEN)) as http:
        replies = [await http.post(f"{PREFIX}/Calls.json", content=body) for body in bodies]
    assert [reply.status_code for reply in replies] == [400, 400, 400]


async def test_quotes_permissions_and_tokens(carrier: Carrier) -> None:
    client = carrier.client
    quote = await asyncio.to_thread(client.pricing.v2.voice.numbers("+442071838750").fetch)
    assert (quote.iso_country, quote.price_unit) == ("GB", "USD")
    assert quote.outbound_call_prices == [
        {"base_price": "0.0158", "current_price": "0.0158", "origination_prefixes": ["ALL"]}
    ]
    countries = await asyncio.to_thread(client.voice.v1.dialing_permissions.countries.list)
    assert {"US", "GB", "LV"} <= {c.iso_code for c in countries}
    latvia = await asyncio.to_thread(client.voice.v1.dialing_permissions.countries("LV").fetch)
    assert (latvia.country_codes, latvia.low_risk_numbers_enabled) == (["+371"], False)
    with pytest.raises(TwilioRestException):
        await asyncio.to_thread(client.tokens.create, ttl=-1)
    token = await asyncio.to_thread(client.tokens.create)
    assert (token.ttl, len(token.ice_servers)) == ("86400", 4)


@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated")
async def test_the_asynchronous_client_works(carrier: Carrier) -> None:
    async with AsyncTwilioHttpClient() as http:
        client = Client(ACCOUNT, TOKEN, http_client=http)
        client.api.base_url = carrier.service.url
        call = await client.calls.create_async(to="+15005551004", from_=FROM, twiml="<Response/>")
        assert (await client.calls(call.sid).fetch_async()).sid == call.sid


# --- ending ------------------------------------------------------------------------------------


async def test_ended_calls_cannot_be_updated(carrier: Carrier) -> None:
    call = await carrier.place("+15005551004")
    await carrier.over(call.sid, "busy")
    with pytest.raises(TwilioRestException) as caught:
        await carrier.update(call.sid, status="completed")
    assert (caught.value.status, caught.value.code) == (400, 21220)


@pytest.mark.parametrize("status", ["completed", "canceled"])
async def test_a_ringing_call_is_canceled(start: Start, status: str) -> None:
    async with start(ring_s=30) as carrier:
        call = await carrier.place("+15005551000")
        await until(lambda: "ringing" in carrier.peer.statuses())
        await carrier.update(call.sid, status=status)
        seen = await carrier.over(call.sid, "canceled")
        assert (seen["billed_seconds"], seen["streams"]) == (0, [])


async def test_canceled_does_not_touch_a_call_in_progress(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    await carrier.peer.media()
    assert (await carrier.update(call.sid, status="canceled")).status == "in-progress"


async def test_a_live_call_cannot_be_deleted(carrier: Carrier) -> None:
    call = await carrier.place("+15005551000")
    await carrier.peer.media()
    with pytest.raises(TwilioRestException):
        await asyncio.to_thread(carrier.client.calls(call.sid).delete)


# --- faults -------------------------------------------------------------------------------------


async def test_injected_rest_faults_are_used_up(carrier: Carrier) -> None:
    plan = {"rest": {"status": 503, "count": 2, "operation": "create"}}
    assert (await carrier.control.put("/faults", json=plan)).status_code == 204
    for _ in range(2):
        with pytest.raises(TwilioRestException) as caught:
            await carrier.place("+15005551004")
        assert caught.value.status == 503
    assert (await carrier.place("+15005551004")).status == "queued"
    assert (await carrier.control.get("/faults")).json()["rest"]["status"] == 503
    assert (await carrier.control.delete("/faults")).status_code == 204
    assert (await carrier.control.get("/faults")).json()["rest"] is None


async def test_first_create_is_429_then_ok(carrier: Carrier) -> None:
    with pytest.raises(TwilioRestException) as caught:
        await carrier.place("+15005551016")
    assert (caught.value.status, caught.value.code) == (429, 20429)
    assert (await carrier.place("+15005551016")).status == "queued"


async def test_creates_that_never_work(carrier: Carrier) -> None:
    for to, status in (("+15005551019", 500), ("+15005551020", 401)):
        with pytest.raises(TwilioRestException) as caught:
            await carrier.place(to)
        assert caught.value.status == status
    assert (await carrier.control.get("/calls")).json() == {"calls": []}


async def test_an_ambiguous_create_places_the_call(carrier: Carrier) -> None:
    """The client gives up, yet the call is live and can be found by its number."""
    form = {"To": "+15005551018", "From": FROM, "Twiml": carrier.peer.twiml()}
    impatient = httpx.Timeout(5, read=0.2)
    async with httpx.AsyncClient(base_url=carrier.service.url, auth=(ACCOUNT, TOKEN)) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{PREFIX}/Calls.json", data=form, timeout=impatient)
    await carrier.peer.media()
    found = await asyncio.to_thread(carrier.client.calls.list, to="+15005551018")
    assert [call.status for call in found] == ["in-progress"]


async def test_stopping_lets_held_replies_go(start: Start) -> None:
    async with start(create_hold_s=60) as carrier:
        held = asyncio.create_task(carrier.place("+15005551018"))
        await carrier.peer.media()
        await carrier.service.stop()
        assert (await held).status == "queued"


async def test_too_many_requests_at_a_time_are_429(start: Start) -> None:
    async with start(rest_concurrency_max=1, create_hold_s=60) as carrier:
        held = asyncio.create_task(carrier.place("+15005551018"))
        await carrier.peer.media()
        with pytest.raises(TwilioRestException) as caught:
            await carrier.place("+15005551000")
        assert caught.value.code == 20429
        await carrier.service.stop()
        await held


def test_fixture_files_are_json() -> None:
    def files() -> Iterator[Path]:
        yield from (Path(__file__).parent / "data").glob("*.json")

    assert {path.name for path in files() if json.loads(path.read_text())} == {
        "twilio_calls_subset.json",
        "twilio_outbound_frames.schema.json",
    }


async def test_a_request_that_is_broken_off_is_no_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def reads(request: Request) -> Response:
        return Response(await request.body())

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_message: object) -> None:
        """Nobody reads it."""

    app = Starlette(
        routes=[Route("/", reads, methods=["POST"])], exception_handlers=dict(EXCEPTION_HANDLERS)
    )
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert caplog.records == []
