"""One new figure of each unit, as somebody would add it: a row, a column, and words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from billing.figures import Unit


class New(NamedTuple):
    type: str
    sql: str
    value: object
    example: object
    csv: str
    page: str
    said: str
    """By `caller calls show`."""


NEW = {
    Unit.SECONDS: New("int", "sa.Integer()", 75, 75, "75", "1 min 15 s", "75 s"),
    Unit.COUNT: New("int", "sa.Integer()", 0, 4, "0", "0", "0"),
    Unit.MICROS: New(
        "int", "sa.BigInteger()", 2_500_000_000, 7, "2500.000000", "$2,500.00", "$2,500.00"
    ),
    Unit.RATIO: New("float", "sa.Float()", 0.125, 0.5, "0.125", "12.5%", "12.5%"),
    Unit.TEXT: New(
        "str",
        "sa.String(), nullable=False, server_default=sa.text(\"''\")",
        "=<b>west",
        "west",
        "'=<b>west",
        "=<b>west",
        "=<b>west",
    ),
    Unit.TIME: New(
        "datetime",
        "sa.DateTime(timezone=True)",
        datetime(2026, 11, 24, 12, 0, 3, tzinfo=UTC),
        "2026-11-28T12:00:03Z",
        "2026-11-24T12:00:03Z",
        "2026-11-24 12:00:03 UTC",
        "2026-11-24 12:00:03 UTC",
    ),
}


def name_of(unit: Unit) -> str:
    return f"echoed_{unit.name.lower()}"


_MIGRATION = '''"""New figures."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
{lines}
'''


def add_to(tree: Path) -> list[Path]:
    """Add the figures to a copy of the tree by hand; return the files that this takes."""
    versions = tree / "database/migrations/versions"
    newest = max(path.name for path in versions.glob("[0-9]*.py"))[:4]
    columns = [
        f'    op.add_column("calls", sa.Column("{name_of(unit)}", {new.sql}))'
        for unit, new in NEW.items()
    ]
    migration = versions / "9999_new_figures.py"
    migration.write_text(_MIGRATION.format(newest=newest, lines="\n".join(columns)))
    rows = "".join(
        f"    {name_of(unit)}: Annotated[{new.type} | None, "
        f"Figure(Unit.{unit.name}, ~Shown.NOWHERE, {new.example!r})] = None\n"
        for unit, new in NEW.items()
    )
    table = tree / "billing/cdr.py"
    before = "    browser: Annotated["
    text = table.read_text()
    assert text.count(before) == 1
    table.write_text(text.replace(before, f"{rows}{before}"))
    words = sorted((tree / "gateway/words").glob("*/data_map.toml"))
    for path in words:
        before = "\ncarrier_seconds ="
        text = path.read_text()
        assert text.count(before) == 1
        added = "".join(
            f'\n{name_of(u)} = "{path.parent.name} words {u.name.lower()}"' for u in NEW
        )
        path.write_text(text.replace(before, f"{added}{before}"))
    return [migration, table, *words]
