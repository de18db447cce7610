"""Legs: the two sides of a call, each over its own media connection."""
