"""Figures of a process for Prometheus."""
