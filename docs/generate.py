"""Writes the parts of the documentation that follow from the code: `python -m docs.generate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from accounts.not_personal import NOT_PERSONAL
from accounts.personal_data import KindOfData
from docs import api_summary, button_limits
from gateway import settings_table
from gateway.browser import messages
from gateway.carriers.twilio import refusals
from gateway.data_map import HOSTS, KINDS
from gateway.http.operation import Operation
from gateway.limits import fraud, velocity
from gateway.openapi import document, operations
from gateway.problems import PROBLEMS
from gateway.scopes import Scope
from gateway.telemetry import spans
from gateway.watching.alarms import PARTS_AFTER_S, RULES, AlarmRule
from gateway.webhooks.events import EVENT_TYPES, body_of
from gateway.words.data_map import Kept, list_in, row_in, words_in
from gateway.words.languages import LANGUAGES, read_part

DOCS = Path(__file__).parent

SDK = DOCS.parent / "web/src/sdk"
"""The browser SDK; `errors.json` there has the errors that begin on the page."""

_EXAMPLE_AT = datetime(2026, 11, 28, 12, 1, 8, tzinfo=UTC)


def codes() -> str:
    """Return the table of all refusals."""
    rows = [
        f"| `{code}` | {p.status} | {'yes' if p.retry else ''} | {p.message} | {p.action} |"
        for code, p in PROBLEMS.items()
    ]
    head = ["| code | HTTP | retry | meaning | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def sdk_errors() -> str:
    """Return the table of all errors of the SDK: those of the page, then the gateway's refusals."""
    own = [
        f"| `{code}` | {'yes' if error['retry'] else ''} | {error['title']} | {error['action']} |"
        for code, error in _own_errors().items()
    ]
    refusals = [
        f"| `{code}` | {'yes' if p.retry else ''} | {p.message} | {p.action} |"
        for code, p in PROBLEMS.items()
    ]
    head = ["| code | retry | title | action |", "|---|---|---|---|"]
    return "\n".join([*head, *own, *refusals]) + "\n"


def sdk_error_words() -> str:
    """Return the module of the SDK with all codes, and the words of the page's own errors."""
    own = _own_errors()
    words = [
        f"  {code}: [\n    {_quoted(error['title'])},\n    {_quoted(error['action'])},\n"
        f"    {str(error['retry']).lower()},\n  ],"
        for code, error in own.items()
    ]
    return "\n".join(
        [
            "/**",
            " * The codes of all errors, and the words of those that begin on the page. Written by",
            " * docs/generate.py from errors.json and gateway/errors.py.",
            " */\n",
            "/** What fails on the page. */",
            f"export type OwnCode ={_union(own)};\n",
            "/** What the gateway refuses for. */",
            f"export type GatewayCode ={_union(PROBLEMS)};\n",
            "/** Code -> what has happened, what to do, and whether the same may succeed later. */",
            "export type OwnWords = Record<OwnCode, readonly [string, string, boolean]>;\n",
            "export const OWN_WORDS: OwnWords = {",
            *words,
            "};\n",
        ]
    )


def _own_errors() -> dict[str, dict[str, Any]]:
    errors: dict[str, dict[str, Any]] = json.loads((SDK / "errors.json").read_text())
    return errors


def _union(codes: Iterable[str]) -> str:
    return "".join(f"\n  | '{code}'" for code in codes)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def configuration() -> str:
    """Return the tables of all settings, of the velocity limits and of the rules of admission."""
    limits = f"## Velocity limits\n\n{VELOCITY}\n\n{velocity.markdown()}"
    rules = f"## Rules of admission\n\n{ADMISSION}\n\n{fraud.markdown()}"
    return f"{settings_table.markdown()}\n{limits}\n{rules}"


VELOCITY = """\
How often an account, a key, a client address (in IPv6 its /64) and a number may be used: counted in
Valkey for all nodes together and, while that is away, by each node for itself. What is too much is
answered 429 with `Retry-After`. `CALLER_VELOCITY_LIMITS` changes the limits by name, such as
`account_calls_minute=120,number_calls_hour=off`; `all=off` is for tests. An operator who raises
`CALLER_ACCOUNT_CALLS_MAX` raises the limits of accounts and keys too."""


ADMISSION = """\
A call is admitted by these rules, asked in this order; the first that refuses is told, with its
code. Those that hold for accounts of people leave accounts alone that an operator has made for a
program. A rule that an operator can lift is lifted from one account until a moment, with a reason:
`caller fraud allow`."""


def privacy() -> str:
    """Return the data map: kinds, what tells of no person, and the services that are contacted."""
    words = words_in("en")
    kinds = [
        "| kind | what | what for | how long | who sees it | when the account is deleted |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(row_in(words, kind, Kept()))} |" for kind in KINDS),
    ]
    places = [
        "| kind | where | why so long | corrected | exported |",
        "|---|---|---|---|---|",
        *(_place_row(words, kind) for kind in KINDS),
    ]
    others = ["| names | why |", "|---|---|"]
    others += [
        f"| {', '.join(f'`{name}`' for name in each.names)} | {each.reason} |"
        for each in NOT_PERSONAL
    ]
    hosts = ["| setting | what for | who |", "|---|---|---|"]
    hosts += [
        f"| `{host.setting}` | {list_in(words, 'purpose', host.purposes)}"
        f" | {words[f'viewer.{host.viewer}']} |"
        for host in HOSTS
    ]
    return "\n".join(
        [
            *kinds,
            "\n## Where\n\nColumns are `table.column` of SQL, keys those of Valkey.\n",
            *places,
            "\n## What tells of no person\n",
            *others,
            "\n## Services that are contacted\n\nNothing else is contacted by a node of its own"
            " accord.\n",
            *hosts,
            "",
        ]
    )


