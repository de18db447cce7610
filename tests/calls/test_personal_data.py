"""What whole calls leave behind: no sound of them anywhere, and no key that the data map lacks."""

from __future__ import annotations

import base64
import random
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.calls.udp_phone import udp_phone
from tests.calls.world import Customer, World
from tests.gateway.test_data_map import keys_of, template_of

SECONDS = 2


def spoken(seed: int) -> list[bytes]:
    """Return frames of mu-law that no other sound has."""
    source = random.Random(seed)
    return [bytes(source.randrange(0x40, 0x60) for _ in range(160)) for _ in range(50 * SECONDS)]


def needles(frames: list[bytes]) -> Iterator[bytes]:
    """Yield what a part of the sound looks like in each form in which it could be kept."""
    # From the middle of frames, so that no header is part of it. Twelve bytes are not found by
    # chance in some megabytes.
    for frame in frames[10::20]:
        part = frame[60:84]
        yield part[:12]
        # Base64 begins anew every three bytes, so there are three ways in which it may fall.
        for shift in range(3):
            yield base64.b64encode(part[shift : shift + 21])[:24]
        yield part[:12].hex().encode()
        # As 16-bit samples of ITU-T G.711, in either order of their bytes.
        samples = [_linear(byte) for byte in part[:12]]
        for order in ("little", "big"):
            yield b"".join(sample.to_bytes(2, order, signed=True) for sample in samples)


def _linear(byte: int) -> int:
    value = ~byte & 0xFF
    magnitude = (((value & 0x0F) << 3) + 0x84 << ((value & 0x70) >> 4)) - 0x84
    return -magnitude if value & 0x80 else magnitude


def unpacked(content: bytes) -> Iterator[bytes]:
    """Yield a content as it is, and what is unpacked of anything in it that zlib has packed."""
    yield content
    for head in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08"):
        place = content.find(head)
        while place >= 0:
            try:
                yield zlib.decompressobj(47).decompress(content[place:], 1 << 20)
            except zlib.error:
                pass
            place = content.find(head, place + 1)


async def kept(world: World) -> list[tuple[str, bytes]]:
    """Return all that is at rest: data folder, logs, temporary files, SQL, Valkey."""
    paths = [path for path in world.folder.rglob("*") if path.is_file()]
    paths += [path for path in Path(tempfile.gettempdir()).glob("caller*") if path.is_file()]
    found = [(str(path), path.read_bytes()) for path in paths]
    async with world.valkey() as redis:
        found += [(key, await value_of(redis, key)) for key in await keys_of(redis)]
    async with world.stores() as stores, stores.engine.connect() as connection:
        names = await connection.run_sync(lambda c: sa.inspect(c).get_table_names())
        for name in names:
            rows = (await connection.execute(sa.text(f"SELECT * FROM {name}"))).all()
            found.append((name, "\n".join(map(repr, rows)).encode()))
    return found


async def value_of(redis: Any, key: str) -> bytes:
    """Return all that a key of Valkey holds, one after the other."""
    command = {
        b"string": ("GET", key),
        b"hash": ("HGETALL", key),
        b"set": ("SMEMBERS", key),
        b"list": ("LRANGE", key, 0, -1),
        b"zset": ("ZRANGE", key, 0, -1),
        b"stream": ("XRANGE", key, "-", "+"),
    }[await redis.type(key)]
    return b" ".join(flat(await redis.execute_command(*command)))


def flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        yield from flat(list(value.items()))
    elif isinstance(value, list | tuple | set):
        for each in value:
            yield from flat(each)


def test_a_sound_is_found_in_whatever_form_it_is_kept():
    frames = spoken(1)
    whole = b"".join(frames)
    linear = b"".join(_linear(byte).to_bytes(2, "little", signed=True) for byte in whole)
    for content in (
        b"x" + whole,
        base64.b64encode(b"xy" + whole),
        base64.b64encode(b"x" + whole),
        whole.hex().encode(),
        linear,
        b"head" + zlib.compress(whole),
    ):
        assert any(needle in part for part in unpacked(content) for needle in needles(frames))
    assert not any(needle in b"".join(spoken(2)) for needle in needles(frames))


@pytest.mark.parametrize("path", ["websocket", "webrtc"])
async def test_no_sound_of_a_call_is_kept_anywhere(world: World, customer: Customer, path: str):
    frames = spoken(3)
    async with customer.call() as phone:
        call_id = (await phone.wait("ready"))["call_id"]
        if path == "webrtc":
            async with udp_phone() as udp:
                await udp.connect(phone)
                await phone.wait("accept")
                await udp.choose(phone)
                await udp.speak(frames)
                ended = await phone.hang_up()
        else:
            await phone.wait("accept")
            await phone.speak(frames)
            ended = await phone.hang_up()
        # What was said came back from the phone: so it was there to be kept.
        assert ended["cost"]["micros"] > 0
    await customer.record(call_id)
    places = await kept(world)
    assert {"calls", "transfers"} <= {name for name, _ in places}
    for name, content in places:
        for part in unpacked(content):
            assert not any(needle in part for needle in needles(frames)), name


async def test_a_whole_call_leaves_no_key_that_the_map_lacks(world: World, customer: Customer):
    await customer.ordinary_call()
    async with world.valkey() as redis:
        keys = await keys_of(redis)
    assert len(keys) > 10
    assert [key for key in sorted(keys) if not template_of(key)] == []
