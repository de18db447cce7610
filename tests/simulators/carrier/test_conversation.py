"""Answered calls: their TwiML, verb by verb, and how other TwiML takes over."""

from __future__ import annotations

from aiohttp import web

from media.tones import dtmf
from simulators.carrier.conversation import DOCUMENTS_MAX

from .conftest import Carrier
from .peer import Hook, until


def xml(verbs: str) -> web.Response:
    return web.Response(text=f"<Response>{verbs}</Response>", content_type="text/xml")


async def test_redirect_after_the_stream_is_signed_and_executed(carrier: Carrier) -> None:
    """The application's socket breaks; the redirect connects the call again."""
    peer = carrier.peer
    answers = [peer.twiml(), "<Response><Hangup/></Response>"]
    peer.answer = lambda hook: web.Response(
        text=answers.pop(0) if hook.path == "/again" else "", content_type="text/xml"
    )
    call = await carrier.place(
        "+15005551000", twiml=peer.twiml(extra=f"<Redirect>{peer.http}/again</Redirect>")
    )
    (await peer.media()).socket.transport.abort()
    second = await peer.media(2)
    assert second.sid != peer.medias[0].sid
    await second.socket.close()
    await carrier.over(call.sid)
    again = [h for h in peer.hooks if h.path == "/again"]
    assert [h.signed for h in again] == [True]
    assert again[0].params["CallStatus"] == "in-progress"
    assert again[0].params["CallSid"] == call.sid


async def test_url_is_fetched_on_answer_and_relative_redirects_follow(carrier: Carrier) -> None:
    peer = carrier.peer

    def answer(hook: Hook) -> web.Response:
        return xml(
            "<Hangup/>" if hook.path == "/v/end" else '<Redirect method="GET">end</Redirect>'
        )

    peer.answer = answer
    call = await carrier.place("+15005551000", twiml=None, url=f"{peer.http}/v/first")
    await carrier.over(call.sid)
    assert [h.path for h in peer.hooks if h.path.startswith("/v")] == ["/v/first", "/v/end"]
    assert all(h.signed for h in peer.hooks)
    assert carrier.codes() == []


async def test_documents_that_end_at_once(carrier: Carrier) -> None:
    documents: list[tuple[str, list[int]]] = [
        ("<Response><Hangup/></Response>", []),
        ("<Response><Reject/></Response>", []),
        ("<Response/>", []),
        ("<Response><Dial>+1</Dial><Enqueue/></Response>", [12200, 12200]),
        ("<Response>", [12100]),
        ("<Response><Redirect>mailto:x</Redirect></Response>", [11200]),
        ("<Response><Redirect/></Response>", [11200]),
        ("<Response><Redirect>http://127.0.0.1:1/</Redirect></Response>", [11200]),
        ("<Response><Pause length='0'/><Say> </Say></Response>", []),
    ]
    for twiml, codes in documents:
        call = await carrier.place("+15005551000", twiml=twiml)
        await carrier.over(call.sid)
        assert carrier.service.debugger.codes(call.sid) == codes


async def test_a_redirect_loop_ends(carrier: Carrier) -> None:
    peer = carrier.peer
    peer.answer = lambda _: xml(f"<Redirect>{peer.http}/loop</Redirect>")
    call = await carrier.place("+15005551000", twiml=None, url=f"{peer.http}/loop")
    await carrier.over(call.sid)
    assert sum(h.path == "/loop" for h in peer.hooks) == DOCUMENTS_MAX


async def test_a_failing_document_is_an_http_failure(carrier: Carrier) -> None:
    carrier.peer.answer = lambda _: web.Response(status=500)
    call = await carrier.place("+15005551000", twiml=None, url=f"{carrier.peer.http}/v")
    await carrier.over(call.sid)
    assert carrier.codes() == [11200]


async def test_play_digits_are_heard_by_the_callee(carrier: Carrier) -> None:
    twiml = '<Response><Play digits="w5#"/></Response>'
    call = await carrier.place("+15005551000", twiml=twiml)
    await carrier.over(call.sid)
    heard = (await carrier.control.get(f"/calls/{call.sid}/heard")).content
    assert heard == dtmf("5") + dtmf("#")


async def test_new_twiml_takes_over_a_streaming_call(carrier: Carrier) -> None:
    """How an application tells a caller that the credit is gone."""
    call = await carrier.place("+15005551000")
    media = await carrier.peer.media()
    say = f"<Response><Say>{'No credit. ' * 100}</Say><Hangup/></Response>"
    await carrier.update(call.sid, twiml=say)
    await media.closed.wait()
    assert media.messages[-1]["event"] == "stop"
    assert (await carrier.fetch(call.sid)).status == "in-progress"
    await carrier.update(call.sid, twiml="<Response><Say>Bye</Say><Hangup/></Response>")
    await carrier.over(call.sid)
    assert carrier.codes() == []


async def test_a_new_url_and_callback_take_over(carrier: Carrier) -> None:
    peer = carrier.peer
    peer.answer = lambda _: xml("<Hangup/>")
    call = await carrier.place("+15005551000")
    await peer.media()
    await carrier.update(call.sid, url=f"{peer.http}/v", status_callback=f"{peer.http}/other")
    await carrier.over(call.sid)
    await until(lambda: any(h.path == "/other" for h in peer.hooks))
    assert peer.hooks[-1].params["CallStatus"] == "completed"


async def test_long_parameters_are_not_delivered_and_warned_of(carrier: Carrier) -> None:
    parameters = f'<Parameter name="a" value="{"x" * 500}"/><Parameter name="b" value="1"/>'
    await carrier.place("+15005551000", twiml=carrier.peer.twiml(parameters=parameters))
    media = await carrier.peer.media()
    assert media.start["start"]["customParameters"] == {"b": "1"}
    assert carrier.codes() == [12200]
