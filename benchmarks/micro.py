"""Prints the cost of single operations, each relative to the first."""

from __future__ import annotations

from collections.abc import Mapping


def print_costs(per: str, costs_us: Mapping[str, float]) -> None:
    """Print one line for each operation: its cost in µs, and its ratio to the first."""
    # Dictionaries keep their order: the first operation is the measure of the others.
    measure_us = next(iter(costs_us.values()))
    print(f"{per:<36} {'µs':>7} {'ratio':>7}")
    for name, cost_us in costs_us.items():
        print(f"{name:<36} {cost_us:>7.2f} {cost_us / measure_us:>7.1f}")
