"""What is built of the API: the document in the gateway, and the client's modules from that."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from build_api import DOCUMENT, STAMP, ApiDocument
from build_client import RUFF, Client, ClientModules

from docs import api_summary
from gateway.openapi import document

ROOT = Path(__file__).parents[2]
BUILT = {"openapi.json", "openapi.stamp", "operations.py", "shapes.py"}
NEEDED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
BUILD_TIMEOUT_S = 600


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What git has of the packages that are built from."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert not BUILT & {Path(name).name for name in listed.stdout.decode().split("\0")}
    left_out = shutil.ignore_patterns("__pycache__", "static", "*.so", "node_modules", *BUILT)
    for name in ("accounts", "billing", "client", "database", "deploy", "gateway", "media", "web"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copytree(ROOT / "simulators", tmp_path / "simulators", ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def times(*files: Path) -> list[int]:
    return [file.stat().st_mtime_ns for file in files]


def test_a_fresh_checkout_makes_both_once_and_again_after_a_change(tree: Path) -> None:
    api, client = ApiDocument(tree), ClientModules(tree / "client")
    assert api.dependencies() == NEEDED
    assert client.dependencies() == [*NEEDED, RUFF]
    client.build()
    package = tree / "client/caller_client"
    files = [tree / DOCUMENT, package / "operations.py", package / "shapes.py"]
    made = json.loads(msgspec.json.encode(document()))
    assert json.loads(files[0].read_bytes()) == made
    written = Client(made)
    for file, source in zip(files[1:], (written.operations(), written.shapes()), strict=True):
        mark, _, rest = file.read_text().partition("\n")
        assert mark.startswith("# Made from sha256 ")
        assert rest == source
    assert (api.dependencies(), client.dependencies()) == ([], [])

    before = times(*files)
    client.build()
    assert times(*files) == before

    # What says nothing new of the API leaves the client alone.
    with (tree / "billing/money.py").open("a") as module:
        module.write("\n# A remark.\n")
    assert api.dependencies() == NEEDED
    client.build()
    after = times(*files)
    assert (after[0] > before[0], after[1:]) == (True, before[1:])

    rates = tree / "gateway/http/api/rates.py"
    rates.write_text(rates.read_text().replace("async def find_rate(", "async def look_up_rate("))
    client.build()
    assert "def look_up_rate(" in files[1].read_text()

    # As from an sdist of the client: what was built is taken as it is.
    shutil.copytree(tree / "client", tree / "alone/client")
    alone = ClientModules(tree / "alone/client")
    assert alone.dependencies() == []
    alone.build()
    assert (tree / "alone/client/caller_client/shapes.py").read_text() == files[2].read_text()


def test_a_document_that_was_lost_is_made_anew(tree: Path) -> None:
    (tree / STAMP).write_text(ApiDocument(tree)._digest())
    assert ApiDocument(tree).dependencies() == NEEDED


def test_a_document_that_cannot_be_made_ends_the_build(tree: Path) -> None:
    (tree / "gateway/openapi.py").write_text("raise SystemExit(3)")
    with pytest.raises(SystemExit, match="could not be made"):
        ApiDocument(tree).build()
    assert not (tree / DOCUMENT).exists()


def test_the_summary_shows_each_change_that_breaks_a_client() -> None:
    plain = json.loads(msgspec.json.encode(document()))
    lines = api_summary.text(plain).splitlines()
    token = next(line for line in lines if line.startswith("POST /v1/call-tokens: "))
    assert token == (
        "POST /v1/call-tokens: issue_call_token(TokenRequest)"
        " -> 201, TokenReply or VisitorTokenReply; calls"
    )
    schemas = plain["components"]["schemas"]

    def changed() -> list[str]:
        return [line for line in lines if line not in api_summary.text(plain).splitlines()]

    field = schemas["Money"]["properties"].pop("text")
    assert [line.partition(":")[0] for line in changed()] == ["Money"]
    schemas["Money"]["properties"]["text"] = {**field, "type": "integer"}
    assert [line.partition(":")[0] for line in changed()] == ["Money"]
    schemas["Money"]["properties"]["text"] = field
    assert changed() == []
    schemas["ActRequest"]["required"].append("more")
    schemas["ActRequest"]["properties"]["more"] = {"type": "string"}
    assert [line.partition(":")[0] for line in changed()] == ["ActRequest"]
    (limit,) = (
        each
        for each in plain["paths"]["/v1/ledger"]["get"]["parameters"]
        if each["name"] == "limit"
    )
    limit["schema"]["maximum"] = 100
    del plain["paths"]["/v1/account"]
    assert [line.partition(":")[0] for line in changed()][:2] == [
        "GET /v1/account",
        "GET /v1/ledger",
    ]


def pip(*words: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.thorough
@pytest.mark.timeout(2 * BUILD_TIMEOUT_S)
def test_a_client_installed_from_a_fresh_checkout_works(tree: Path) -> None:
    pip("install", "--no-deps", "--target", str(tree / "there"), "./client", folder=tree)
    asked = "from caller_client import Caller, shapes; print(Caller.show_account, shapes.Money)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", asked],
        env={"PYTHONPATH": str(tree / "there")},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "caller_client.shapes.Money" in done.stdout
