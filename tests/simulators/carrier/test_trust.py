"""Whose certificates the simulated carrier accepts: for its webhooks, as for its media sockets."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web

from simulators.carrier.clock import Clock
from simulators.carrier.orders import Hook
from simulators.carrier.trust import client_tls
from simulators.carrier.webhooks import Webhooks
from tests.certificates import Authority


@pytest.mark.parametrize(("is_named", "arrives"), [(True, True), (False, False)])
async def test_a_webhook_goes_to_whom_an_authority_vouches_for(
    tmp_path: Path, is_named: bool, arrives: bool
) -> None:
    authority = Authority(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue(tmp_path))

    async def answer(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/status", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    webhooks = Webhooks("secret", Clock(), authority.file if is_named else None)
    await webhooks.start()
    try:
        hook = Hook(f"https://127.0.0.1:{runner.addresses[0][1]}/status")
        assert await webhooks.post("status", hook, {}) is arrives
    finally:
        await webhooks.stop()
        await runner.cleanup()


def test_the_systems_authorities_are_trusted_beside_those_of_the_file(tmp_path: Path) -> None:
    system = client_tls(None).cert_store_stats()["x509_ca"]
    both = client_tls(Authority(tmp_path).file).cert_store_stats()["x509_ca"]
    assert both == system + 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_holds_none_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(OSError):  # noqa: PT011 - of either kind
        client_tls(file)
