"""Carriers: who reaches phones."""
