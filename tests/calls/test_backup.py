"""The pages on copies and on upgrades, done as they say, while calls run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.calls.deployed_stores import deployed_postgres
from tests.calls.world import PATIENCE_S, Customer, World
from tests.deploy.pages import run
from tests.valkey import PASSWORD

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "media", "billing", "accounts", "database", "simulators")


def command(world: World, *arguments: str, sources: Path = ROOT) -> tuple[int, str]:
    """Run a command of a gateway's; return its exit code and what it says, on one line."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env={**world.environ, "PYTHONPATH": str(sources), "COLUMNS": "500"},
        cwd=world.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def at(world: World, customer: Customer) -> Customer:
    """Return the customer at another gateway that knows them."""
    headers = {"authorization": f"Bearer {customer.key}"}
    http = httpx.AsyncClient(base_url=world.base, headers=headers, timeout=PATIENCE_S)
    world.account_ids.append(customer.account_id)
    return Customer(world, customer.account_id, customer.key, http)


@dataclass
class Place:
    """Where the database of a gateway is, and how the page's commands are told of it."""

    kind: str
    settings: dict[str, str]
    told: dict[str, str]


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Place]]:
    """Two places of one kind: one that is copied, one that is new."""
    kind = request.param
    path = os.environ["PATH"]
    if kind == "sqlite":
        folders = [tmp_path / "first", tmp_path / "second"]
        yield [
            Place(
                kind, {"CALLER_DATA_DIR": str(each)}, {"CALLER_DATA_DIR": str(each), "PATH": path}
            )
            for each in folders
        ]
        return
    binaries = request.getfixturevalue("postgres_server")._binaries
    told = {"DATABASE_PASSWORD": PASSWORD}
    with (
        deployed_postgres(binaries, told) as first,
        deployed_postgres(binaries, told) as second,
    ):
        yield [
            Place(
                kind,
                {"CALLER_DATABASE_URL": each.url("caller")},
                {
                    "PGHOST": str(each.directory),
                    "PGUSER": "caller",
                    "PATH": f"{binaries}:{path}",
                },
            )
            for each in (first, second)
        ]


def copied(place: Place, folder: Path) -> dict[str, str]:
    """Run what copies a database; return what tells the restore of the copy."""
    told = {"COPY": str(folder / "copy")}
    run("backup.md", f"copy-{place.kind}", {**place.told, **told}, folder)
    return told


async def test_a_copy_is_made_while_calls_run_and_put_back_in_a_new_place(
    new_world: Any, places: list[Place], tmp_path: Path
) -> None:
    first, second = places
    world: World = new_world(**first.settings)
    world.start_gateway()
    customer = await world.new_customer()
    before = await customer.ordinary_call()
    async with customer.call() as phone:
        running = (await phone.wait("ready"))["call_id"]
        await phone.wait("accept")
        await phone.wait_frames(100)
        told = copied(first, tmp_path)
        # Readable by its owner alone.
        assert {p.stat().st_mode & 0o077 for p in (tmp_path / "copy").rglob("*")} == {0}
        await phone.wait_frames(len(phone.frames) + 50)
        await phone.hang_up()
    await customer.record(running)
    # What happens after the copy is lost with the machine.
    await customer.ordinary_call()
    await customer.http.aclose()
    assert world.gateway.terminate() == 0

    fresh: World = new_world(**second.settings)
    run("backup.md", f"restore-{second.kind}", {**second.told, **told}, tmp_path)
    code, said = command(fresh, "check")
    assert (code, "failed" in said) == (0, False), said
    fresh.start_gateway()
    again = at(fresh, customer)
    assert (await again.record(before["id"]))["cost"] == before["cost"]
    # It was live when it was copied, and whoever held it is gone.
    assert (await again.record(running))["state"] == "ended"
    await again.ordinary_call()
    await again.http.aclose()
    await fresh.assert_books_balance()
    assert command(fresh, "ledger", "audit")[0] == 0


@pytest.fixture
def release_before(tmp_path: Path) -> Path:
    """The sources of a release that lacks the newest migration."""
    folder = tmp_path / "before"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "static")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    newest = max((folder / "database/migrations/versions").glob("0*.py"))
    newest.unlink()
    return folder


def migrated_by(world: World, sources: Path) -> None:
    """Let a release make the tables of a new database."""
    script = (
        "import asyncio, sys; from database.engine import create_engine;"
        "from database.migrations import migrate;"
        "asyncio.run(migrate(create_engine(sys.argv[1])))"
    )
    file = world.settings.data_dir / "caller.db"
    file.unlink()
    subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{file}"],
        env={**world.environ, "PYTHONPATH": str(sources)},
        cwd=sources,
        check=True,
        timeout=PATIENCE_S,
    )
    file.chmod(0o600)


async def test_an_older_database_is_brought_up_to_date_and_its_copy_is_the_way_back(
    new_world: Any, tmp_path: Path, release_before: Path
) -> None:
    world: World = new_world()
    migrated_by(world, release_before)
    told = {"CALLER_DATA_DIR": str(world.settings.data_dir), "PATH": os.environ["PATH"]}
    copy = copied(Place("sqlite", {}, told), tmp_path)
    code, said = command(world, "check")
    assert (code, "tables of an older release" in said) == (0, True), said
    world.start_gateway()
    customer = await world.new_customer()
    await customer.ordinary_call()
    await customer.http.aclose()
    await world.assert_books_balance()
    assert world.gateway.terminate() == 0
    assert command(world, "ledger", "audit")[0] == 0

    # The release before refuses what it does not know, and takes the copy.
    code, said = command(world, "check", sources=release_before)
    assert (code, "made by another release of Caller" in said) == (3, True), said
    code, said = command(world, "serve", sources=release_before)
    assert (code, "another release of Caller" in said) == (3, True), said
    back: World = new_world(CALLER_DATA_DIR=str(tmp_path / "back"))
    shutil.rmtree(tmp_path / "back")
    run("backup.md", "restore-sqlite", {**told, **copy, **back.environ}, tmp_path)
    code, said = command(back, "check", sources=release_before)
    assert (code, "older release" in said) == (0, False), said
