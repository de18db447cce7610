"""The page of what calls have said."""

from __future__ import annotations

import asyncio

import httpx

from simulators.carrier.announcements import PATH, SHOWN_MAX, page

from .conftest import Carrier


async def test_what_a_call_says_is_read_with_its_number(carrier: Carrier) -> None:
    twiml = '<Response><Say language="de-DE">Ihr Code ist &lt;7&gt;.</Say></Response>'
    call = await carrier.place("+15005551005", twiml=twiml)
    async with httpx.AsyncClient(base_url=carrier.service.url) as client:
        assert "No call has said anything yet." in (await client.get(PATH)).text
        await carrier.act(call.sid, "answer")
        async with asyncio.timeout(20):
            while "<dt>" not in (reply := await client.get(PATH)).text:
                await asyncio.sleep(0.01)
    entry = '<dt>+15005551005</dt>\n<dd lang="de-DE">Ihr Code ist &lt;7&gt;.</dd>'
    assert entry in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_only_the_newest_are_shown() -> None:
    assert page([("+1", "x", "en")] * (SHOWN_MAX + 1)).count("<dt>") == SHOWN_MAX
