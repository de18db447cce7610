"""Callers whose network is gone for some seconds, and what the call's record then says of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.thorough import first_of

FRAMES_PER_S = 50


async def is_out_on_the_socket(world, seconds):
    world.browser.loses_socket()
    await world.run(seconds)
    await world.browser.reopens()
    await world.browser.wait("accept")


async def is_out_of_packets(world, seconds):
    """The socket stalls meanwhile, and brings all its messages afterwards."""
    browser = world.browser
    for way in browser.packet_ways:
        way.lose(seconds)
    for way in browser.ways:
        way.stall(seconds)
    await world.run(seconds)


async def loses_all_ways(world, seconds):
    """Come back on the socket, and stay there."""
    browser = world.browser
    for way in browser.packet_ways:
        way.lose(700)
    browser.sends_packets = False
    await is_out_on_the_socket(world, seconds)


WAYS = {
    "websocket": is_out_on_the_socket,
    "webrtc": is_out_of_packets,
    "webrtc to websocket": loses_all_ways,
}


async def record_of(world, path, seconds, *, is_reported=True):
    browser = await world.dials()
    if path != "websocket":
        await browser.moves_to_webrtc(world.media.endpoint)
    reports = asyncio.create_task(browser.reports() if is_reported else asyncio.sleep(0))
    await world.is_answered()
    await world.run(6.4)
    if seconds:
        await WAYS[path](world, seconds)
    await world.run(7)
    reports.cancel()
    browser.say(type="hangup")
    await browser.wait("disconnect")
    return await world.settled()


@pytest.mark.parametrize("seconds", first_of([4, 3, 6, 9]))
@pytest.mark.parametrize("path", WAYS)
async def test_each_second_away_is_lost_once_in_both_directions(world, path, seconds):
    record = await record_of(world, path, seconds)
    up, down = record.browser, record.carrier
    assert abs(up.packets_lost - FRAMES_PER_S * seconds) <= FRAMES_PER_S
    assert abs(down.packets_lost - FRAMES_PER_S * seconds) <= FRAMES_PER_S
    assert abs(up.mos - down.mos) <= 0.3
    assert up.mos < 3.8


@pytest.mark.parametrize("path", ["websocket", "webrtc"])
async def test_who_is_never_away_loses_nothing(world, path):
    record = await record_of(world, path, 0)
    assert (record.browser.packets_lost, record.carrier.packets_lost) == (0, 0)
    assert min(record.browser.mos, record.carrier.mos) > 4


async def test_a_client_that_reports_nothing_is_told_what_is_known_here(world):
    record = await record_of(world, "websocket", 4, is_reported=False)
    assert abs(record.carrier.packets_lost - FRAMES_PER_S * 4) <= FRAMES_PER_S
    assert record.carrier.mos < 4
    assert record.browser.mos > 3


async def test_the_silence_of_a_carrier_is_lost_where_nothing_is_reported(world):
    browser = await world.connected()
    await world.run(3)
    world.phone.stream.frozen = True
    await world.run(2.5)
    world.phone.stream.frozen = False
    await world.run(3)
    browser.say(type="hangup")
    await browser.wait("disconnect")
    record = await world.settled()
    assert abs(record.carrier.packets_lost - 125) <= FRAMES_PER_S
    losses = [sample["carrier"]["loss_percent"] for sample in browser.of("sample")]
    assert losses.count(100) >= 1
    assert losses[-1] == 0
