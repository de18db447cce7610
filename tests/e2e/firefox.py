"""A stock Firefox, driven by WebDriver BiDi, which it speaks by itself. Knows no page of ours.

https://www.w3.org/TR/webdriver-bidi/
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.e2e.network import Machine
from tests.priority import at_once

START_S = 60.0
COMMAND_S = 30.0
FIND_S = 30.0
DEBUGGING_PORT = 9222
"""Of the machine it runs on, where nobody else listens."""

PROGRAMS = ("firefox-esr", "firefox")
LOG = "output.log"
ENTER = "\ue007"

PREFERENCES: dict[str, bool | int | str] = {
    # Nobody is there to be asked for the microphone.
    "media.navigator.permission.disabled": True,
    # No wizard, no news, no updates: there is nowhere to get them from.
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "intl.accept_languages": "en-US",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}

# Looks through shadow roots as Playwright does. What a button is called comes before what it shows.
WITHIN = """
const within = (root) => [...root.querySelectorAll('*')].flatMap((element) => [
  ...(element.checkVisibility() ? [element] : []),
  ...(element.shadowRoot ? within(element.shadowRoot) : []),
]);
"""
FIND = f"""(css, words) => {{
  {WITHIN}
  const pattern = new RegExp(words);
  const found = within(document).find((element) =>
    element.matches(css) && pattern.test((element.ariaLabel ?? element.innerText).trim()));
  found?.scrollIntoView({{ block: 'center', behavior: 'instant' }});
  return found;
}}"""
READ = f"""() => {{
  {WITHIN}
  return within(document).filter(({{ childElementCount }}) => childElementCount === 0)
    .map(({{ innerText }}) => innerText?.trim()).filter((text) => text);
}}"""


class Page:
    """One tab."""

    def __init__(self, session: _Session, context: str) -> None:
        self._session = session
        self._context = context

    async def goto(self, url: str) -> None:
        """Go there; return when it has loaded."""
        await self._session.command(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def frame(self, timeout_s: float = FIND_S) -> Page:
        """Return the page that is framed in this one, once there is one."""
        deadline = time.monotonic() + timeout_s
        while True:
            tree = await self._session.command("browsingContext.getTree", root=self._context)
            framed = tree["contexts"][0]["children"]
            if framed:
                return Page(self._session, framed[0]["context"])
            assert time.monotonic() < deadline, f"no frame: {await self.run(READ)}"
            await asyncio.sleep(0.05)

    async def run(self, function: str, *arguments: Any) -> Any:
        """Call a function in the page; arguments and result must be JSON."""
        wrapped = f"async (given) => JSON.stringify(await ({function})(...JSON.parse(given)))"
        given = {"type": "string", "value": json.dumps(arguments)}
        return json.loads((await self._call(wrapped, [given])).get("value", "null"))

    async def find(self, css: str, words: str = "", timeout_s: float = FIND_S) -> dict[str, Any]:
        """Return a reference to the element once one is seen that says something like this."""
        arguments = [{"type": "string", "value": text} for text in (css, words)]
        deadline = time.monotonic() + timeout_s
        while (found := await self._call(FIND, arguments))["type"] != "node":
            assert time.monotonic() < deadline, f"no {css} with {words}: {await self.run(READ)}"
            await asyncio.sleep(0.05)
        return {"sharedId": found["sharedId"]}

    async def click(self, css: str, words: str = "") -> None:
        """Press the mouse on the element."""
        origin = {"type": "element", "element": await self.find(css, words)}
        mouse = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        await self._act({"type": "pointer", "id": "mouse", "actions": mouse})

    async def type(self, text: str) -> None:
        """Press these keys, one after the other."""
        keys = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keyboard", "actions": keys})

    async def _act(self, source: dict[str, Any]) -> None:
        await self._session.command("input.performActions", context=self._context, actions=[source])

    async def _call(self, function: str, arguments: list[dict[str, Any]]) -> dict[str, Any]:
        outcome = await self._session.command(
            "script.callFunction",
            functionDeclaration=function,
            arguments=arguments,
            awaitPromise=True,
            userActivation=False,
            target={"context": self._context},
        )
        assert outcome["type"] == "success", outcome["exceptionDetails"]["text"]
        result: dict[str, Any] = outcome["result"]
        return result


class _Session:
    """Commands out, their results and events in.

    `faults` is what was thrown in pages and never caught.
    """

    def __init__(self, ws: websockets.ClientConnection) -> None:
        self.faults: list[str] = []
        self._ws = ws
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._ws.send(json.dumps({"id": number, "method": method, "params": params}))
            async with asyncio.timeout(COMMAND_S):
                message = await self._waiting[number]
        finally:
            del self._waiting[number]
        assert message["type"] == "success", (method, message)
        result: dict[str, Any] = message["result"]
        return result

    async def read(self) -> None:
        """Hand each message to whom it is for, until the socket closes."""
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self._ws:
                message = json.loads(text)
                waiting = self._waiting.get(message.get("id"))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
                elif message.get("method") == "log.entryAdded":
                    self._note(message["params"])

    def _note(self, entry: dict[str, Any]) -> None:
        if (entry["type"], entry["level"]) == ("javascript", "error"):
            self.faults.append(entry["text"])


class Firefox:
    """A running browser."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator[Page]:
        """Open a tab; at the end nothing may have failed in it."""
        tab = await self._session.command("browsingContext.create", type="tab")
        self._session.faults.clear()
        yield Page(self._session, tab["context"])
        await self._session.command("browsingContext.close", context=tab["context"])
        assert self._session.faults == []


