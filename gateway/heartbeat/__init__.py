"""Scheduling: the one ticker of a process, its deadlines and its periodic tasks."""
