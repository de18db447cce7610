"""Webhooks out: what is told, to which addresses, how it is signed and when it is tried. Pure."""
