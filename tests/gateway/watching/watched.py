"""What rules of alarms look at, made by hand; for tests of alarms."""

import msgspec

from gateway.watching.alarms import Figures
from gateway.watching.rows import NodeRow
from gateway.watching.totals import CountryRow, LiveSums, PrefixRow, Window

NONE = Window().sum_up(LiveSums(), 0)
"""Totals of a deployment without a call."""


def node_of(node="n1", **values):
    """Return a node that is well, unless the test says otherwise."""
    usual = {"calls": 10, "calls_max": 100, "is_draining": False, "lag_ms": 5.0}
    return NodeRow(node=node, release="1", started_at="", **usual | values)


def country_of(country="DE", **values):
    """Return a country to which all calls go well."""
    usual = {"calls": 3, "attempts": 100, "asr_percent": 80.0, "pdd_ms": 2_000, "mos": 4.2}
    return CountryRow(country=country, **usual | {"failed": 1} | values)


def prefix_of(prefix="+4915", **values):
    """Return a prefix that all calls to go well."""
    usual = {"calls": 1, "attempts": 40, "asr_percent": 80.0, "pdd_ms": 2_000, "mos": 4.2}
    return PrefixRow(prefix=prefix, **usual | {"failed": 1} | values)


def figures_of(
    *nodes,
    countries=(),
    talking=0,
    mos=None,
    spend=None,
    silent=0,
    errors=(),
    away_s=0.0,
    most=None,
    **others,
):
    """Return figures in which nothing is wrong but what the test says."""
    totals = msgspec.structs.replace(
        NONE,
        countries=tuple(countries),
        by_state={"answered": talking},
        mos=mos,
        spend_micros_per_minute=spend or {},
    )
    return Figures(totals, nodes, silent, dict(errors), away_s, most, **others)


LOST = figures_of(node_of("n2", is_lost=True))
WELL = figures_of(node_of("n2"))
