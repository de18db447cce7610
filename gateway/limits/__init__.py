"""Limits of rate and quantity, as pure tables and budgets."""
