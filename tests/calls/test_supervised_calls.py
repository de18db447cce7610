"""Supervision of real calls, over real sockets: what is heard, what is noted, what is left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from gateway.call.supervision import Mode, Rule
from gateway.operators import Order
from gateway.supervision.store import SqlSupervision
from media.g711 import mulaw_decode, mulaw_encode
from tests.calls.world import Customer, Phone, World

TONE = "+15005551001"
OURS_HZ, CALLERS_HZ = 700, 1_300
"""A multiple of 50: each frame of 20 ms is whole periods."""


def tone(hz: int) -> bytes:
    wave = 8_000 * np.sin(2 * np.pi * hz * np.arange(160) / 8_000)
    return mulaw_encode(np.rint(wave).astype("<i2").tobytes())


def has(audio: bytes, hz: int) -> bool:
    """Whether most of an audio's frames carry a tone of this frequency, of 8,000 at its peak."""
    cuts = [audio[at : at + 160] for at in range(0, len(audio) - 159, 160)]
    spectra = [np.abs(np.fft.rfft(np.frombuffer(mulaw_decode(cut), "<i2"))) for cut in cuts]
    carried = sum(spectrum[hz // 50] > 0.5 * 8_000 * 80 for spectrum in spectra)
    return carried > len(cuts) / 2


async def allow(world: World, customer: Customer, rule: Rule) -> None:
    async with world.stores() as stores:
        rules = SqlSupervision(stores.engine)
        assert await rules.order(customer.account_id, rule, Order("kim", "agreed"))


async def grant(customer: Customer, call_id: str) -> tuple[int, dict[str, Any]]:
    reply = await customer.http.post(f"/v1/live-calls/{call_id}/supervision", json={})
    return reply.status_code, reply.json()


@contextlib.asynccontextmanager
async def supervising(customer: Customer, call_id: str) -> AsyncIterator[Phone]:
    status, given = await grant(customer, call_id)
    assert status == 201, given
    async with customer.connect(given["media_url"]) as supervisor:
        await supervisor.send(type="start", version=1, token=given["token"])
        await supervisor.wait("supervision-ready")
        yield supervisor


@contextlib.asynccontextmanager
async def calling(world: World, customer: Customer) -> AsyncIterator[tuple[Phone, str]]:
    async with customer.call(TONE) as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        yield phone, call_id


async def last_second(world: World, customer: Customer, call_id: str) -> bytes:
    """Return what the phone has heard in the last second."""
    carrier_call_id = await customer.carrier_call_id(call_id)
    heard: bytes = await world.carrier_get(f"/calls/{carrier_call_id}/heard")
    return heard[-8_000:]


async def both_speak(phone: Phone, supervisor: Phone, seconds: float = 2.0) -> None:
    count = round(50 * seconds)
    await asyncio.gather(
        phone.speak([tone(CALLERS_HZ)] * count), supervisor.speak([tone(OURS_HZ)] * count)
    )


async def changes_to(supervisor: Phone, mode: str) -> None:
    await supervisor.send(type="supervise", mode=mode)
    await supervisor.wait("supervise", where=lambda event: event["mode"] == mode)


async def test_who_hears_whom(world: World):
    customer = await world.new_customer()
    await allow(world, customer, Rule(Mode.TAKE_OVER, "no tone beside those of the test"))
    async with calling(world, customer) as (phone, call_id):
        async with supervising(customer, call_id) as supervisor:
            await both_speak(phone, supervisor)
            assert has(b"".join(supervisor.frames[-40:]), CALLERS_HZ)
            assert not has(b"".join(phone.frames[-40:]), OURS_HZ)
            for mode, caller_hears, phone_hears, phone_hears_caller in (
                ("whisper", True, False, True),
                ("barge", True, True, True),
                ("take-over", False, True, False),
                ("listen", False, False, True),
            ):
                await changes_to(supervisor, mode)
                before = len(phone.frames)
                await both_speak(phone, supervisor)
                by_phone = await last_second(world, customer, call_id)
                assert has(b"".join(phone.frames[before + 20 :]), OURS_HZ) == caller_hears, mode
                assert (has(by_phone, OURS_HZ), has(by_phone, CALLERS_HZ)) == (
                    phone_hears,
                    phone_hears_caller,
                ), mode
                assert (len(phone.frames) - before > 50) == (mode != "take-over")
        # The supervisor is gone, and the call goes on as before.
        before = len(phone.frames)
        await phone.speak([tone(CALLERS_HZ)] * 60)
        assert has(await last_second(world, customer, call_id), CALLERS_HZ)
        assert len(phone.frames) - before > 40
        ended = await phone.hang_up()
    record = await customer.record(ended["call_id"])
    assert record["cost"] == ended["cost"]
    reply = await customer.http.get("/v1/account")
    assert reply.is_success
    await customer.http.aclose()
    await world.assert_books_balance()


async def test_an_account_that_allows_nothing_is_not_heard(world: World):
    customer = await world.new_customer()
    async with calling(world, customer) as (phone, call_id):
        status, problem = await grant(customer, call_id)
        assert (status, problem["code"]) == (403, "supervision_refused")
        # Another account's call is none, whatever it allows.
        other = await world.new_customer()
        await allow(world, other, Rule(Mode.LISTEN))
        status, problem = await grant(other, call_id)
        assert (status, problem["code"]) == (404, "call_not_found")
        await other.http.aclose()
        await phone.hang_up()
    await customer.http.aclose()
    await world.assert_books_balance()


async def test_what_is_allowed_no_more_ends_at_once_and_the_call_goes_on(world: World):
    customer = await world.new_customer()
    await allow(world, customer, Rule(Mode.LISTEN))
    async with (
        calling(world, customer) as (phone, call_id),
        supervising(customer, call_id) as supervisor,
    ):
        assert (await phone.wait("supervised"))["mode"] == "listen"
        await allow(world, customer, Rule())
        assert await supervisor.refused() == ("supervision_refused", 1008)
        await phone.wait("supervised", where=lambda event: event["mode"] is None)
        await phone.hang_up()
    await customer.http.aclose()
    await world.assert_books_balance()


async def test_a_caller_who_is_back_is_told_again_who_is_there(world: World):
    customer = await world.new_customer()
    await allow(world, customer, Rule(Mode.BARGE))
    async with customer.call(TONE) as phone:
        ready = await phone.wait("ready")
        await phone.wait("accept")
        async with supervising(customer, ready["call_id"]) as supervisor:
            await supervisor.send(type="supervise", mode="barge")
            await phone.wait("supervised", where=lambda event: event["mode"] == "barge")
            phone.ws.transport.abort()
            await phone.wait_closed()
            async with taken_up(customer, ready) as back:
                assert (await back.wait("supervised"))["mode"] == "barge"
                ready = await back.wait("ready")
                back.ws.transport.abort()
                await back.wait_closed()
        async with taken_up(customer, ready) as back:
            # Told while nobody was there to hear it.
            assert (await back.wait("supervised"))["mode"] is None
            await back.hang_up()
    await customer.http.aclose()
    await world.assert_books_balance()


@contextlib.asynccontextmanager
async def taken_up(customer: Customer, ready: dict[str, Any]) -> AsyncIterator[Phone]:
    url = f"ws://127.0.0.1:{customer.world.port}/n/n1/media/browser"
    async with customer.connect(url) as phone:
        token = ready["resume_token"]
        await phone.send(type="resume", version=1, call_id=ready["call_id"], token=token)
        yield phone


async def test_when_the_caller_hangs_up_the_supervisor_is_told(world: World):
    customer = await world.new_customer()
    await allow(world, customer, Rule(Mode.LISTEN))
    async with (
        calling(world, customer) as (phone, call_id),
        supervising(customer, call_id) as supervisor,
    ):
        await phone.hang_up()
        assert (await supervisor.refused())[0] == "call_ended"
    await customer.http.aclose()
    await world.assert_books_balance()