@contextlib.asynccontextmanager
async def firefox(
    machine: Machine,
    profile: Path,
    environ: Mapping[str, str],
    script: str,
    **preferences: bool | int | str,
) -> AsyncIterator[Firefox]:
    """Start a browser on this machine, in whose pages this script runs before their own.

    Skips the test where there is no Firefox; tests/conftest.py turns that into a failure under CI.
    """
    process = _start(machine, profile, environ, PREFERENCES | preferences)
    try:
        wire = await _connect(machine, process, profile / LOG)
        address = f"ws://127.0.0.1:{DEBUGGING_PORT}/session"
        async with websockets.connect(
            address, sock=wire, max_size=None, compression=None, ping_interval=None
        ) as ws:
            session = _Session(ws)
            reading = asyncio.create_task(session.read())
            await session.command("session.new", capabilities={})
            await session.command("session.subscribe", events=["log.entryAdded"])
            function = f"() => {{ {script} }}"
            await session.command("script.addPreloadScript", functionDeclaration=function)
            yield Firefox(session)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    finally:
        # Its profile is thrown away, and its children go with it.
        process.kill()
        process.wait()


def _start(
    machine: Machine,
    profile: Path,
    environ: Mapping[str, str],
    preferences: dict[str, bool | int | str],
) -> subprocess.Popen[bytes]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("No Firefox: install firefox-esr.")
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in preferences.items()]
    (profile / "user.js").write_text("\n".join(lines))
    # The browser goes when the test process does, however that ends.
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    options = ["--headless", "--no-remote", "--profile", str(profile)]
    port = ["--remote-debugging-port", str(DEBUGGING_PORT)]
    with machine.entered(), (profile / LOG).open("wb") as log:
        return subprocess.Popen(
            at_once([*guard, program, *options, *port, "about:blank"]),
            env={**environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


async def _connect(machine: Machine, process: subprocess.Popen[bytes], log: Path) -> socket.socket:
    """Return a connection to the browser's port, once it listens."""
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        with contextlib.suppress(OSError), machine.entered():
            return socket.create_connection(("127.0.0.1", DEBUGGING_PORT))
        await asyncio.sleep(0.05)
