"""Calls from the page in a real browser, against a gateway that echoes the caller."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.conftest import open_page
from tests.web.fake_gateway import ECHO, FakeGateway, Line, past_call, top_up_offer, until
from tests.web.speech import Samples, decode_mulaw, likeness

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENCE = b"\xff" * 160


async def dial(page: Page, gateway: FakeGateway, number: str = "+1 (500) 555-1000") -> Line:
    """Type the number, press Enter, and wait for the socket."""
    before = len(gateway.lines)
    await page.get_by_role("textbox", name="Phone number").fill(number)
    await page.keyboard.press("Enter")
    await until(lambda: len(gateway.lines) > before)
    if gateway.answers:
        await expect(status(page)).to_have_text("In call")
    return gateway.line


def status(page: Page) -> Any:
    """The line that says what the phone is doing."""
    return page.locator("caller-phone .status")


def alert(page: Page) -> Any:
    """What went wrong, and what to do."""
    return page.get_by_role("alert")


def button(page: Page, name: str) -> Any:
    """A button by its whole name."""
    return page.get_by_role("button", name=name, exact=True)


async def heard(line: Line, frames: int) -> list[bytes]:
    """Wait for so many more frames and return them."""
    start = len(line.frames)
    await until(lambda: len(line.frames) >= start + frames, seconds=frames / 50 + 10)
    return [audio for _, audio in line.frames[start:]]


# The microphone as it is: what the browser's own echo, noise and level control changes is no matter
# of ours.
_RAW = """
const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const askBrowser = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = () => askBrowser({ audio: raw });
"""


async def test_whole_call_by_keyboard(
    browser: Browser, gateway: FakeGateway, speech: Samples
) -> None:
    """Number, Enter, seconds of speech both ways, a key, hang-up: no pointer is touched."""
    page, faults = await open_page(browser, gateway, script=_RAW)
    await expect(page.get_by_role("textbox")).to_be_focused()
    await page.keyboard.type("+1 (500) 555-1000")
    await expect(page.get_by_text("Will dial +1 500 555 1000")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("In call")
    line = gateway.line

    await heard(line, 25)
    start = len(line.frames)
    await heard(line, 175)
    frames = line.frames[start:]
    assert {len(audio) for _, audio in frames} == {160}
    rate = (len(frames) - 1) / (frames[-1][0] - frames[0][0])
    assert rate == pytest.approx(50, rel=0.05)
    sent = decode_mulaw(b"".join(audio for _, audio in frames))
    assert likeness(sent, speech) > 0.99

    await expect(page.locator("caller-in-call .phone i")).to_have_attribute(
        "style", re.compile(r"0\.[2-9]")
    )
    await expect(page.get_by_role("timer")).to_have_text(re.compile(r"0:0[4-9]"))
    await expect(page.get_by_text("$0.0130/min")).to_be_visible()
    await page.keyboard.press("5")
    await until(lambda: line.of_type("dtmf"))
    await page.keyboard.press("Escape")
    await expect(status(page)).to_have_text("In call")
    # The small window, Mute, Hold, Keypad, Sound.
    for _ in range(6):
        await page.keyboard.press("Tab")
    await expect(button(page, "Hang up")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(status(page)).to_have_text("Call ended")
    assert line.of_type("dtmf") == [{"type": "dtmf", "digits": "5"}]
    assert line.of_type("hangup")
    assert faults.texts == []
    await page.context.close()


async def test_first_message_presents_the_token(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    assert line.start == {"type": "start", "version": 1, "token": "token_1"}
    assert gateway.token_requests == [
        {"destination": ECHO, "codec": "pcmu", "origin": gateway.origin}
    ]


async def test_mute_sends_silence(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    mute = button(page, "Mute")
    await expect(mute).to_have_attribute("aria-pressed", "false")
    await mute.click()
    await expect(mute).to_have_attribute("aria-pressed", "true")
    await expect(status(page)).to_have_text("In call, muted")
    await until(lambda: line.of_type("mute"))
    # Ten frames for what was under way; then not one sample of the microphone.
    await heard(line, 10)
    assert set(await heard(line, 60)) == {SILENCE}
    await mute.click()
    await until(lambda: len(line.of_type("mute")) == 2)
    assert line.of_type("mute")[-1]["muted"] is False
    assert set(await heard(line, 60)) != {SILENCE}


async def test_hold_is_asked_for_and_sends_silence(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await button(page, "Hold").click()
    await expect(status(page)).to_have_text("On hold")
    await until(lambda: line.of_type("hold"))
    await heard(line, 10)
    assert set(await heard(line, 30)) == {SILENCE}
    await button(page, "Hold").click()
    await expect(status(page)).to_have_text("In call")


async def test_keys_send_dtmf_only_from_inside_the_phone(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await button(page, "Keypad").click()
    await button(page, "Key 4").click()
    await button(page, "Key #").click()
    await page.keyboard.press("*")
    await expect(page.get_by_text("Sent: 4#*")).to_be_visible()
    await page.get_by_role("heading", name="Recent calls").click()
    await page.keyboard.press("9")
    await line.send("dtmf", digit="7")
    await expect(page.get_by_text("Received: 7")).to_be_visible()
    assert "".join(message["digits"] for message in line.of_type("dtmf")) == "4#*"


async def test_keys_work_the_controls_only_from_inside_the_phone(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    await page.keyboard.press("m")
    await expect(status(page)).to_have_text("In call, muted")
    # The gateway's word on it has come by then: behind the next wish it would have that repeated.
    await until(lambda: line.of_type("mute"))
    await line.sample(4.3)
    await expect(page.locator("caller-in-call")).to_contain_text("Good")
    await page.keyboard.press("m")
    await page.keyboard.press("h")
    await expect(status(page)).to_have_text("On hold")
    await page.keyboard.press("h")
    await expect(status(page)).to_have_text("In call")
    await page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys")
    await expect(help_).to_contain_text("Ctrl+Shift+H")
    await page.keyboard.press("Escape")
    await expect(help_).to_be_hidden()
    await expect(status(page)).to_have_text("In call")
    await page.get_by_role("heading", name="Recent calls").click()
    await page.keyboard.press("m")
    await page.keyboard.press("Control+Shift+H")
    await line.send("dtmf", digit="7")
    await expect(status(page)).to_have_text("In call")
    assert [message["muted"] for message in line.of_type("mute")] == [True, False]
    await button(page, "Hang up").focus()
    await page.keyboard.press("Control+Shift+H")
    await until(lambda: line.of_type("hangup"))


async def test_a_number_is_grouped_and_placed_while_it_is_written(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, faults = await open_page(browser, gateway, locale="de-DE")
    field = page.get_by_role("textbox")
    await field.press_sequentially("030901820")
    await expect(field).to_have_value("030 901820")
    hint = page.locator("caller-dialler #hint")
    await expect(hint).to_have_text("Gewählt wird +49 30 901820 · Deutschland")
    # The caret stays where it is: a digit that is forgotten is put in, and taken out again.
    await field.evaluate("(input) => input.setSelectionRange(5, 5)")
    await page.keyboard.press("7")
    await expect(field).to_have_value("030 9701820")
    await page.keyboard.press("Backspace")
    await page.keyboard.press("Backspace")
    await expect(field).to_have_value("030 01820")
    await field.fill("")
    await page.keyboard.insert_text("+44 (0)20-7946.0018")
    await expect(field).to_have_value("+44 20 7946 0018")
    await page.keyboard.press("Enter")
    await until(lambda: gateway.token_requests)
    assert gateway.token_requests[0]["destination"] == "+442079460018"
    await page.context.close()
    assert faults.texts == []


async def test_keypad_writes_the_number(page: Page, gateway: FakeGateway) -> None:
    for name in ("Plus", "Key 1", "Key 5", "Key 0", "Key 0", "Key 7", "Erase last digit"):
        await button(page, name).click()
    await expect(page.get_by_role("textbox")).to_have_value("+1 500")


async def test_ringing_and_an_answer_are_shown(page: Page, gateway: FakeGateway) -> None:
    gateway.answers = False
    line = await dial(page, gateway)
    await expect(status(page)).to_have_text("Ringing…")
    await gateway.answer(line)
    await expect(status(page)).to_have_text("In call")
    await line.send("talk", leg="carrier", talking=True)
    await expect(page.get_by_text("speaking")).to_be_visible()
    await line.send("warning", name="media", message="The phone is silent.")
    await expect(page.get_by_text("The phone is silent.")).to_be_visible()
    await line.send("warning-cleared", name="media")
    await expect(page.get_by_text("The phone is silent.")).to_be_hidden()


async def test_price_and_time_are_shown_before_dialling(page: Page, gateway: FakeGateway) -> None:
    await page.get_by_role("textbox", name="Phone number").fill(ECHO)
    price = page.get_by_text("$0.0130/min · enough for 6:24:36")
    await expect(price).to_be_visible()
    assert await price.get_attribute("aria-live") == "polite"
    assert gateway.token_requests == []
    await page.keyboard.press("Backspace")
    await expect(price).to_be_hidden()


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("credit", "This call ends in 30 seconds, when the credit is used up."),
        ("cap", "This call ends in 30 seconds, at a spending limit."),
        ("duration", "This call ends in 30 seconds, at the longest time allowed."),
    ],
)
async def test_the_coming_end_is_seen_and_read_out(
    page: Page, gateway: FakeGateway, cause: str, words: str
) -> None:
    line = await dial(page, gateway)
    await line.send("credit-warning", seconds_left=30, cause=cause)
    await expect(alert(page)).to_have_text(words)
    await expect(page.get_by_role("button", name="Top up now")).to_have_count(0)
    await line.send("credit-warning-cleared", seconds_left=300)
    await expect(alert(page)).to_be_empty()


async def test_a_warning_leads_to_the_top_up(browser: Browser, gateway: FakeGateway) -> None:
    gateway.top_ups.offer = top_up_offer()
    page, faults = await open_page(browser, gateway)
    line = await dial(page, gateway)
    await line.send("credit-warning", seconds_left=10, cause="credit")
    await expect(alert(page)).to_contain_text("This call ends in 10 seconds")
    await button(page, "Top up now").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await expect(status(page)).to_have_text("In call")
    await page.keyboard.press("Escape")
    await line.send("tone", name="cut-off")
    await expect(status(page)).to_have_text("Call cut off")
    words, action = "The credit is used up.", "Top up, then call again."
    await line.end(602, "credit", words, action=action, cut_off="credit")
    summary = page.locator("caller-phone .summary")
    await expect(summary).to_contain_text(words)
    await expect(summary).to_contain_text(action)
    await button(page, "Top up now").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert faults.texts == []
    await page.context.close()


@pytest.mark.parametrize(
    ("cut_off", "words", "action"),
    [
        ("credit", "weil das Guthaben verbraucht ist", "Laden Sie das Konto auf"),
        ("cap", "Ausgabengrenze", "Heben Sie die Grenze an"),
        ("duration", "so lange gedauert hat", "um weiterzusprechen"),
    ],
)
async def test_a_cut_off_is_explained_in_german(
    browser: Browser, gateway: FakeGateway, cut_off: str, words: str, action: str
) -> None:
    page, _ = await open_page(browser, gateway, locale="de-DE")
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    await gateway.line.end(602, "limit", "Words.", action="What to do.", cut_off=cut_off)
    summary = page.locator("caller-phone .summary")
    await expect(summary).to_contain_text(words)
    await expect(summary).to_contain_text(action)
    await expect(summary).not_to_contain_text("What to do.")
    await page.context.close()


async def test_end_from_the_phone_says_why(page: Page, gateway: FakeGateway) -> None:
    gateway.answers = False
    line = await dial(page, gateway)
    await line.end(17, message="The line is busy.")
    await expect(page.get_by_text("The line is busy.")).to_be_visible()
    await expect(page.get_by_role("textbox")).to_have_value("+1 500 555 1000")


async def test_hanging_up_while_it_rings(page: Page, gateway: FakeGateway) -> None:
    gateway.answers = False
    line = await dial(page, gateway)
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    assert line.of_type("hangup")


async def test_everything_is_given_back(page: Page, gateway: FakeGateway) -> None:
    """After a call no track records, no audio context runs and no worker is left."""
    await dial(page, gateway)
    await button(page, "Hang up").click()
    await expect(status(page)).to_have_text("Call ended")
    states = await page.evaluate(
        """() => [
          ...opened.streams.flatMap((s) => s.getTracks()).map((t) => t.readyState),
          ...opened.contexts.map((c) => c.state)]"""
    )
    assert set(states) == {"ended", "closed"}
    await until(lambda: not page.workers)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1011, "Something failed at the gateway."),
        (1013, "The gateway is busy or being restarted."),
        (1008, "The gateway did not accept this call in time."),
        (4400, "The page and the gateway did not understand each other."),
    ],
)
async def test_close_of_the_socket_is_explained(
    page: Page, gateway: FakeGateway, code: int, words: str
) -> None:
    line = await dial(page, gateway)
    await line.socket.close(code)
    await expect(alert(page)).to_contain_text(words)


async def test_lost_connection_is_explained(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway)
    await dial(page, gateway)
    gateway.cut()
    await expect(alert(page)).to_contain_text("The connection to the gateway was lost.")
    await expect(alert(page)).to_contain_text("Check your network")
    await page.context.close()


async def test_error_message_of_the_gateway_is_shown(page: Page, gateway: FakeGateway) -> None:
    line = await dial(page, gateway)
    await line.send(
        "error",
        code="gateway_full",
        message="All lines of this gateway are in use.",
        action="Try again in a moment.",
        retry=True,
    )
    await line.socket.close(1013)
    await expect(alert(page)).to_contain_text("All lines of this gateway are in use.")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((402, {"code": "insufficient_credit"}), "Top up the account"),
        (
            (
                422,
                {"code": "number_premium", "title": "Not this number.", "action": "Try another."},
            ),
            "Not this number. Try another.",
        ),
        ((503, {}), "The gateway refused this call."),
    ],
)
async def test_refused_call_is_explained(
    page: Page, gateway: FakeGateway, refusal: tuple[int, dict[str, Any]], words: str
) -> None:
    gateway.refusal = refusal
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text(words)
    assert gateway.lines == []


@pytest.mark.parametrize(
    ("typed", "words"),
    [("", "Enter a phone number first."), ("911", "Write the number in full")],
)
async def test_what_cannot_be_dialled_is_not_sent(
    page: Page, gateway: FakeGateway, typed: str, words: str
) -> None:
    await page.get_by_role("textbox").fill(typed)
    await button(page, "Call").click()
    await expect(page.get_by_text(words)).to_be_visible()
    assert gateway.token_requests == []


async def test_missing_microphone_is_explained(deaf_browser: Browser, gateway: FakeGateway) -> None:
    page, faults = await open_page(deaf_browser, gateway, permissions=["microphone"])
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("No microphone was found.")
    assert faults.texts == []
    assert gateway.token_requests == []
    await page.context.close()


async def test_refused_microphone_is_explained(
    asking_browser: Browser, gateway: FakeGateway
) -> None:
    page, faults = await open_page(asking_browser, gateway)
    session = await page.context.new_cdp_session(page)
    refused = {"permission": {"name": "microphone"}, "setting": "denied", "origin": gateway.origin}
    await session.send("Browser.setPermission", refused)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("was not allowed to use the microphone")
    await expect(status(page)).to_have_text("No call was placed")
    assert faults.texts == []
    await page.context.close()


async def test_insecure_page_is_explained(browser: Browser, gateway: FakeGateway) -> None:
    origin = gateway.origin.replace("127.0.0.1", "gateway.test")
    page, _ = await open_page(browser, gateway, origin=origin)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("only on secure pages")
    await page.context.close()


_ZEROS = """
navigator.mediaDevices.getUserMedia = async () =>
  new AudioContext().createMediaStreamDestination().stream;
