"""Supervision: who may listen to a live call or speak in it, and how far, from page to store."""
