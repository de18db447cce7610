"""A minimal application that Stripe's webhooks arrive at.

It verifies them with Stripe's own library, never with the simulator's code.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import stripe
from aiohttp import web

SECRET = "whsec_of_the_tests"


class Receiver:
    """Takes webhooks in, and answers with what a test asks for."""

    def __init__(self) -> None:
        self.events: list[stripe.Event] = []
        self.refused: list[str] = []
        """Why a signature did not verify."""
        self.statuses: list[int] = []
        """What the next deliveries are answered with; then 200."""
        self.hold_s: list[float] = []
        """How long the next deliveries wait for their answer; then none does."""
        self.bodies: list[bytes] = []
        self._arrived = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Receiver:
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        if self.hold_s:
            await asyncio.sleep(self.hold_s.pop(0))
        status = self.statuses.pop(0) if self.statuses else 200
        try:
            header = request.headers["Stripe-Signature"]
            event = stripe.Webhook.construct_event(body, header, SECRET)
        except stripe.SignatureVerificationError as error:
            self.refused.append(str(error))
            status = 400
        else:
            self.events.append(event)
        self._arrived.set()
        return web.Response(status=status)

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def count(self, event_type: str) -> int:
        return Counter(self.types())[event_type]

    def last(self, event_type: str) -> Any:
        """Return the object of the newest event of a type."""
        return next(e for e in reversed(self.events) if e.type == event_type).data.object

    async def until(self, event_type: str, count: int = 1) -> Any:
        """Wait until a type has arrived so often, and return the newest object."""
        await self.until_true(lambda: self.count(event_type) >= count)
        return self.last(event_type)

    async def until_true(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._arrived.clear()
                await self._arrived.wait()
