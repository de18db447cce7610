"""The pages and their JSON as a browser and a program get them."""

from __future__ import annotations

import httpx
import pytest

from simulators.mail.pages import MAIL_POLICY, POLICY

from .conftest import AT, HTML, SIGN_UP, MailServer, Start, written

HEAD = {
    "id": 1,
    "at": AT.isoformat(),
    "from": "a@b.test",
    "to": ["c@d.test", "e@f.test"],
    "subject": "Confirm your address",
}


async def test_a_mail_is_listed_and_read(server: MailServer) -> None:
    assert SIGN_UP in (await server.browser.get("/")).text
    await server.send(written(), "c@d.test", "e@f.test")
    assert "Confirm your address" in (await server.browser.get("/")).text
    page = await server.browser.get("/read/1")
    assert "Hello." in page.text
    frame = await server.browser.get("/read/1/html")
    assert frame.text.strip().endswith(HTML)
    assert (await server.browser.get("/mails")).json() == [HEAD]
    mail = (await server.browser.get("/mails/1")).json()
    assert mail == {**HEAD, "text": "Hello.\n", "html": HTML + "\n"}


async def test_each_page_has_the_policy_that_it_needs(server: MailServer) -> None:
    await server.send(written())
    paths = {"/": POLICY, "/read/1": POLICY, "/read/1/html": MAIL_POLICY, "/read/2": POLICY}
    for path, policy in paths.items():
        headers = (await server.browser.get(path)).headers
        assert headers["Content-Security-Policy"] == policy
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


async def test_what_is_not_there_is_a_page_too(start: Start) -> None:
    async with start(mails_kept=1) as server:
        for subject in ("one", "two"):
            await server.send(written(subject))
        for path in ("/read/1", "/read/1/html", "/read/3", f"/read/{10**30}"):
            page = await server.browser.get(path)
            assert page.status_code == 404
            assert "the newest 1 are kept" in page.text
        assert (await server.browser.get("/nowhere")).status_code == 404
        missing = await server.browser.get("/mails/1")
        assert (missing.status_code, missing.json()) == (404, {"error": "There is no such mail."})


@pytest.mark.parametrize("path", ["/", "/mails", "/read/1", "/read/1/html", "/mails/1"])
async def test_nothing_acts_and_a_name_that_was_made_to_lead_here_is_refused(
    path: str, server: MailServer
) -> None:
    await server.send(written())
    assert (await server.browser.post(path)).status_code == 405
    for host in (
        "evil.test",
        "evil.test:80",
        "localhost.evil.test",
        "[",
        "",
        "127.0.0.1.evil.test",
    ):
        reply = await server.browser.get(path, headers={"Host": host})
        assert reply.status_code == 421
        assert "Confirm" not in reply.text
    for host in ("localhost:8100", "127.0.0.1", "[::1]:8100"):
        assert (await server.browser.get(path, headers={"Host": host})).status_code == 200


async def test_other_pages_cannot_embed_what_is_shown(server: MailServer) -> None:
    reply: httpx.Response = await server.browser.get("/mails")
    assert "Access-Control-Allow-Origin" not in reply.headers
    assert (await server.browser.get("/")).headers["Cross-Origin-Resource-Policy"] == "same-origin"
