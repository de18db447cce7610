"""The documentation is true: generated parts are current, links lead somewhere, commands exist."""

import ast
import json
import re
from pathlib import Path

import pytest

from docs import api_summary, button_limits
from docs.generate import (
    SDK,
    configuration,
    languages,
    operations_and_codes,
    privacy,
    sdk_error_words,
    sdk_errors,
    webhooks,
)
from gateway import settings_table
from gateway.browser import messages
from gateway.carriers.twilio import refusals
from gateway.cli.app import COMMANDS
from gateway.openapi import document, operations
from gateway.settings import SETTINGS_FILE
from gateway.telemetry import spans
from gateway.webhooks.events import CALL_ENDED
from tests.trees import tree_of

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def test_generated_parts_are_current():
    """`make docs` writes them anew."""
    published = json.loads((ROOT / "docs/wire/browser-v1.schema.json").read_text())
    assert published == messages.schema()
    summary = (ROOT / "docs/wire/api-v1.txt").read_text()
    assert summary == api_summary.text(document())
    listed = f"## Operations\n\n{operations_and_codes()}"
    assert (ROOT / "docs/api.md").read_text().endswith(listed)
    assert (ROOT / "docs/sdk.md").read_text().endswith(f"## Errors\n\n{sdk_errors()}")
    assert (SDK / "error-words.ts").read_text() == sdk_error_words()
    assert (ROOT / "docs/configuration.md").read_text().endswith(configuration())
    assert (ROOT / "docs/PRIVACY.md").read_text().endswith(privacy())
    assert (ROOT / "docs/webhooks.md").read_text().endswith(f"## Events\n\n{webhooks()}")
    assert (ROOT / "docs/telemetry.md").read_text().endswith(f"## Spans\n\n{spans.markdown()}")
    limits = f"## Limits\n\n{button_limits.markdown()}"
    assert (ROOT / "docs/buttons.md").read_text().endswith(limits)
    assert (ROOT / "docs/carrier.md").read_text().endswith(f"## Codes\n\n{refusals.markdown()}")
    words = (ROOT / "docs/design/0029-words.md").read_text()
    assert words.endswith(f"## Languages\n\n{languages()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_back_ends_are_shown_as_they_are_run():
    """tests/calls/test_back_ends.py runs each of them."""
    shown = dict(
        re.findall(
            r"^```\w+ (call.token\.\w+)\n(.*?)^```$",
            (ROOT / "docs/buttons.md").read_text(),
            re.M | re.S,
        )
    )
    assert shown == {path.name: path.read_text() for path in ROOT.glob("examples/back-ends/*")}


def test_every_event_that_is_told_is_listed():
    section = (ROOT / "docs/webhooks.md").read_text().partition("\n## Events\n")[2]
    event = re.compile(r"(?:payment|auto_top_up|call)\.(?!html)[a-z_]+")
    listed = {
        name for name in re.findall(r"^### `([^`]+)`$", section, re.M) if event.fullmatch(name)
    }
    told = {
        node.value
        for path in ROOT.glob("gateway/**/*.py")
        if "webhooks" not in path.parts
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and event.fullmatch(node.value)
    }
    # Of an ended call a row tells, whose type is named in the list alone.
    assert told | {CALL_ENDED} == listed


WARNINGS = {"warning": "warning", "error": "error", "exception": "error", "critical": "critical"}
"""Method of a logger -> the level it writes at."""

LOGGING = [
    path
    for package in ("gateway", "billing", "accounts", "database")
    for path in ROOT.glob(f"{package}/**/*.py")
]


def warnings_written():
    """Yield every warning of a node and its drainer: event, level, fields."""
    for path in LOGGING:
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Call(ast.Attribute(ast.Name("log" | "_log"), method), [first, *_]):
                    fields = {each.arg for each in node.keywords} - {None, "exc_info"}
                    either = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                    # What is not written out where it is logged has its row all the same.
                    for event in either:
                        if method in WARNINGS and isinstance(event, ast.Constant):
                            yield str(event.value).replace("%s", "…"), WARNINGS[method], fields


def test_every_warning_is_listed_with_its_level_and_fields():
    text = (ROOT / "docs/operations.md").read_text()
    section = text.partition("\n## Other events\n")[2].partition("\n## ")[0]
    rows = [row.split(" | ") for row in section.splitlines() if row.startswith("| `")]
    listed = {name: row for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    for event, level, fields in warnings_written():
        assert event in listed, event
        assert level in listed[event][1], event
        assert fields <= set(re.findall(r"`([^`]+)`", listed[event][3])), event
    written = "\n".join(path.read_text() for path in LOGGING).replace("%s", "…")
    assert [name for name in listed if f'"{name}"' not in written] == []


def test_every_request_that_is_told_of_is_an_operation():
    known = {f"{each.method} {each.path}" for _, each in operations()}
    guide = (ROOT / "docs/api.md").read_text().partition("\n## Operations\n")[0]
    told = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /v1/[^`? ]*)", guide))
    assert len(told) > 5
    assert told - known == set()


def test_commands_named_in_the_documents_exist():
    for page in PAGES:
        named = set(re.findall(r"(?:`|bin/)caller ([a-z]+)", page.read_text()))
        assert named <= COMMANDS.keys(), page


def test_make_targets_named_in_the_documents_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", page.read_text(), re.MULTILINE))
        assert {a or b for a, b in named} <= targets, page


def test_every_setting_named_in_the_documents_exists():
    known = settings_table.markdown()
    # The file of settings itself, a variable of the tests, and those of caller-remote.
    remote = {f"CALLER_REMOTE_{name}" for name in ("URL", "KEY", "KEY_FILE")}
    elsewhere = {SETTINGS_FILE, "CALLER_CHROMIUM", *remote}
    for page in PAGES:
        for name in re.findall(r"CALLER_[A-Z_]*[A-Z]", page.read_text()):
            assert f"`{name}`" in known or name in elsewhere, (page, name)


def test_what_is_said_to_keep_a_security_requirement_is_there():
    text = (ROOT / "docs/security.md").read_text()
    rows = [row for row in text.splitlines() if re.match(r"\| \d", row)]
    named = {each for row in rows for each in re.findall(r"`([\w/]+/[\w./]+\.\w+)`", row)}
    assert len(named) > 30
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []
    # Each says what keeps it, or why nothing does.
    kept = r"`\w[^`]+`|does not apply: |not kept: |there (is|are) none|\]\(|\(0009\)"
    assert [row for row in rows if not re.search(kept, row.rsplit("|", 2)[1])] == []
