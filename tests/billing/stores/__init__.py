"""Tests of billing's adapters to Valkey and Redis."""
