"""The services of `deploy/compose.roles.yaml` as processes of this machine: a call goes through.

Each runs the command and has the environment that the file gives it, secrets as files, behind Caddy
with its file and before the stores as their scripts set them up. What a container brings is left
out: its network, so that addresses are of this machine, and its file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import SECRET_FILES
from tests.calls.deployed_stores import deployed_postgres, deployed_valkey
from tests.calls.proxy import CADDY, caddy
from tests.calls.world import AUTH_TOKEN, ECHO, Customer, Process, World, eventually
from tests.deploy.compose import DEPLOY, ROLES, SECRETS, environment, of_image, read
from tests.valkey import free_port

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(CADDY is None, reason="caddy is not installed"),
]

SERVICES = read(ROLES)["services"]
GATEWAY = ("worker", "web", "n1", "n2")


@dataclass
class Site:
    """The gateway's services, and a customer who comes by the proxy."""

    world: World
    told: Callable[[str], dict[str, str]]
    """What the file tells a service, with places of this machine."""
    ports: dict[str, int]
    customer: Customer = field(init=False)
    processes: dict[str, Process] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Run the command of a service."""
        world = self.world
        kept = {k: v for k, v in world.environ.items() if k not in SECRET_FILES}
        places = {
            name: kept[name]
            for name in ("PATH", "CALLER_HOST", "CALLER_PUBLIC_ORIGIN", "CALLER_TRUSTED_PROXIES")
        }
        environ = {
            **kept,
            **of_image(),
            **self.told(name),
            **places,
            "CALLER_PORT": str(self.ports[name]),
            "CALLER_UDP_PORT": "0",
            "CALLER_DATA_DIR": str(world.folder / name),
        }
        command = SERVICES[name]["command"]
        process = Process(command, environ, world.folder / f"{name}.log")
        self.processes[name] = process
        if name != "worker":
            process.wait_for(f"http://127.0.0.1:{self.ports[name]}/healthz")

    async def takes_calls_at_both(self) -> bool:
        """Whether two calls at once are held by two nodes."""
        reply = await self.customer.http.post("/v1/call-tokens", json={"destination": ECHO})
        if reply.status_code != 201:
            return False
        return await self.nodes_of_two_calls() == {"n1", "n2"}

    async def nodes_of_two_calls(self) -> set[str]:
        """Return on which nodes two calls at once are held."""
        async with self.customer.call() as first, self.customer.call() as second:
            ids = [(await each.wait("ready"))["call_id"] for each in (first, second)]
            for phone in (first, second):
                await phone.wait("accept")
            live = (await self.customer.http.get("/v1/live-calls")).json()["calls"]
            assert {each["id"] for each in live} == set(ids)
            await first.hang_up()
            await second.hang_up()
        return {(await self.customer.record(each))["node"] for each in ids}


def secrets_of(folder: Path) -> Path:
    """Return the folder of secrets as the script makes it."""
    script = folder / "make_secrets.sh"
    script.write_bytes((DEPLOY / "make_secrets.sh").read_bytes())
    subprocess.run(["sh", script], input=AUTH_TOKEN, text=True, check=True, timeout=30)
    return folder / "secrets"


def rewrite(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


@pytest.fixture
async def site(new_world: Any, postgres_server: Any, tmp_path: Path) -> AsyncIterator[Site]:
    secrets, port = secrets_of(tmp_path), free_port()
    ports = {name: free_port() for name in GATEWAY}
    hosts = {f"{name}:8080": f"127.0.0.1:{ports[name]}" for name in GATEWAY}

    def told(service: str) -> dict[str, str]:
        given = environment(SERVICES[service], {"CALLER_SITE": "calls.example.com"})
        return {
            name: hosts.get(value, value.replace(SECRETS, f"{secrets}/"))
            for name, value in given.items()
        }

    async with contextlib.AsyncExitStack() as stack:
        valkey = stack.enter_context(deployed_valkey(tmp_path / "valkey", told("valkey")))
        postgres = stack.enter_context(
            deployed_postgres(postgres_server._binaries, told("postgres"))
        )
        redis_url = (secrets / "redis_url").read_text()
        rewrite(secrets / "redis_url", redis_url.replace("valkey:6379", f"127.0.0.1:{valkey.port}"))
        rewrite(secrets / "database_url", postgres.url("caller"))
        world = new_world(
            CALLER_REDIS_URL=(secrets / "redis_url").read_text(),
            CALLER_DATABASE_URL=postgres.url("caller"),
            CALLER_PUBLIC_ORIGIN=f"http://127.0.0.1:{port}",
            CALLER_TRUSTED_PROXIES="127.0.0.1",
            CALLER_ACCOUNT_CALLS_MAX="100",
        )
        site = Site(world, told, ports)
        stack.enter_context(
            caddy(tmp_path, {**told("caddy"), "CALLER_SITE": f"http://127.0.0.1:{port}"})
        )
        # In any order: each waits for no other.
        for name in GATEWAY:
            site.start(name)
        made = await world.new_customer(100_000_000)
        await made.http.aclose()
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}",
                headers={"authorization": f"Bearer {made.key}"},
                timeout=30,
            )
        )
        site.customer = Customer(world, made.account_id, made.key, client)
        yield site
        await world.assert_books_balance()
        for process in site.processes.values():
            assert process.terminate() == 0, process.log.read_text()


async def test_calls_are_made_on_both_nodes_charged_and_recorded(site: Site) -> None:
    await eventually(site.takes_calls_at_both, 40)
    whole = await site.customer.balance()
    record = await site.customer.ordinary_call()
    assert whole - await site.customer.balance() == record["cost"]["micros"]
    # Nobody but the files knows a secret: neither the environment of a process nor its arguments.
    known = [site.world.environ["CALLER_REDIS_URL"], AUTH_TOKEN]
    for process in site.processes.values():
        for pid in process.family():
            for what in ("environ", "cmdline"):
                text = Path(f"/proc/{pid}/{what}").read_bytes().decode()
                assert not any(each in text for each in known), what


async def test_no_call_is_refused_while_one_of_the_two_nodes_stops(site: Site) -> None:
    await eventually(site.takes_calls_at_both, 40)
    held: list[str] = []

    async def dial(number: int) -> None:
        # Twenty a second, from a second before the stop to some after it.
        await asyncio.sleep(number * 0.05)
        async with site.customer.call() as phone:
            held.append((await phone.wait("ready"))["call_id"])
            await phone.wait("accept")
            await phone.hang_up()

    dialling = [asyncio.create_task(dial(number)) for number in range(100)]
    await asyncio.sleep(1)
    site.processes["n2"].popen.terminate()
    await asyncio.gather(*dialling)
    assert len(set(held)) == 100
    assert site.processes["n2"].terminate() == 0
    # Those that come now are held by the other.
    assert (await site.customer.ordinary_call())["node"] == "n1"
