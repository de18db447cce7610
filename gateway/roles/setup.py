"""Lists the steps of `caller setup`: those of the carrier, and those of every gateway.

The checks are those of `caller check`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.carriers.known import chosen
from gateway.carriers.port import CarrierAdapter
from gateway.finding import Finding
from gateway.roles import preflight, reach
from gateway.settings import PREFIX, Settings
from gateway.settings_variables import from_mapping
from gateway.setup_steps import Question, SetupStep

ORIGIN: Final = (
    Question("public_origin", "Public origin, such as https://calls.example.com", is_needed=True),
    Question("port", "TCP port here that the origin leads to"),
)
STORES: Final = (
    Question("data_dir", "Folder for what is kept on this machine"),
    Question("database_url", "URL of PostgreSQL; nothing for SQLite in that folder"),
    Question("redis_url", "URL of Redis or Valkey; nothing for the bundled one in that folder"),
)


_CARRIER: Final = f"{PREFIX}CARRIER"


async def _origin(settings: Settings) -> list[Finding]:
    found = preflight.callbacks(settings)
    found += await preflight.ports(settings, is_starting=False)
    return [*found, *await reach.findings(settings)]


async def _stores(settings: Settings) -> list[Finding]:
    return [
        *preflight.files(settings),
        *await preflight.credit_store(settings, is_starting=False),
        await preflight.database(settings),
    ]


def carrier_of(written: Mapping[str, str], environ: Mapping[str, str]) -> CarrierAdapter:
    """Return the carrier that the environment or else the file names. Raises SettingsError."""
    given = {**written, **environ}
    return chosen(from_mapping({_CARRIER: given[_CARRIER]} if _CARRIER in given else {}))


def steps(carrier: CarrierAdapter) -> Sequence[SetupStep]:
    """Return all steps, in the order in which they are asked."""
    return (
        *carrier.steps,
        # Before the origin, whose check looks at the stores for running nodes.
        SetupStep("The stores", STORES, _stores),
        SetupStep("The public origin", ORIGIN, _origin),
    )


def questions(carrier: CarrierAdapter) -> tuple[Question, ...]:
    """Return the questions of all steps."""
    return tuple(question for step in steps(carrier) for question in step.questions)
