"""Adapters of billing to stores: the spend gate in Valkey, the book of record in SQL."""