def _place_row(words: Mapping[str, str], kind: KindOfData) -> str:
    where = [
        *(f"`{columns.table}`: {', '.join(columns.names)}" for columns in kind.sql),
        *(f"key `{key.template}`" for key in kind.valkey),
        *(f"log field `{name}`" for name in kind.logs),
        *kind.services,
    ]
    kept = "" if kind.is_exported else f"no: {kind.not_exported}"
    corrected = f"`{kind.corrected_at}`" if kind.corrected_at else ""
    cells = (
        words[f"kind.{kind.name}"],
        "; ".join(where),
        kind.period.reason,
        corrected,
        kept,
    )
    return f"| {' | '.join(cells)} |"


def alarms() -> str:
    """Return the table of the rules of alarms."""
    rows = [
        f"| `{rule.name}` | {rule.title.format(subject='…', value='…')}"
        f" | {_bound(rule, rule.raise_at)}{_held(rule.raise_after_s)}{_parts(rule)}"
        f" | {_bound(rule, rule.clear_at)}{_held(rule.clear_after_s)} | {rule.action} |"
        for rule in RULES
    ]
    head = ["| rule | says | raised at | over at | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _parts(rule: AlarmRule) -> str:
    return f" (a prefix {_held(PARTS_AFTER_S).strip(', ')})" if rule.has_parts else ""


def webhooks() -> str:
    """Return each type of event: when it is told, and an example of it."""
    parts = []
    for event in EVENT_TYPES.values():
        audience = "" if event.is_of_account else " Only the operator's endpoint receives it."
        example = msgspec.json.decode(body_of(event.name, _EXAMPLE_AT, event.example))
        shown = json.dumps(example, ensure_ascii=False, indent=2)
        parts.append(
            f"### `{event.name}`\n\nSent when {event.when}.{audience}\n\n```json\n{shown}\n```\n"
        )
    return "\n".join(parts)


def _bound(rule: AlarmRule, value: float) -> str:
    return f"{value / rule.scale:g} {rule.unit}".strip()


def _held(seconds: float) -> str:
    return f", for {seconds:g} s" if seconds else ""


def operations_and_codes() -> str:
    """Return the tables of all operations, by group, and that of all refusals."""
    parts = []
    for group, listed in groupby(operations(), key=lambda each: each[0]):
        parts += [f"### {group}\n", "| request | scope | what it does |", "|---|---|---|"]
        parts += [_operation_row(operation) for _, operation in listed]
        parts.append("")
    return "\n".join([*parts, f"## Codes\n\n{codes()}"])


def _operation_row(operation: Operation) -> str:
    scope = f"`{operation.needs}`" if isinstance(operation.needs, Scope) else ""
    words = " ".join(operation.text.split()).replace("|", "\\|")
    return f"| `{operation.method} {operation.path}` | {scope} | {words} |"


def languages() -> str:
    """Return the table of all languages."""
    rows = [
        "| `{code}` | {name} | {home} | {voice} |".format(code=code, **read_part(code, "language"))
        for code in LANGUAGES
    ]
    head = ["| folder | language | likeliest country | voice |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def replace_after(path: Path, heading: str, text: str) -> None:
    """Write `text` in place of everything after a heading."""
    kept = path.read_text().partition(heading)[0]
    path.write_text(f"{kept}{heading}\n\n{text}")


def main() -> None:
    """Write them all."""
    schema = json.dumps(messages.schema(), indent=2)
    (DOCS / "wire" / "browser-v1.schema.json").write_text(schema + "\n")
    (DOCS / "wire" / "api-v1.txt").write_text(api_summary.text(document()))
    replace_after(DOCS / "api.md", "## Operations", operations_and_codes())
    replace_after(DOCS / "sdk.md", "## Errors", sdk_errors())
    (SDK / "error-words.ts").write_text(sdk_error_words())
    replace_after(DOCS / "configuration.md", "## Settings", configuration())
    replace_after(DOCS / "alarms.md", "## Rules", alarms())
    replace_after(DOCS / "webhooks.md", "## Events", webhooks())
    replace_after(DOCS / "PRIVACY.md", "## Kinds", privacy())
    replace_after(DOCS / "telemetry.md", "## Spans", spans.markdown())
    replace_after(DOCS / "buttons.md", "## Limits", button_limits.markdown())
    replace_after(DOCS / "carrier.md", "## Codes", refusals.markdown())
    replace_after(DOCS / "design" / "0029-words.md", "## Languages", languages())


if __name__ == "__main__":
    main()
