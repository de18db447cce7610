"""Webhooks: programs of account holders, and of the operator, learn what happens."""
