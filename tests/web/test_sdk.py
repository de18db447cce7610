"""The SDK in pages of another site: the examples, what the documents promise, and what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web import shop as shops
from tests.web.conftest import async_fixture
from tests.web.fake_gateway import ECHO, FakeGateway, Line, until
from tests.web.sdk_project import ROOT, Project, copied, migration_source, pack
from tests.web.shop import GATEWAY, Shop
from tests.web.test_phone import SILENCE, heard

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENTS = [
    "ringing",
    "accept",
    "disconnect",
    "cancel",
    "error",
    "mute",
    "hold",
    "dtmf",
    "sample",
    "warning",
    "warning-cleared",
    "reconnecting",
    "reconnected",
    "cost",
    "credit",
]
"""All that a call tells but `changed` and `volume`."""


@async_fixture
async def shop(gateway: FakeGateway) -> AsyncIterator[Shop]:
    async with shops.running(Shop(gateway)) as running:
        yield running
        assert running.faults == []


@async_fixture
async def page(browser: Browser, shop: Shop) -> AsyncIterator[Page]:
    """A page with the SDK and nothing else."""
    opened = await shop.open(browser)
    await opened.wait_for_function("() => window.sdk")
    yield opened
    await opened.context.close()


def example(name: str) -> str:
    return (ROOT / "examples" / name).read_text()


async def begin(page: Page, gateway: FakeGateway, options: str = "") -> Line:
    """Place a call; `told` in the page has what its listeners were given, name first."""
    await page.evaluate(
        f"""() => {{
          window.told = [];
          window.caller ??= new sdk.Caller({{ getToken, {options} }});
          window.call = caller.call({ECHO!r});
          const plain = (value) =>
            value === call ? 'call' : value instanceof Error ? value.code : value;
          for (const name of {EVENTS}) {{
            call.on(name, (...values) => told.push([name, ...values.map(plain)]));
          }}
        }}"""
    )
    await until(lambda: gateway.lines)
    return gateway.line


async def told(page: Page, *wanted: str) -> list[Any]:
    """Wait until the last of these was told, and return all that was, in order."""
    await page.wait_for_function("(name) => told.some(([given]) => given === name)", arg=wanted[-1])
    given: list[Any] = await page.evaluate("told")
    return [event for event in given if event[0] in wanted]


async def test_ten_lines_are_a_phone(browser: Browser, gateway: FakeGateway, shop: Shop) -> None:
    """From another site, by the files of the gateway, under the policy of the documents."""
    text = example("ten-line-phone.html")
    shop.files["phone.html"] = text
    page = await shop.open(browser, "phone.html")
    shown = page.locator("output")
    await page.get_by_role("button").click()
    await expect(shown).to_have_text("open")
    assert gateway.line.start["token"] == "token_1"
    assert len(set(await heard(gateway.line, 50))) > 1
    await page.get_by_role("button").click()
    await expect(shown).to_have_text("closed")
    assert gateway.line.of_type("hangup")
    await page.context.close()


async def test_plain_page_has_every_control(
    browser: Browser, gateway: FakeGateway, shop: Shop
) -> None:
    gateway.resume_seconds = 15
    shop.files["plain.html"] = example("plain.html")
    page = await shop.open(browser, "plain.html")
    status = page.get_by_role("status")
    await page.get_by_role("button", name="Call").click()
    await expect(status).to_have_text("open")
    await expect(page.get_by_role("button", name="Call")).to_be_hidden()
    await page.get_by_role("button", name="Mute").click()
    await page.get_by_role("button", name="Hold").click()
    await page.get_by_label("Digits to send").fill("12#")
    await page.keyboard.press("Enter")
    line = gateway.line
    await until(lambda: line.of_type("dtmf"))
    assert [message["digits"] for message in line.of_type("dtmf")] == ["12#"]
    assert line.of_type("mute") == [{"type": "mute", "muted": True}]
    assert line.of_type("hold") == [{"type": "hold", "held": True}]
    await page.reload()
    await page.get_by_role("button", name="Return to the call").click()
    await expect(status).to_have_text("open")
    assert gateway.line.start["type"] == "resume"
    await page.get_by_role("button", name="Hang up").click()
    await expect(status).to_have_text("closed")
    await page.context.close()


async def test_react_uses_the_package(
    browser: Browser, gateway: FakeGateway, shop: Shop, node: str, tmp_path: Path
) -> None:
    """By the files of the site itself: no other origin serves a script."""
    project = Project.make(tmp_path / "project", node, pack(node, tmp_path / "sdk"))
    copied("react-hook.tsx", project.folder)
    (project.folder / "main.tsx").write_text(
        "import { createRoot } from 'react-dom/client';\n"
        "import { Phone } from './react-hook';\n"
        f"createRoot(document.getElementById('root')!).render(<Phone number={ECHO!r} />);\n"
    )
    shop.files["main.js"] = project.bundle("main.tsx", "--minify")
    for name in ("worklets.js", "socket-worker.js"):
        shop.files[name] = (tmp_path / "sdk" / name).read_text()
    shop.files["react.html"] = (
        '<!doctype html><title>React</title><div id="root"></div>'
        '<script type="module" src="main.js"></script>'
    )
    page = await shop.open(browser, "react.html")
    await page.get_by_role("button", name="Call").click()
    await expect(page.get_by_role("status")).to_have_text("live")
    await page.get_by_role("button", name="Mute").click()
    await until(lambda: gateway.line.of_type("mute"))
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_role("status")).to_have_text("ended")
    gateway.refusal = (402, {"code": "insufficient_credit", "title": "No.", "action": "Pay."})
    await page.get_by_role("button", name="Call").click()
    await expect(page.get_by_role("alert")).to_have_text("No. Pay.")
    await page.context.close()


async def test_every_line_of_the_migration_runs(
    page: Page, gateway: FakeGateway, shop: Shop, node: str, tmp_path: Path
) -> None:
    (tmp_path / "migration.ts").write_text(migration_source())
    project = Project(tmp_path, node)
    module = project.bundle("migration.ts", "--external:caller-sdk")
    shop.files["migration.js"] = module.replace('"caller-sdk"', f'"{GATEWAY}/sdk/v1/caller.js"')
    shown = await page.evaluate(
        f"""async () => {{
          const shown = [];
          const show = (...values) => shown.push(...values);
          const {{ run }} = await import('/migration.js');
          await run({ECHO!r}, await getToken({ECHO!r}), getToken, getCheckToken, show, () => {{}});
          return shown.filter((value) => ['boolean', 'string'].includes(typeof value));
        }}"""
    )
    line = gateway.line
    await until(lambda: line.of_type("hangup"))
    assert {"open", "call_1", True} <= {*shown}
    # The first is confirmed after the second was said, which is then said once more.
    assert [message["muted"] for message in line.of_type("mute")][:2] == [True, False]
    assert [message["held"] for message in line.of_type("hold")] == [True, False]
    assert [message["digits"] for message in line.of_type("dtmf")] == ["1", "2#"]


async def test_a_call_tells_of_its_life_in_order(page: Page, gateway: FakeGateway) -> None:
    line = await begin(page, gateway)
    await told(page, "accept")
    await line.send("dtmf", digit="7")
    await line.sample(4.2)
    await line.send("warning", name="high-rtt", message="Slow.")
    await line.send("warning-cleared", name="high-rtt")
    await page.evaluate("call.mute()")
    await page.evaluate("call.hold()")
    await told(page, "cost")
    await line.end(16, "callee", "The call has ended.")
    life = await told(page, "ringing", "accept", "error", "cancel", "disconnect")
    assert [name for name, *_ in life] == ["ringing", "accept", "disconnect"]
    assert life[1] == ["accept", "call"]
    assert life[2][1]["message"] == "The call has ended."
    [dtmf, sample, warning, cleared] = await told(
        page, "dtmf", "sample", "warning", "warning-cleared"
    )
    assert dtmf == ["dtmf", "7"]
    assert sample[1]["carrier"]["mos"] == 4.2
    assert warning[:2] == ["warning", "high-rtt"]
    assert warning[2]["message"] == "Slow."
    assert cleared == ["warning-cleared", "high-rtt"]
    assert await told(page, "mute", "hold") == [["mute", True], ["hold", True]]
    [(_, cost), *_rest] = await told(page, "cost")
    assert cost["cost"]["currency"] == "USD"
    assert await page.evaluate("call.status()") == "closed"


async def test_a_call_that_is_ended_before_its_answer_is_cancelled(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.answers = False
    await begin(page, gateway)
    await told(page, "ringing")
    assert await page.evaluate("call.status()") == "ringing"
    await page.evaluate("call.disconnect()")
    names = [name for name, *_ in await told(page, "error", "cancel", "disconnect")]
    assert names == ["cancel", "disconnect"]


async def test_a_lost_call_comes_back(page: Page, gateway: FakeGateway) -> None:
    gateway.resume_seconds = 15
    await begin(page, gateway)
    await told(page, "accept")
    gateway.cut()
    both = await told(page, "reconnecting", "reconnected")
    assert both == [["reconnecting", "connection_lost"], ["reconnected"]]
    assert await page.evaluate("call.status()") == "open"


async def test_another_call_ends_what_a_reload_has_left(page: Page, gateway: FakeGateway) -> None:
    gateway.resume_seconds = 15
    await begin(page, gateway)
    await told(page, "accept")
    await page.reload()
    await page.wait_for_function(
        "() => window.sdk && new sdk.Caller().keptCall?.callId === 'call_1'"
    )
    await begin(page, gateway)
    await told(page, "accept")
    assert [line.start["type"] for line in gateway.lines] == ["start", "resume", "start"]
    assert gateway.lines[1].of_type("hangup")


async def test_refusals_are_typed_and_in_the_words_of_the_gateway(
    page: Page, gateway: FakeGateway
) -> None:
    gateway.refusal = (402, {"code": "insufficient_credit", "title": "No.", "action": "Pay."})
    error = await page.evaluate(
        f"""() => new Promise((done) => {{
          window.caller = new sdk.Caller({{ getToken }});
          caller.call({ECHO!r}).on('error', (error) => {{
            const {{ kind, code, title, action, retry }} = error;
            done([error instanceof sdk.CallerError, kind, code, title, action, retry]);
          }});
        }})"""
    )
    assert error == [True, "request_refused", "insufficient_credit", "No.", "Pay.", False]
    assert gateway.lines == []


async def test_a_page_that_may_have_no_worker_calls_as_well(
    browser: Browser, gateway: FakeGateway, shop: Shop
) -> None:
    gateway.resume_seconds = 15
    shop.policy_changes = (("worker-src 'self' blob:", "worker-src 'none'"),)
    page = await shop.open(browser)
    await page.wait_for_function("() => window.sdk")
    line = await begin(page, gateway)
    await told(page, "accept")
    assert len({*await heard(line, 50)}) > 1
    gateway.cut()
    await told(page, "reconnected")
    assert len({*await heard(gateway.line, 50)}) > 1
    await page.evaluate("call.disconnect()")
    await told(page, "disconnect")
    # The second call does not try again what the policy refuses.
    assert [fault.split()[1] for fault in shop.faults] == ["worker-src"]
    await begin(page, gateway)
    await told(page, "accept")
    assert len(shop.faults) == 1
    shop.faults.clear()
    await page.context.close()


async def test_a_policy_that_refuses_the_worklets_is_named(
    browser: Browser, gateway: FakeGateway, shop: Shop
) -> None:
    """It lets in the one file that the page names, and not what that loads."""
    shop.policy_changes = (
        (
            "script-src 'self' 'unsafe-inline' {gateway}",
            "script-src 'self' 'unsafe-inline' {gateway}/sdk/v1/caller.js",
        ),
    )
    page = await shop.open(browser)
    await page.wait_for_function("() => window.sdk")
    error = await page.evaluate(
        f"""() => new Promise((done) => {{
          const call = new sdk.Caller({{ getToken }}).call({ECHO!r});
          call.on('error', ({{ code, title, action }}) => done([code, title, action]));
        }})"""
    )
    assert error == [
        "policy_refused",
        "The content security policy of this page does not let the sound of calls load.",
        f"Add {gateway.origin} to script-src of its Content-Security-Policy.",
    ]
    assert gateway.lines == []
    shop.faults.clear()
    await page.context.close()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("{}", "token_missing"),
        (
            "{ token: { token: 't', media_url: 'wss://a.example/m', expires_in_seconds: 0 } }",
            "token_expired",
        ),
        ("{ getToken: async () => { throw new TypeError('x') } }", "token_unavailable"),
        ("{ getToken, audioProcessor: () => { throw new Error('x') } }", "audio_processor_failed"),
    ],
)
async def test_what_the_page_lacks_is_told(page: Page, options: str, code: str) -> None:
    error = await page.evaluate(
        f"""() => new Promise((done) => {{
          const call = new sdk.Caller({options}).call({ECHO!r});
          call.on('error', ({{ code, title, action }}) => done([code, title, action]));
        }})"""
    )
    assert error[0] == code
    assert all(error)


async def test_there_is_one_call_at_a_time_and_keys_are_keys(
    page: Page, gateway: FakeGateway
) -> None:
    await begin(page, gateway)
    await told(page, "accept")
    thrown = await page.evaluate(
        """async () => {
          const codes = [];
          const keep = ({ code }) => codes.push(code);
          try { caller.call('+1') } catch (error) { keep(error) }
          try { call.sendDigits('12x') } catch (error) { keep(error) }
          await caller.check(getCheckToken).catch(keep);
          return codes;
        }"""
    )
    assert thrown == ["already_in_call", "digits_invalid", "already_in_call"]
    await page.evaluate("caller.destroy()")
    await told(page, "disconnect")


async def test_the_line_is_checked(page: Page, gateway: FakeGateway) -> None:
    report = await page.evaluate(
        """async () => {
          const seen = { levels: 0 };
          const report = await new sdk.Caller().check(getCheckToken, {
            speaking: (seconds) => (seen.seconds = seconds),
            level: () => seen.levels++,
          });
          return [report.verdict, report.mos, seen.seconds, seen.levels > 0];
        }"""
    )
    assert report == ["good", 4.3, 1, True]
    assert gateway.token_requests == []


_SILENCER = """audioProcessor: (stream, signal) => {
  const context = new AudioContext();
  const silent = context.createMediaStreamDestination();
  const source = context.createMediaStreamSource(stream);
  source.connect(new GainNode(context, { gain: 0 })).connect(silent);
  window.processed = (window.processed ?? 0) + 1;
  signal.addEventListener('abort', () => { window.released = true; context.close(); });
  return silent.stream;
}"""


async def test_the_voice_is_sent_as_the_page_processes_it(page: Page, gateway: FakeGateway) -> None:
    line = await begin(page, gateway, _SILENCER)
    assert {*(await heard(line, 60))[10:]} == {SILENCE}
    await page.evaluate("caller.devices.choose({ processing: { noiseSuppression: false } })")
    assert await page.evaluate("processed") == 2
    await page.evaluate("call.disconnect()")
    await told(page, "disconnect")
    assert await page.evaluate("released")


async def test_webrtc_sends_it_as_well(page: Page, gateway: FakeGateway) -> None:
    gateway.webrtc = True
    line = await begin(page, gateway, _SILENCER)
    await until(lambda: line.peer.selected and line.peer.loudest is not None, seconds=20)
    await until(lambda: line.peer.frames > 100)
    assert line.peer.loudest == 0


async def test_devices_are_listed_chosen_and_tested(page: Page) -> None:
    result = await page.evaluate(
        """async () => {
          const { devices } = new sdk.Caller();
          let stop;
          await new Promise(async (done) => {
            stop = await devices.testMicrophone((rms) => rms > 0 && done());
          });
          stop();
          const [{ deviceId: microphone }] = (await devices.list()).microphones;
          await devices.choose({ microphone, processing: { autoGainControl: false } });
          await devices.testSpeaker();
          const { chosen } = devices;
          const { autoGainControl, noiseSuppression } = chosen;
          return [chosen.microphone === microphone, autoGainControl, noiseSuppression];
        }"""
    )
    assert result == [True, False, True]


async def test_a_token_that_waits_is_told_to_expire_and_replaced(
    page: Page, gateway: FakeGateway
) -> None:
    await page.evaluate(
        f"""async () => {{
          const given = await getToken({ECHO!r});
          const old = {{ ...given, token: 'old', expires_in_seconds: 10 }};
          window.caller = new sdk.Caller({{ token: old }});
          caller.on('tokenWillExpire', () => caller.updateToken({{ ...given, token: 'new' }}));
          await new Promise((done) => caller.on('tokenWillExpire', done));
        }}"""
    )
    line = await begin(page, gateway)
    assert line.start["token"] == "new"
