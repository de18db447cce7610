"""A service that stands in for Twilio's smaller APIs."""

import pytest
from aiohttp import web


class Service:
    """Answers with what it is told to, once each, and then with the last."""

    def __init__(self):
        self.replies = []
        self.requests = []
        self.url = ""

    async def handle(self, request):
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        status, body, headers = reply if isinstance(reply, tuple) else (200, reply, {})
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)


@pytest.fixture
async def service():
    service = Service()
    app = web.Application()
    app.router.add_get("/{rest:.*}", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()