"""


async def test_microphone_that_delivers_nothing_is_reported(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, script=_ZEROS)
    await dial(page, gateway)
    await expect(page.get_by_text("No sound comes from your microphone.")).to_be_visible()
    await page.context.close()


_ASKS = """
const whenAsked = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const allowed = new Promise((resolve) => { window.allow = resolve; });
navigator.mediaDevices.getUserMedia = (wanted) => allowed.then(() => whenAsked(wanted));
"""


async def test_no_microphone_is_blamed_before_it_is_open(
    browser: Browser, gateway: FakeGateway
) -> None:
    page, _ = await open_page(browser, gateway, script=_ASKS)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("allow it to use the microphone")).to_be_visible()
    # As long as an open one may be silent, and some more.
    await asyncio.sleep(4)
    await expect(page.get_by_text("No sound comes from your microphone.")).to_have_count(0)
    await page.evaluate("() => window.allow()")
    await expect(status(page)).to_have_text("In call")
    await expect(page.get_by_text("No sound comes from your microphone.")).to_have_count(0)
    await page.context.close()


async def test_next_microphone_is_taken_when_the_device_goes(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    await page.evaluate(
        """() => {
          const [track] = opened.streams[0].getTracks();
          track.stop();
          track.dispatchEvent(new Event('ended'));
        }"""
    )
    await page.wait_for_function("() => opened.streams.length === 2")
    await heard(line, 25)
    assert set(await heard(line, 50)) != {SILENCE}


_UNPLUG = """() => {
  window.plugged = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = async () => {
    throw new DOMException('There is none.', 'NotFoundError');
  };
  const [track] = opened.streams.at(-1).getTracks();
  track.stop();
  track.dispatchEvent(new Event('ended'));
}"""

_PLUG_IN = """() => {
  navigator.mediaDevices.getUserMedia = window.plugged;
  navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
}"""


@pytest.mark.parametrize("webrtc", [False, True])
@pytest.mark.parametrize("was_muted", [False, True])
async def test_a_call_without_a_microphone_goes_on_muted_and_takes_the_next_one(
    page: Page, gateway: FakeGateway, webrtc: bool, was_muted: bool
) -> None:
    gateway.webrtc = webrtc
    line = await dial(page, gateway)
    if webrtc:
        await until(lambda: line.peer.selected, seconds=20)
    if was_muted:
        await page.get_by_role("button", name="Mute").click()
        await until(lambda: line.of_type("mute"))
    await page.evaluate(_UNPLUG)
    gone = page.get_by_text("There is no microphone, so you cannot be heard.")
    await expect(gone).to_be_visible()
    assert await gone.locator("xpath=ancestor-or-self::*[@role='status']").count() == 1
    await until(lambda: line.of_type("mute") and line.of_type("mute")[-1]["muted"])
    # It goes on: the stream of silence does not pause, by either path.
    frames, by_webrtc = len(line.frames), line.peer.frames
    await until(lambda: len(line.frames) > frames + 150 or line.peer.frames > by_webrtc + 150)
    assert line.peer.selected == webrtc
    await expect(status(page)).to_have_text("In call, muted")
    await expect(page.get_by_text("No sound comes from your microphone.")).to_have_count(0)
    await page.evaluate(_PLUG_IN)
    await expect(gone).to_have_count(0)
    await until(lambda: line.of_type("mute")[-1]["muted"] == was_muted)
    if not webrtc and not was_muted:
        await heard(line, 25)
        assert set(await heard(line, 50)) != {SILENCE}
    if was_muted:
        mute = page.get_by_role("button", name="Mute")
        await expect(mute).to_have_attribute("aria-pressed", "true")
    assert line.close_code is None


_SYSTEM_MUTES = """(muted) => {
  const [track] = opened.streams.at(-1).getTracks();
  Object.defineProperty(track, 'muted', { value: muted, configurable: true });
  track.dispatchEvent(new Event(muted ? 'mute' : 'unmute'));
}"""


@pytest.mark.parametrize("webrtc", [False, True])
async def test_a_microphone_that_the_system_mutes_is_said_and_the_call_goes_on(
    page: Page, gateway: FakeGateway, webrtc: bool
) -> None:
    gateway.webrtc = webrtc
    line = await dial(page, gateway)
    if webrtc:
        await until(lambda: line.peer.selected, seconds=20)
    await page.evaluate(_SYSTEM_MUTES, True)
    said = page.get_by_text("The system has muted your microphone, so you cannot be heard.")
    await expect(said).to_be_visible()
    await expect(status(page)).to_have_text("In call, muted")
    await until(lambda: line.of_type("mute") and line.of_type("mute")[-1]["muted"])
    # Muted by nobody here, it cannot be unmuted here.
    await button(page, "Mute").click()
    await until(lambda: len(line.of_type("mute")) == 2)
    assert line.of_type("mute")[-1]["muted"]
    await page.evaluate(_SYSTEM_MUTES, False)
    await expect(said).to_have_count(0)
    await expect(status(page)).to_have_text("In call")
    await until(lambda: not line.of_type("mute")[-1]["muted"])
    assert line.close_code is None


@pytest.mark.parametrize("width", [320, 360, 390])
async def test_the_longest_number_is_whole_in_its_field_on_a_narrow_phone(
    browser: Browser, gateway: FakeGateway, width: int
) -> None:
    page, faults = await open_page(browser, gateway, viewport={"width": width, "height": 700})
    field = page.get_by_role("textbox")
    for number in ("+491711234567890", "+888888888888888", "+1 (500) 555-1000"):
        await field.fill(number)
        room = "field => [field.scrollWidth, field.clientWidth]"
        needed, there = await field.evaluate(room)
        assert needed <= there, (number, needed, there)
    await page.context.close()
    assert faults.texts == []


async def test_dead_audio_is_rebuilt_when_the_page_is_seen_again(
    page: Page, gateway: FakeGateway
) -> None:
    line = await dial(page, gateway)
    await heard(line, 10)
    await page.evaluate("() => opened.contexts.at(-1).close()")
    await asyncio.sleep(0.3)
    await page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    frames = await heard(line, 100)
    assert set(frames[50:]) != {SILENCE}
    await expect(status(page)).to_have_text("In call")


async def test_crashed_worker_ends_the_call(page: Page, gateway: FakeGateway) -> None:
    await dial(page, gateway)
    await page.evaluate("() => opened.workers[0].dispatchEvent(new ErrorEvent('error'))")
    await expect(alert(page)).to_contain_text("Something on this page failed.")


@pytest.mark.parametrize("is_online", [True, False])
async def test_a_page_that_cannot_load_its_worker_says_so(
    browser: Browser, gateway: FakeGateway, is_online: bool
) -> None:
    page, _ = await open_page(browser, gateway)
    await page.route("**/socket-worker*.js*", lambda route: route.abort())
    if not is_online:
        await page.evaluate("Object.defineProperty(navigator, 'onLine', { value: false })")
        # Nothing is answered any more, or the page would take that for being online again.
        for path in ("account", "calls*", "payments*", "quotes"):
            await page.route(f"**/v1/{path}", lambda _: None)
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    said = "The gateway does not answer." if is_online else "You are offline."
    await expect(alert(page)).to_contain_text(said)
    await page.context.close()


async def test_busy_page_does_not_delay_the_audio(page: Page, gateway: FakeGateway) -> None:
    """The main thread hangs for a second; frames keep their pace."""
    line = await dial(page, gateway)
    await heard(line, 25)
    start = len(line.frames)
    await page.evaluate("() => { const end = Date.now() + 1000; while (Date.now() < end); }")
    assert len(line.frames) - start >= 40


async def test_leaving_during_a_call_is_asked_about(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway)
    asked: list[str] = []

    async def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)
    line = await dial(page, gateway)
    await page.close(run_before_unload=True)
    await until(lambda: asked)
    assert asked == ["beforeunload"]
    await line.end()
    await expect(status(page)).to_have_text("Call ended")
    await page.close(run_before_unload=True)
    await until(page.is_closed)
    assert asked == ["beforeunload"]
    await page.context.close()


async def test_recent_calls_are_listed_and_called_again(
    browser: Browser, gateway: FakeGateway
) -> None:
    gateway.phonebook = [{"number": ECHO, "label": "Echo"}]
    gateway.calls = [
        past_call("+442079460018", "2026-11-20T11:00:00Z", 3725, 16),
        past_call(ECHO, "2026-11-20T10:30:00Z", 0, 17),
    ]
    page, faults = await open_page(browser, gateway, timezone_id="Asia/Tokyo")
    rows = page.locator("caller-recent-calls li")
    await expect(rows.first).to_contain_text("+44 20 7946 0018")
    await expect(rows.first).to_contain_text("Nov 20, 8:00 PM · Completed")
    await expect(rows.first).to_contain_text("1:02:05")
    await expect(rows.first).to_contain_text("$0.8071")
    await expect(rows.nth(1)).to_contain_text("Busy")
    assert await page.evaluate("() => localStorage.length") == 0
    await button(page, "Name +44 20 7946 0018").click()
    await page.keyboard.type("Ada")
    await page.keyboard.press("Escape")
    await expect(rows.first).not_to_contain_text("Ada")
    await page.keyboard.press("Enter")
    await page.keyboard.type("Ada")
    await page.keyboard.press("Enter")
    await expect(rows.first).to_contain_text("Ada")
    await expect(button(page, "Name Ada")).to_be_focused()
    await page.reload()
    await expect(button(page, "Call Ada again")).to_be_visible()
    await button(page, "Call Echo again").click()
    await until(lambda: gateway.lines)
    assert gateway.token_requests[-1]["destination"] == ECHO
    await expect(button(page, "Call Echo again")).to_be_disabled()
    assert faults.texts == []
    await page.context.close()


async def test_phonebook_suggests_numbers(browser: Browser, gateway: FakeGateway) -> None:
    gateway.phonebook = [{"number": ECHO, "label": "Echo"}]
    page, _ = await open_page(browser, gateway)
    await page.get_by_role("button", name="Echo +1 500 555 1000").click()
    await page.keyboard.press("Enter")
    await until(lambda: gateway.lines)
    await expect(page.locator("caller-in-call")).to_contain_text("Echo")
    await page.context.close()


async def test_key_leaves_the_address_and_never_reaches_an_url(
    page: Page, gateway: FakeGateway
) -> None:
    await expect(page.get_by_text("$5.00")).to_be_visible()
    assert page.url == f"{gateway.origin}/"
    assert len(gateway.addresses) > 5
    assert not any("ck_" in address for address in gateway.addresses)
    await page.reload()
    await expect(page.get_by_text("$5.00")).to_be_visible()


async def test_key_is_asked_for_and_checked(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway, key=None)
    field = page.get_by_label("API key")
    await expect(field).to_be_focused()
    await field.fill("nope")
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("does not look like an API key")
    await field.fill("ck_wrong_but_well_formed")
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("The API key was not accepted.")
    await field.fill(" ck_test_0123456789abcdef ")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("$5.00")).to_be_visible()
    await button(page, "Forget the API key").click()
    await expect(field).to_be_visible()
    await page.context.close()


async def test_german_reader_gets_german(browser: Browser, gateway: FakeGateway) -> None:
    page, faults = await open_page(browser, gateway, locale="de-AT")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(button(page, "Anrufen")).to_be_visible()
    await expect(page.locator(".credit")).to_have_text(re.compile(r"Guthaben\s+\$\s5,00"))
    gateway.refusal = (402, {"code": "insufficient_credit", "title": "No.", "action": "Pay."})
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("Laden Sie das Konto auf")
    assert faults.texts == []
    await page.context.close()


async def test_unreachable_gateway_is_explained(browser: Browser, gateway: FakeGateway) -> None:
    page, _ = await open_page(browser, gateway)
    await expect(page.get_by_text("$5.00")).to_be_visible()
    await page.route("**/v1/call-tokens", lambda route: route.abort())
    await page.get_by_role("textbox").fill(ECHO)
    await page.keyboard.press("Enter")
    await expect(alert(page)).to_contain_text("The gateway does not answer.")
    await page.context.close()
