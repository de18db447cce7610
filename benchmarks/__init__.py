"""Benchmarks of the gateway beside rivals under the same load. Nothing imports this package."""
