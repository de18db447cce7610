"""The SDK as files: complete, small, typed, and importable where there is no browser."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.conftest import WEB
from tests.web.sdk_project import (
    ROOT,
    SIZES_MAX,
    Project,
    copied,
    documented_source,
    migration_source,
    pack,
)

PUBLIC = [
    "Call",
    "Caller",
    "CallerError",
    "Devices",
    "MICROPHONE_LOST",
    "MICROPHONE_MUTED",
    "MICROPHONE_SILENT",
    "elapsedSeconds",
    "fetchToken",
    "speaking",
]
"""All that the SDK promises, by name."""

ENTRANCES = {
    "core",
    "check",
    "devices",
    "supervision",
    "call/end-kept",
    "call/sound-choosing",
    "call/tones",
    # Shown whole at /design.
    "error-words",
}
"""What pages import of the SDK: what calls need, and what is loaded when it is wanted."""


@pytest.fixture(scope="module")
def package(node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("npm"):
        pytest.skip("Needs npm.")
    return pack(node, tmp_path_factory.mktemp("package") / "sdk")


@pytest.fixture
def project(node: str, package: Path, tmp_path: Path) -> Project:
    return Project.make(tmp_path, node, package)


def test_package_is_complete_and_has_no_sources(package: Path) -> None:
    done = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"],
        cwd=package,
        check=True,
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    [listing] = answer if isinstance(answer, list) else answer.values()
    names = {file["path"] for file in listing["files"]}
    assert names >= {*SIZES_MAX, "package.json", "README.md", "LICENSE", "types/index.d.ts"}
    others = {name for name in names if not name.endswith((".js", ".d.ts", ".json", ".md"))}
    assert others == {"LICENSE"}
    described = json.loads((package / "package.json").read_text())
    assert "dependencies" not in described
    assert described["version"] == listing["version"]


def test_package_is_imported_where_there_is_no_browser(package: Path, node: str) -> None:
    script = f"import * as sdk from {json.dumps((package / 'caller.js').as_uri())};" + (
        "const caller = new sdk.Caller();"
        "const seen = [Object.keys(sdk), caller.activeCall ?? null, sdk.MICROPHONE_SILENT];"
        "console.log(JSON.stringify(seen));"
    )
    done = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        check=True,
        capture_output=True,
        text=True,
    )
    names, call, warning = json.loads(done.stdout)
    assert names == PUBLIC
    assert (call, warning) == (None, "microphone-silent")


def test_files_are_small(package: Path) -> None:
    for name, most in SIZES_MAX.items():
        assert len(gzip.compress((package / name).read_bytes(), 9)) <= most, name


def test_the_gateway_serves_what_is_packed(package: Path, built_pages: Path) -> None:
    served = built_pages / "sdk"
    assert len(gzip.compress((served / "caller.js").read_bytes(), 9)) <= SIZES_MAX["caller.js"]
    text = (served / "caller.js").read_text()
    for name in ("worklets", "socket-worker"):
        [file] = served.glob(f"{name}-*.js")
        assert file.name in text
        assert file.read_bytes() == (package / f"{name}.js").read_bytes()
    for file in served.glob("*.js"):
        assert file.with_name(f"{file.name}.br").is_file()
        assert gzip.decompress(file.with_name(f"{file.name}.gz").read_bytes()) == file.read_bytes()


def test_the_ten_lines_are_those_of_the_documents() -> None:
    body = (ROOT / "examples/ten-line-phone.html").read_text().partition("<input")[2]
    assert body.strip() in (ROOT / "docs/sdk.md").read_text()
    tags = ('<script type="module">', "</script>")
    assert len([line for line in body.splitlines() if line not in tags]) == 10


def test_the_sdk_imports_nothing_else_and_pages_only_the_sdk() -> None:
    sdk = WEB / "src/sdk"
    for path in WEB.glob("src/**/*.ts"):
        for name in re.findall(r"(?:from|import) '([^']+)'", path.read_text()):
            target = (path.parent / name).resolve()
            is_own = name.startswith(".") and target.is_relative_to(sdk)
            if path.is_relative_to(sdk):
                assert is_own, (path, name)
            elif is_own:
                assert target.relative_to(sdk).as_posix() in ENTRANCES, (path, name)


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_types_serve_strict_projects(project: Project, resolution: str) -> None:
    copied("react-hook.tsx", project.folder)
    (project.folder / "migration.ts").write_text(migration_source())
    (project.folder / "documented.ts").write_text(documented_source())
    assert project.compile(resolution) == ""


@pytest.fixture(scope="module")
def tarball(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tarball")
    command = ["npm", "pack", "--silent", "--pack-destination", folder]
    subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL)
    [made] = folder.glob("caller-sdk-*.tgz")
    return made


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_what_is_packed_serves_an_empty_project(
    node: str, tarball: Path, tmp_path: Path, resolution: str
) -> None:
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run([*install, tarball], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    installed = tmp_path / "node_modules/caller-sdk"
    assert installed.is_dir()
    assert not installed.is_symlink()
    page = (ROOT / "examples/ten-line-phone.html").read_text()
    script = page.partition('<script type="module">')[2].partition("</script>")[0]
    # What a program in TypeScript has to say besides: the package, and what is in the page.
    changes = {
        "https://calls.example.com/sdk/v1/caller.js": "caller-sdk",
        "'input, button, output')": "'input, button, output') as unknown as "
        "[HTMLInputElement, HTMLButtonElement, HTMLOutputElement]",
    }
    for before, after in changes.items():
        assert before in script
        script = script.replace(before, after)
    (tmp_path / "phone.ts").write_text(script)
    assert Project(tmp_path, node).compile(resolution) == ""
    (tmp_path / "phone.ts").write_text(script.replace("number.value", "42"))
    assert "phone.ts" in Project(tmp_path, node).compile(resolution)


def test_types_refuse_what_is_wrong(project: Project) -> None:
    wrong = """
import { Caller } from 'caller-sdk';
const call = new Caller().call('+15005551000');
call.on('volume', (level: string) => level);
call.on('answered', () => {});
call.mute('on');
"""
    (project.folder / "wrong.ts").write_text(wrong)
    found = project.compile("bundler")
    assert re.findall(r"wrong\.ts\((\d+),\d+\): error", found) == ["4", "5", "6"]
