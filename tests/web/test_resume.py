"""A call whose socket is lost, or whose page is loaded again, goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import async_fixture, held_back, open_page
from tests.web.fake_gateway import KEY, OTHER_KEY, FakeGateway, Line, until
from tests.web.test_phone import SILENCE, alert, button, dial, heard, status

pytestmark = pytest.mark.asyncio(loop_scope="session")

RESUME = {"type": "resume", "version": 1, "call_id": "call_1"}


@async_fixture
async def page(browser: Browser, gateway: FakeGateway) -> AsyncIterator[Page]:
    """The phone, at a gateway that keeps lost calls; a cut connection is a fault of no page."""
    gateway.resume_seconds = 15
    phone, _ = await open_page(browser, gateway)
    yield phone
    await phone.context.close()


async def taken_up(gateway: FakeGateway, times: int = 1) -> Line:
    """Wait for the socket after so many losses."""
    await until(lambda: len(gateway.lines) == times + 1)
    return gateway.line


async def test_lost_socket_is_taken_up_and_the_call_goes_on(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    gateway.cut()
    await expect(status(page)).to_contain_text("No connection.")
    assert await status(page).get_attribute("role") == "status"
    line = await taken_up(gateway)
    assert line.start == {**RESUME, "token": "resume_1"}
    await expect(status(page)).to_have_text("In call")
    assert len(set(await heard(line, 50))) > 1
    gateway.cut()
    line = await taken_up(gateway, 2)
    assert line.start == {**RESUME, "token": "resume_2"}


async def test_closed_by_a_proxy_is_lost_as_well(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await line.socket.close(1001)
    await taken_up(gateway)
    await expect(status(page)).to_have_text("In call")


async def test_what_the_gateway_ends_with_a_reason_is_not_taken_up(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    said = {"message": "All lines are in use.", "action": "Call again in a minute."}
    await line.send("error", code="button_busy", retry=True, **said)
    await line.socket.close(1013)
    await expect(alert(page)).to_contain_text("All lines are in use.")
    assert len(gateway.lines) == 1


async def test_a_refused_message_leaves_a_call_that_can_be_taken_up(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    await line.send("error", code="bad_message", message="Not now.", action="", retry=False)
    await line.send("levels", browser=None, carrier=None)
    await line.socket.close(1013)
    await taken_up(gateway)
    await expect(status(page)).to_have_text("In call")


async def test_microphone_muted_meanwhile_stays_muted(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    gateway.cut()
    await expect(status(page)).to_contain_text("No connection.")
    await button(page, "Mute").click()
    line = await taken_up(gateway)
    await line.send("mute", muted=False)
    await until(lambda: {"type": "mute", "muted": True} in line.messages)
    await expect(status(page)).to_have_text("In call, muted")
    assert set(await heard(line, 30)) == {SILENCE}


async def test_hold_pressed_meanwhile_is_said_again(page: Page, gateway: FakeGateway) -> None:
    await dial(page, gateway)
    gateway.cut()
    await expect(status(page)).to_contain_text("No connection.")
    await button(page, "Hold").click()
    line = await taken_up(gateway)
    await until(lambda: {"type": "hold", "held": True} in line.messages)
    await expect(status(page)).to_have_text("On hold")


async def test_hanging_up_meanwhile_ends_the_call_when_the_gateway_is_back(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    gateway.cut()
    await expect(status(page)).to_contain_text("No connection.")
    await button(page, "Hang up").click()
    line = await taken_up(gateway)
    await until(lambda: line.of_type("hangup"))
    await expect(status(page)).to_have_text("Call ended")
    await expect(alert(page)).to_have_count(0)


@pytest.mark.parametrize(("keeps", "words"), [(True, "You hung up."), (False, "Completed")])
async def test_a_hang_up_that_no_network_takes_is_said_when_there_is_one(
    page: Page, gateway: FakeGateway, keeps: bool, words: str
) -> None:
    line = await dial(page, gateway)
    await page.context.set_offline(True)
    await button(page, "Hang up").click()
    # Nothing is called an end while the gateway has the call, and charges for it.
    await expect(status(page)).to_contain_text("No connection.")
    assert line.of_type("hangup") == []
    # The page may have heard nothing for two seconds while its socket would yet bring the hang-up.
    gateway.cut()
    gateway.keeps = keeps
    await page.context.set_offline(False)
    if keeps:
        again = await taken_up(gateway)
        await until(lambda: again.of_type("hangup"))
    await expect(status(page)).to_have_text("Call ended")
    # Where nobody says how it ended, it was a call all the same.
    await expect(page.locator("caller-outcome")).to_contain_text(words)


async def test_call_the_gateway_no_longer_has_is_explained(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    gateway.keeps = False
    gateway.cut()
    await expect(alert(page)).to_contain_text("The call is over")
    await expect(alert(page)).to_contain_text("You pay only for the time used.")


async def test_gateway_that_stays_away_is_explained(page: Page, gateway: FakeGateway) -> None:
    gateway.resume_seconds = 3
    await dial(page, gateway)
    await page.context.set_offline(True)
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    gateway.cut()
    outcome = page.locator("caller-phone").get_by_role("alert")
    lost = "The connection to the gateway was lost."
    await expect(outcome).to_contain_text(lost, timeout=20_000)
    await expect(status(page)).to_have_text("Call ended")


async def test_webrtc_carries_the_call_while_the_socket_is_away(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.webrtc = True
    line = await dial(page, gateway)
    await until(lambda: line.peer.selected)
    gateway.cut()
    start = line.peer.frames
    await until(lambda: line.peer.frames > start + 20)
    again = await taken_up(gateway)
    await until(lambda: {"type": "media", "path": "webrtc"} in again.messages)
    await expect(status(page)).to_have_text("In call")
    assert again.peer.offers == line.peer.offers
    assert len(again.peer.offers) == 1


async def reload(page: Page) -> None:
    """Load the page again and say yes to leaving."""
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await page.reload()


async def test_the_offer_takes_no_key_from_whoever_writes_a_number(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    known = await held_back(page, "**/v1/key")
    await reload(page)
    await page.get_by_role("textbox").fill("+15005551001")
    known.set()
    await expect(button(page, "Return to the call")).to_be_visible()
    await expect(page.get_by_role("textbox")).to_be_focused()


async def test_reloaded_page_offers_the_way_back(page: Page, gateway: FakeGateway) -> None:
    await dial(page, gateway)
    await reload(page)
    back = button(page, "Return to the call")
    await expect(back).to_be_focused()
    await expect(page.get_by_role("alert")).to_contain_text("+1 500 555 1000")
    await expect(page.locator("caller-return-call")).to_contain_text("s left")
    assert len(gateway.lines) == 1
    await page.keyboard.press("Enter")
    line = await taken_up(gateway)
    assert line.start == {**RESUME, "token": "resume_1"}
    await expect(status(page)).to_have_text("In call")
    assert len(set(await heard(line, 50))) > 1
    assert len(gateway.token_requests) == 1
    await line.send("cost", seconds=75, cost={"micros": 1, "currency": "USD", "text": ""})
    await expect(page.get_by_role("timer")).to_have_text("1:15")


async def test_a_call_that_only_rings_is_not_said_to_be_charged(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.answers = False
    await dial(page, gateway)
    await expect(status(page)).to_contain_text("Ringing")
    await reload(page)
    await expect(page.locator("caller-return-call")).to_contain_text(
        "kept for a moment, and is still being charged if it was answered"
    )


async def test_another_tab_takes_the_call_over(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    other = await page.context.new_page()
    await other.goto(f"{gateway.origin}/#key={KEY}")
    await expect(other.locator("caller-elsewhere")).to_contain_text(
        "+1 500 555 1000 is open in another tab"
    )
    await button(other, "Continue it here").click()
    await expect(status(other)).to_have_text("In call")
    assert gateway.line.start == {**RESUME, "token": "resume_1"}
    # The first tab lets go, says where the call is, and hangs nothing up.
    await expect(status(page)).to_have_text("Ready to call")
    await expect(page.locator("caller-elsewhere")).to_be_visible()
    assert line.of_type("hangup") == []
    await heard(gateway.line, 20)
    await button(other, "Hang up").click()
    await expect(page.locator("caller-elsewhere")).to_have_count(0)


async def test_a_call_that_was_taken_back_ends_as_any_other(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    other = await page.context.new_page()
    await other.goto(f"{gateway.origin}/#key={KEY}")
    await button(other, "Continue it here").click()
    await expect(status(other)).to_have_text("In call")
    await button(page, "Continue it here").click()
    await expect(status(page)).to_have_text("In call")
    await expect(other.locator("caller-elsewhere")).to_be_visible()
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    await expect(page.locator("caller-outcome")).to_contain_text("$")
    await expect(other.locator("caller-elsewhere")).to_have_count(0, timeout=2000)


async def use(page: Page, key: str) -> None:
    """Load the page again with another key of this tab."""
    await page.evaluate("key => sessionStorage.setItem('caller-key', key)", key)
    await page.reload()


async def test_the_way_back_is_for_the_account_of_the_call(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    await reload(page)
    await expect(button(page, "Return to the call")).to_be_visible()
    await use(page, OTHER_KEY)
    await expect(page.locator("footer")).to_contain_text("mallory")
    await expect(button(page, "Return to the call")).to_have_count(0)
    await use(page, KEY)
    await expect(button(page, "Return to the call")).to_be_visible()


async def test_a_call_that_a_reload_left_is_ended_before_another_is_placed(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    await reload(page)
    await expect(button(page, "Return to the call")).to_be_visible()
    await page.get_by_role("textbox").fill("+15005551002")
    await page.keyboard.press("Enter")
    await until(lambda: len(gateway.lines) == 3)
    assert [line.start["type"] for line in gateway.lines] == ["start", "resume", "start"]
    assert gateway.lines[1].of_type("hangup")
    await button(page, "Hang up").click()
    await expect(button(page, "Return to the call")).to_have_count(0)


async def test_it_is_ended_as_well_where_it_was_not_known_yet_whose_page_it_is(
    page: Page, gateway: FakeGateway
) -> None:
    await dial(page, gateway)
    known = await held_back(page, "**/v1/key")
    await reload(page)
    await page.get_by_role("textbox").fill("+15005551002")
    await page.keyboard.press("Enter")
    await expect(status(page)).to_contain_text("Connecting")
    assert len(gateway.lines) == 1
    known.set()
    await until(lambda: len(gateway.lines) == 3)
    assert [line.start["type"] for line in gateway.lines] == ["start", "resume", "start"]
    assert gateway.lines[1].of_type("hangup")
    await expect(status(page)).to_have_text("In call")
    await page.reload()
    await expect(button(page, "Return to the call")).to_be_visible()


async def test_way_back_closes_in_time(page: Page, gateway: FakeGateway) -> None:
    gateway.resume_seconds = 3
    await dial(page, gateway)
    await reload(page)
    await expect(button(page, "Return to the call")).to_be_visible()
    await expect(button(page, "Return to the call")).to_have_count(0)
    assert await stored(page) is None


async def stored(page: Page) -> Any:
    """What the tab keeps of a call."""
    return await page.evaluate("() => sessionStorage.getItem('caller-call:alice')")


async def test_nothing_of_an_ended_call_is_kept(page: Page, gateway: FakeGateway) -> None:
    await dial(page, gateway)
    assert await stored(page) is not None
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    assert await stored(page) is None
    await reload(page)
    await expect(page.get_by_role("textbox")).to_be_visible()
    await expect(button(page, "Return to the call")).to_have_count(0)
