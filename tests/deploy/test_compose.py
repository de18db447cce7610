"""The files of Compose: by Compose's own schema, and for what they promise."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.settings import SECRET_FILES, Settings
from gateway.settings_variables import from_mapping
from gateway.stores.secret_files import filled
from tests.deploy.compose import (
    DEPLOY,
    ROLES,
    SCHEMA,
    SECRETS,
    environment,
    of_env_file,
    of_image,
    read,
    seconds,
)

FILES = sorted(DEPLOY.glob("compose*.yaml"))
SITE = {"CALLER_SITE": "calls.example.com"}
NODES = ("n1", "n2")
GATEWAY = ("web", *NODES, "worker")
STOPPING_S = 40
"""What a node may take beside its drain, by docs/operations.md."""
HOUSE = read(ROLES)
SERVICES: dict[str, dict[str, Any]] = HOUSE["services"]
TOKEN = "0f" * 16


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_compose_understands_every_file(file: Path) -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(read(file))] == []
    broken = read(file)
    next(iter(broken["services"].values()))["readonly"] = True
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid", "ipc", "network_mode", "devices"} & set(service)
    # Nothing of the host is mounted to be written, and no program of it is reached.
    for volume in service.get("volumes", ()):
        source, _, place = volume.partition(":")
        assert source in HOUSE["volumes"] or place.endswith(":ro"), volume
        assert "docker.sock" not in volume
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_none_is_root_but_the_proxy_which_may_only_take_its_ports() -> None:
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    for name, service in SERVICES.items():
        own = name in GATEWAY
        assert own == ("build" in service)
        if name == "caddy":
            assert service["cap_add"] == ["NET_BIND_SERVICE"]
        else:
            assert own or service["user"] == name
            assert "cap_add" not in service


def test_each_service_is_asked_how_it_is_but_the_one_that_listens_nowhere() -> None:
    assert "\nHEALTHCHECK " in (DEPLOY.parent / "Dockerfile").read_text()
    for name, service in SERVICES.items():
        found = service.get("healthcheck")
        assert (found is None) == (name in GATEWAY and name != "worker")
        assert found is None or found == {"disable": True} or found["test"][0] == "CMD"


def test_calls_may_end_by_themselves_before_a_container_is_killed() -> None:
    whole = read(DEPLOY / "compose.yaml")["services"]["caller"]
    assert seconds(whole["stop_grace_period"]) > Settings().drain_timeout_s + STOPPING_S
    for name in (*GATEWAY, "caddy"):
        patience_s = seconds(SERVICES[name]["stop_grace_period"])
        assert patience_s > settings_of("n1").drain_timeout_s + STOPPING_S


def test_only_the_proxy_and_the_audio_are_reached_from_outside() -> None:
    ports = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert ports.pop("caddy") == ["80:80", "443:443"]
    assert set(ports) == set(NODES)
    for name, (port,) in ports.items():
        number = settings_of(name).udp_port or settings_of(name).port
        # Browsers are told the number that the node listens on.
        assert port == f"{number}:{number}/udp"
    # The stores are in a network from which nobody gets out.
    assert HOUSE["networks"]["back"] == {"internal": True}
    assert [SERVICES[name]["networks"] for name in ("valkey", "postgres")] == [["back"], ["back"]]


def settings_of(name: str, secrets: Path | None = None) -> Settings:
    """Return the settings of a service, without its secrets or with those of a folder."""
    given = {
        **of_image(),
        **of_env_file((DEPLOY / "caller.env.example").read_text()),
        **environment(SERVICES[name], SITE),
    }
    if secrets is None:
        return from_mapping({k: v for k, v in given.items() if k not in SECRET_FILES.values()})
    return from_mapping(filled({k: v.replace(SECRETS, f"{secrets}/") for k, v in given.items()}))


def test_every_role_runs_once_and_each_node_by_its_name() -> None:
    assert [SERVICES[name]["command"] for name in GATEWAY] == [
        ["serve", "--role", role] for role in ("web", "media", "media", "worker")
    ]
    for name in GATEWAY:
        read_settings = settings_of(name)
        assert read_settings.origin == "https://calls.example.com"
        assert str(read_settings.data_dir) == "/data"
        # Each has its own.
        assert SERVICES[name]["volumes"] == [f"{name}:/data"]
    assert [settings_of(name).node for name in NODES] == list(NODES)
    assert len({SERVICES[name]["cpu_shares"] for name in NODES}) == 1
    shares = [SERVICES[name]["cpu_shares"] for name in ("n1", "web", "worker")]
    assert shares == sorted(shares, reverse=True)


def test_the_proxy_is_believed_and_nobody_else() -> None:
    address = SERVICES["caddy"]["networks"]["front"]["ipv4_address"]
    (subnet,) = HOUSE["networks"]["front"]["ipam"]["config"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network(subnet["subnet"])
    for name in GATEWAY:
        assert settings_of(name).trusted_proxies == (f"{address}/32",)
        assert SERVICES[name]["networks"] == ["front", "back"]


def test_the_proxy_leads_to_each_node_and_all_else_to_the_pages() -> None:
    told = environment(SERVICES["caddy"], SITE)
    text = (DEPLOY / "Caddyfile.nodes").read_text()
    asked = set(re.findall(r"\{\$(\w+)", text))
    assert asked == set(told)
    for node in NODES:
        handled = text.partition(f"handle /n/{node}/* {{\n")[2].partition("\n")[0]
        assert f"{{$CALLER_{node.upper()}:" in handled
        assert told[f"CALLER_{node.upper()}"] == f"{node}:{settings_of(node).port}"
    assert told["CALLER_OTHERS"] == f"web:{settings_of('web').port}"


def test_secrets_are_files_and_each_service_has_its_own_alone() -> None:
    for name, service in SERVICES.items():
        given = service.get("secrets", [])
        named = {
            value.removeprefix(SECRETS): variable
            for variable, value in environment(service, SITE).items()
            if variable.endswith("_FILE")
        }
        assert sorted(named) == sorted(given), name
        assert not set(environment(service, SITE)) & set(SECRET_FILES)
        assert not re.search(r"PASSWORD|TOKEN|KEY", " ".join(environment(service, SITE).values()))
    for name, secret in HOUSE["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}
    used = {each for service in SERVICES.values() for each in service.get("secrets", [])}
    assert used == set(HOUSE["secrets"])
    assert "\n/deploy/secrets/\n" in (DEPLOY.parent / ".gitignore").read_text()


def make_secrets(folder: Path, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder that has a copy of it."""
    script = folder / "make_secrets.sh"
    script.write_bytes((DEPLOY / "make_secrets.sh").read_bytes())
    return subprocess.run(
        ["sh", str(script)], input=token, capture_output=True, text=True, check=False, timeout=30
    )


