"""What `make test` leaves to `make test-all`, and why.

`make test` is hermetic and representative: it tells within minutes whether a change is right. What
needs other servers, browsers, compilers or minutes runs with `--thorough`, as does what is named on
the command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent

THOROUGH: dict[str, str] = {
    "benchmarks": "the benchmarks' own parts, and servers that they start",
    "billing/sql/test_gate_audit.py": "one fault for each key of the spend gate",
    "billing/sql/test_outages.py": "a database server that stands still or is killed",
    "billing/sql/test_planted_faults.py": "one fault for each column of the book",
    "calls/test_api.py": "whole calls in real time",
    "calls/test_back_ends.py": "programs of four languages",
    "calls/test_buttons.py": "whole calls in real time",
    "calls/test_carrier_faults.py": "faults of the carrier, one whole call each",
    "calls/test_credit.py": "whole calls that run out of credit",
    "calls/test_deploy.py": "proxies and database servers",
    "calls/test_ghosts.py": "nodes that are killed",
    "calls/test_logs.py": "whole calls at debug level",
    "calls/test_media_socket.py": "whole calls that break the protocol, each until a time-out",
    "calls/test_one_machine.py": "processes that are killed and stand still",
    "calls/test_outages.py": "stores that are killed",
    "calls/test_payments.py": "a payment service in a process of its own",
    "calls/test_personal_data.py": "whole calls in real time, and all that they leave",
    "calls/test_recovery.py": "nodes that are killed",
    "calls/test_shutdown.py": "processes that are killed",
    "calls/test_sound.py": "minutes of audio",
    "calls/test_supervised_calls.py": "whole calls in real time",
    "calls/test_tls.py": "whole calls over TLS",
    "calls/test_tokens.py": "tokens that grow old",
    "calls/test_traces.py": "machines of several processes",
    "calls/test_velocity.py": "hundreds of calls",
    "calls/test_webhooks.py": "whole calls in real time",
    "client/test_main.py": "processes of the command line",
    "contract": "the vendor's own description of its API, from npm",
    "e2e": "browsers",
    "gateway/cli/test_accounts.py": "commands on real stores",
    "gateway/cli/test_high_risk.py": "commands on a simulated carrier",
    "gateway/cli/test_ledger.py": "commands on real stores",
    "gateway/cli/test_outages.py": "commands while stores are away",
    "gateway/cli/test_payments.py": "commands on real stores and a payment service",
    "gateway/cli/test_process.py": "processes of the command line",
    "gateway/cli/test_retention.py": "commands on real stores",
    "gateway/payments/test_proof.py": "audits against a payment service",
    "gateway/payments/test_webhook_delivery.py": "webhooks that are delivered again after seconds",
    "gateway/roles/test_children.py": "processes that are killed or stand still",
    "gateway/roles/test_drainer_process.py": "drainers that are killed or stand still",
    "gateway/sockets/test_oracle.py": "large examples",
    "gateway/sockets/test_relays.py": "other proxies",
    "money": "two nodes and more, real servers, faults",
    "simulators/payments/test_stripe_client.py": "the vendor's client at length",
    "test_compiled.py": "a compiler",
    "test_postgres.py": "a database server",
    "web": "browsers",
}
"""Folder or file of tests -> what it takes."""


def first_of(cases: Iterable[Any]) -> list[Any]:
    """Return cases for `parametrize`, of which `make test` runs the first, as one of a kind."""
    first, *others = cases
    values = (case if isinstance(case, tuple) else (case,) for case in others)
    return [first, *(pytest.param(*each, marks=pytest.mark.thorough) for each in values)]


def one_in(number: int, cases: Iterable[Any]) -> list[Any]:
    """Return cases for `parametrize`, of which `make test` runs one of each `number`."""
    marks = ((), (pytest.mark.thorough,))
    return [pytest.param(each, marks=marks[n % number > 0]) for n, each in enumerate(cases)]


def is_left_out(path: Path, named: Iterable[Path]) -> bool:
    """Return whether a file or folder is left to `make test-all`, given what was asked for."""
    place = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""
    if place not in THOROUGH:
        return False
    return not any(name == path or name.is_relative_to(path) for name in named)
