"""Composes the gateway's processes from their parts; the only room that chooses adapters."""
