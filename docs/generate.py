"""Writes the parts of the documentation that follow from the code: `python -m docs.generate`."""

from __future__ import annotations

import json
from pathlib import Path

from gateway import settings
from gateway.browser import messages
from gateway.errors import PROBLEMS
from gateway.limits import velocity

DOCS = Path(__file__).parent


def codes() -> str:
    """Return the table of all refusals."""
    rows = [
        f"| `{code}` | {p.status} | {'yes' if p.retry else ''} | {p.message} | {p.action} |"
        for code, p in PROBLEMS.items()
    ]
    head = ["| code | HTTP | retry | meaning | what to do |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def configuration() -> str:
    """Return the tables of all settings and of the velocity limits."""
    return f"{settings.markdown()}\n## Velocity limits\n\n{VELOCITY}\n\n{velocity.markdown()}"


VELOCITY = """\
How often an account, a key, a client address (in IPv6 its /64) and a number may be used: counted in
Valkey for all nodes together and, while that is away, by each node for itself. What is too much is
answered 429 with `Retry-After`. `CALLER_VELOCITY_LIMITS` changes the limits by name, such as
`account_calls_minute=120,number_calls_hour=off`; `all=off` is for tests. An operator who raises
`CALLER_ACCOUNT_CALLS_MAX` raises the limits of accounts and keys too."""


def replace_after(path: Path, heading: str, text: str) -> None:
    """Write `text` in place of everything after a heading."""
    kept = path.read_text().partition(heading)[0]
    path.write_text(f"{kept}{heading}\n\n{text}")


def main() -> None:
    """Write them all."""
    schema = json.dumps(messages.schema(), indent=2)
    (DOCS / "wire" / "browser-v1.schema.json").write_text(schema + "\n")
    replace_after(DOCS / "api.md", "## Codes", codes())
    replace_after(DOCS / "configuration.md", "## Settings", configuration())


if __name__ == "__main__":
    main()
