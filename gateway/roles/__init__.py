"""Processes that a node or a demo starts for itself, and what each of them does."""
