"""Fixtures: one world for tests that leave it as it was, a fresh one for those that break it.

With `--thorough` the stores of the former are those that the scripts of `deploy/` make, else the
gateway's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.calls.deployed_stores import TOLD, deployed_postgres, deployed_valkey
from tests.calls.world import Customer, World


@pytest.fixture(scope="package")
def shared_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Serve all tests of one worker, and end with those of this folder: a gateway never rests."""
    folder = tmp_path_factory.mktemp("world")
    with contextlib.ExitStack() as stack:
        stores: Mapping[str, str] = {}
        if request.config.getoption("thorough"):
            binaries = request.getfixturevalue("postgres_server")._binaries
            valkey = stack.enter_context(deployed_valkey(folder / "valkey", TOLD))
            postgres = stack.enter_context(deployed_postgres(binaries, TOLD))
            stores = {
                "CALLER_REDIS_URL": valkey.url(),
                "CALLER_DATABASE_URL": postgres.url("caller"),
            }
        world = World(folder, **stores)
        if stores:
            world.operator_url = valkey.operator_url
        world.start()
        yield world
        world.stop()


@pytest.fixture
async def world(shared_world: World) -> AsyncIterator[World]:
    """The shared world; when a test is over, its books must balance."""
    await shared_world.carrier_faults({})
    yield shared_world
    await shared_world.carrier_faults({})
    await shared_world.assert_books_balance()


@pytest.fixture
def new_world(tmp_path: Path, shared_world: World) -> Iterator[Callable[..., World]]:
    """Make gateways of one's own, with settings of one's own; the carrier is the shared one.

    They find their tables, which the shared gateway has had to make.
    """
    made: list[World] = []

    def make(kind: type[World] = World, **changes: str) -> World:
        folder = tmp_path / f"world{len(made)}"
        folder.mkdir()
        world = kind(folder, carrier_port=shared_world.carrier_port, **changes)
        made.append(world.lay_tables())
        return world

    yield make
    for world in made:
        if world.gateway is not None:
            world.gateway.terminate()


@pytest.fixture
async def customer(world: World) -> AsyncIterator[Customer]:
    """A customer with ten dollars."""
    customer = await world.new_customer()
    yield customer
    await customer.http.aclose()