def test_secrets_are_made_once_and_the_gateway_takes_them(tmp_path: Path) -> None:
    assert make_secrets(tmp_path, f"{TOKEN}\n").returncode == 0
    folder = tmp_path / "secrets"
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == set(HOUSE["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    # A container has another user.
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    assert len(set(made.values())) == len(made)
    settings = settings_of("web", folder)
    assert settings.twilio_auth_token.reveal() == TOKEN
    assert settings.redis_url.reveal() == f"redis://caller:{made['valkey_password']}@valkey:6379/0"
    assert made["database_password"] in settings.database_url.reveal()
    assert [key.reveal() for key in settings.second_factor_keys] == [made["second_factor_keys"]]
    # What is there stays, and what is missing is made again.
    (folder / "postgres_password").unlink()
    assert make_secrets(tmp_path, "").returncode == 0
    again = {file.name: file.read_text() for file in folder.iterdir()}
    assert again.pop("postgres_password") != made.pop("postgres_password")
    assert again == made


def test_without_a_token_it_is_asked_for_again_and_nothing_else_is_lost(tmp_path: Path) -> None:
    failed = make_secrets(tmp_path, "")
    assert (failed.returncode, "secrets/twilio_auth_token" in failed.stderr) == (1, True)
    before = (tmp_path / "secrets" / "valkey_password").read_text()
    assert not (tmp_path / "secrets" / "twilio_auth_token").exists()
    assert make_secrets(tmp_path).returncode == 0
    assert (tmp_path / "secrets" / "valkey_password").read_text() == before
    shown = failed.stdout + failed.stderr
    assert before not in shown


def test_without_the_file_of_its_password_no_store_is_started(tmp_path: Path) -> None:
    for script, variable in (
        ("valkey.sh", "VALKEY_PASSWORD_FILE"),
        ("postgres.sh", "DATABASE_PASSWORD_FILE"),
    ):
        for program in ("valkey-server", "psql"):
            (tmp_path / program).write_text("#!/bin/sh\ntouch started\n")
            (tmp_path / program).chmod(0o755)
        done = subprocess.run(
            ["sh", str(DEPLOY / script)],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", variable: str(tmp_path / "missing")},
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode != 0
        assert not (tmp_path / "started").exists()
